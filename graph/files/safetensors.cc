// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/types/countable.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>

namespace lazuli {
namespace {

static_assert(std::endian::native == std::endian::little, "data is little-endian, and used as it lies in memory");

constexpr const char* metadata_key = "__metadata__";

// Of two names for one dtype the first is the one written.
constexpr std::pair<std::string_view, DType> dtype_names[] = {
    {"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16},  {"F64", DType::f64},    {"I8", DType::i8},
    {"U8", DType::u8},   {"I16", DType::i16}, {"U16", DType::u16},    {"I32", DType::i32},    {"U32", DType::u32},
    {"I64", DType::i64}, {"U64", DType::u64}, {"BOOL", DType::bool_}, {"F8_E4M3", DType::u8},
};

std::optional<DType> dtype_named(std::string_view name) {
  for (const auto& [known, dtype] : dtype_names)
    if (known == name) return dtype;
  return std::nullopt;
}

std::string_view name_of(DType dtype) {
  for (const auto& [name, known] : dtype_names)
    if (known == dtype) return name;
  fail("safetensors: dtype {} has no name in the format", to_string(dtype));
}

// The JSON library converts numbers of any kind: 1e300 to whatever comes of it, -1 to a size.
template <class T>
std::vector<T> integers(const nlohmann::json& entry, const char* key, const std::string& where) {
  const nlohmann::json& list = entry.at(key);
  if (!list.is_array()) fail_file("{}: {} is {}, expected a list of integers", where, key, json_text(list));
  std::vector<T> numbers;
  for (const nlohmann::json& number : list) {
    const bool fits = number.is_number_unsigned() ? std::in_range<T>(number.get<std::uint64_t>())
                                                  : number.is_number_integer() && std::is_signed_v<T>;
    if (!fits) fail_file("{}: {} holds {}, expected an integer", where, key, json_text(number));
    numbers.push_back(number.get<T>());
  }
  return numbers;
}

// Reads what the header says of one tensor, and checks that its data lies inside the file.
class TensorReader {
 public:
  TensorReader(std::shared_ptr<const MappedFile> file, std::uint64_t data_begin)
      : file_(std::move(file)), data_begin_(data_begin) {}

  Array read(const std::string& name, const nlohmann::json& entry) const {
    const std::string where = fmt::format("{}: tensor {}", file_->path(), printable(name));
    const std::string dtype_name = entry.at("dtype").get<std::string>();
    const std::optional<DType> dtype = dtype_named(dtype_name);
    if (!dtype) fail_file("{}: dtype {} is not supported", where, printable(dtype_name));
    Type type{*dtype, integers<std::int64_t>(entry, "shape", where)};
    const std::uint64_t data_bytes = file_->size() - data_begin_;
    // A size of 0 lets the others be anything that the file could not hold.
    if (!is_countable(type.shape)) fail_file("{}: shape {} has more than 2^56 elements", where, to_string(type.shape));
    std::uint64_t elements = 1;
    for (std::int64_t size : type.shape) {
      if (size < 0 || (size > 0 && elements > data_bytes / static_cast<std::uint64_t>(size)))
        fail_file("{}: shape {} does not fit the file of {} bytes", where, to_string(type.shape), file_->size());
      elements *= static_cast<std::uint64_t>(size);
    }
    const auto offsets = integers<std::uint64_t>(entry, "data_offsets", where);
    if (offsets.size() != 2 || offsets[0] > offsets[1]) fail_file("{}: data_offsets are not [begin, end]", where);
    if (offsets[1] > data_bytes)
      fail_file("{}: data ends at byte {} but the file has {}", where, data_begin_ + offsets[1], file_->size());
    const std::uint64_t bytes = offsets[1] - offsets[0];
    if (bytes != static_cast<std::uint64_t>(type.bytes()))
      fail_file("{}: {} bytes of data; expected {} for {}", where, bytes, type.bytes(), to_string(type));
    const std::uint64_t begin = data_begin_ + offsets[0];
    const std::byte* data = file_->bytes().data() + begin;
    // Files whose header is not padded hold elements at odd addresses, which nobody may read them from.
    if (reinterpret_cast<std::uintptr_t>(data) % static_cast<std::size_t>(byte_size(type.dtype, 1)) != 0) {
      BufferRef copy = Buffer::allocate(bytes);
      std::copy_n(data, bytes, copy->data());
      copy->set_file(file_->absolute_path(), begin);
      return Array::constant(std::move(copy), std::move(type), name);
    }
    BufferRef buffer = Buffer::view(
        data, bytes, file_,
        [file = file_.get(), begin](std::size_t offset, std::size_t count) { file->release(begin + offset, count); });
    buffer->set_origin(file_->origin(begin));
    buffer->set_file(file_->absolute_path(), begin);
    return Array::constant(std::move(buffer), std::move(type), name);
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::uint64_t data_begin_;
};

}  // namespace

std::map<std::string, Array> read_safetensors(const std::string& path, SafetensorsMetadata* metadata,
                                              std::vector<UnsupportedTensor>* unsupported) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  std::uint64_t header_bytes = 0;
  if (file->size() < sizeof header_bytes)
    fail_file("{}: {} bytes are too few for a safetensors header", path, file->size());
  std::memcpy(&header_bytes, file->bytes().data(), sizeof header_bytes);
  if (header_bytes > file->size() - sizeof header_bytes)
    fail_file("{}: the header ends at byte {} but the file has {}", path, header_bytes + sizeof header_bytes,
              file->size());
  const auto* text = reinterpret_cast<const char*>(file->bytes().data()) + sizeof header_bytes;
  std::map<std::string, Array> tensors;
  try {
    const nlohmann::json header = nlohmann::json::parse(text, text + header_bytes);
    const TensorReader reader(file, sizeof header_bytes + header_bytes);
    for (const auto& [name, entry] : header.items()) {
      if (name == metadata_key) continue;
      const std::string dtype = entry.at("dtype").get<std::string>();
      if (unsupported != nullptr && !dtype_named(dtype))
        unsupported->push_back(
            {name, dtype, integers<std::int64_t>(entry, "shape", fmt::format("{}: tensor {}", path, printable(name)))});
      else
        tensors.emplace(name, reader.read(name, entry));
    }
    if (metadata != nullptr) *metadata = header.value(metadata_key, SafetensorsMetadata());
  } catch (const nlohmann::json::exception& error) {
    fail_file("{}: the header is not valid: {}", path, error.what());
  }
  return tensors;
}

bool has_safetensors_name(DType dtype) {
  return std::any_of(std::begin(dtype_names), std::end(dtype_names),
                     [&](const auto& named) { return named.second == dtype; });
}

std::string safetensors_header(std::span<const SafetensorsEntry> entries, const SafetensorsMetadata& metadata,
                               std::size_t alignment) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::int64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::int64_t begin = std::exchange(end, end + entry.type.bytes());
    header[entry.name] = {
        {"dtype", name_of(entry.type.dtype)}, {"shape", entry.type.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  std::uint64_t length = text.size();
  text.append((alignment - (sizeof length + length) % alignment) % alignment, ' ');
  length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

}  // namespace lazuli
