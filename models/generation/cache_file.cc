// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/models/generation/cache_file.h>
#include <lazuli/models/generation/runner.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace lazuli {
namespace {

constexpr const char* format_key = "format";
constexpr const char* format_name = "lazuli cache 2";
constexpr const char* length_key = "length";
constexpr const char* generated_begin_key = "generated_begin";
constexpr const char* generated_end_key = "generated_end";
constexpr const char* ids_name = "ids";

std::string cache_name(std::size_t index) { return fmt::format("{}.{}", index % 2 == 0 ? "k" : "v", index / 2); }

// "4 of 2x64 window 512, 1 of 2x64": runs of equal caches, heads by head size.
std::string describe(const std::vector<KvCacheShape>& shapes) {
  const auto same = [](const KvCacheShape& a, const KvCacheShape& b) {
    return a.kv_heads == b.kv_heads && a.head_dim == b.head_dim && a.window == b.window;
  };
  std::string text;
  for (std::size_t begin = 0, end = 0; begin < shapes.size(); begin = end) {
    const KvCacheShape& shape = shapes[begin];
    while (end < shapes.size() && same(shapes[end], shape)) ++end;
    text += fmt::format("{}{} of {}x{}", begin == 0 ? "" : ", ", end - begin, shape.kv_heads, shape.head_dim);
    if (shape.window > 0) text += fmt::format(" window {}", shape.window);
  }
  return text;
}

// What a cache depends on, by the name an error shows.
std::vector<std::pair<std::string, std::string>> fingerprint(const Runner& runner) {
  const ModelInfo& info = runner.model().info();
  std::vector<std::pair<std::string, std::string>> fingerprint{{"architecture", info.architecture},
                                                               {"layers", std::to_string(info.layers)},
                                                               {"hidden_size", std::to_string(info.hidden_size)},
                                                               {"vocab_size", std::to_string(info.vocab_size)},
                                                               {"caches", describe(runner.model().caches())},
                                                               {"weights", fmt::format("{:016x}", info.hash_weights())},
                                                               {"kv", std::string(to_string(runner.kv_dtype()))}};
  fingerprint.insert(fingerprint.end(), info.settings.begin(), info.settings.end());
  return fingerprint;
}

void check_fingerprint(const std::string& path, const Runner& runner, const SafetensorsMetadata& found) {
  const auto format = found.find(format_key);
  if (format == found.end() || format->second != format_name)
    fail_file("{}: {}, expected a file of saved caches ({})", path,
              format == found.end() ? "not a cache" : "format is " + printable(format->second), format_name);
  std::string differences;
  for (const auto& [key, expected] : fingerprint(runner)) {
    const auto value = found.find(key);
    if (value != found.end() && value->second == expected) continue;
    differences += fmt::format("{}{} is {}, expected {}", differences.empty() ? "" : "; ", key,
                               value == found.end() ? "missing" : printable(value->second), expected);
  }
  if (!differences.empty()) fail_file("{}: a cache of another model or setting: {}", path, differences);
}

std::int64_t number(const std::string& path, const SafetensorsMetadata& metadata, const char* key, std::int64_t most) {
  std::int64_t value = -1;
  if (const auto found = metadata.find(key); found != metadata.end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) value = -1;
  }
  if (value < 0 || value > most) fail_file("{}: metadata {}: expected a number from 0 to {}", path, key, most);
  return value;
}

const Array& tensor(const std::string& path, const std::map<std::string, Array>& tensors, const std::string& name,
                    std::size_t rank) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail_file("{}: tensor {} is missing", path, name);
  if (found->second.shape().size() != rank)
    fail_file("{}: tensor {} is {}, expected {} axes", path, name, to_string(found->second.type()), rank);
  return found->second;
}

// How rows of a cache stand in the file, whose format has no blocks: a quantised head as its bytes.
Type stored_type(Type type) {
  if (!is_quantised(type.dtype)) return type;
  type.shape.back() = byte_size(type.dtype, type.shape.back());
  type.dtype = DType::u8;
  return type;
}

// The reverse, for a file whose caches are of `dtype`; rows that do not fit are left to `restore`, which names them.
Array rows_as(const Array& stored, DType dtype) {
  const DTypeInfo& block = info(dtype);
  if (!is_quantised(dtype) || stored.dtype() != DType::u8 || stored.size(-1) % block.block_bytes != 0) return stored;
  Shape shape = stored.shape();
  shape.back() = shape.back() / block.block_bytes * block.block_elements;
  return Array::from(stored.result().buffer, {dtype, std::move(shape)});
}

// Rows of the positions [first, length), which lie in a ring in at most two pieces.
void write_rows(OutputFile& file, const Runner::CacheView& view, std::int64_t length) {
  const std::int64_t capacity = view.rows.size(0), row_bytes = view.rows.type().bytes() / capacity;
  for (std::int64_t p = view.first; p < length;) {
    const std::int64_t row = p % capacity, rows = std::min(capacity - row, length - p);
    file.write(view.rows.bytes() + row * row_bytes, static_cast<std::size_t>(rows * row_bytes));
    p += rows;
  }
}

}  // namespace

void write_cache(OutputFile& file, const Runner& runner, const CachedText& text) {
  const std::int64_t length = runner.length();
  if (length == 0) fail("save: nothing has been computed yet, expected at least one token in the caches");
  SafetensorsMetadata metadata{{format_key, format_name},
                               {length_key, std::to_string(length)},
                               {generated_begin_key, std::to_string(text.generated.begin)},
                               {generated_end_key, std::to_string(text.generated.end)}};
  for (auto& [key, value] : fingerprint(runner)) metadata.emplace(key, std::move(value));
  const std::vector<Runner::CacheView> views = runner.cache_views();
  std::vector<SafetensorsEntry> entries;
  for (std::size_t i = 0; i < views.size(); ++i) {
    Type type = views[i].rows.type();
    type.shape[0] = length - views[i].first;
    entries.push_back({cache_name(i), stored_type(std::move(type))});
  }
  // Last: ids of odd number would leave later tensors misaligned.
  entries.push_back({ids_name, {DType::i32, {static_cast<std::int64_t>(text.ids.size())}}});
  file.write(safetensors_header(entries, metadata));
  for (const Runner::CacheView& view : views) write_rows(file, view, length);
  file.write(text.ids.data(), text.ids.size() * sizeof(std::int32_t));
  file.commit();
}

CachedText read_cache(const std::string& path, Runner& runner) {
  SafetensorsMetadata metadata;
  const std::map<std::string, Array> tensors = read_safetensors(path, &metadata);
  check_fingerprint(path, runner, metadata);
  const Array& ids = tensor(path, tensors, ids_name, 1);
  if (ids.dtype() != DType::i32) fail_file("{}: tensor {} is {}, expected i32", path, ids_name, to_string(ids.type()));
  const std::span<const std::int32_t> values = ids.data<std::int32_t>();
  for (const std::int32_t id : values)
    if (id < 0 || id >= runner.model().info().vocab_size)
      fail_file("{}: token id {} is outside the vocabulary [0, {})", path, id, runner.model().info().vocab_size);
  CachedText text{{values.begin(), values.end()},
                  {number(path, metadata, generated_begin_key, ids.size(0)),
                   number(path, metadata, generated_end_key, ids.size(0))}};
  const std::int64_t length = number(path, metadata, length_key, ids.size(0));
  std::vector<Runner::CacheView> views;
  for (std::size_t i = 0; i < 2 * runner.model().caches().size(); ++i) {
    const Array rows = rows_as(tensor(path, tensors, cache_name(i), 3), runner.kv_dtype());
    views.push_back({rows, length - rows.size(0)});
  }
  try {
    runner.restore(length, views);
  } catch (const Error& error) {
    fail_file("{}: {}", path, error.what());
  }
  return text;
}

}  // namespace lazuli
