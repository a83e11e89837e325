// SPDX-License-Identifier: MIT
// Split GGUF models: finding the parts, and making one file of them.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/models/checkpoint/gguf.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

namespace lazuli {
namespace {

constexpr std::string_view number_key = "split.no", count_key = "split.count", tensors_key = "split.tensors.count";
constexpr std::uint64_t max_parts = 65535;  // the keys are u16

GgufFile open_part(const std::string& path) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(path);
  GgufFile part = GgufFile::parse(path, mapped->bytes(), mapped, [mapped](std::uint64_t offset, std::uint64_t bytes) {
    mapped->release(offset, bytes);
  });
  for (const GgufTensor& tensor : part.tensors()) {
    tensor.buffer->set_origin(mapped->origin(tensor.offset));
    tensor.buffer->set_file(mapped->absolute_path(), tensor.offset);
  }
  return part;
}

std::uint64_t part_count(const GgufFile& file) {
  const auto count = file.get_or<std::uint64_t>(count_key, 1);
  if (count > max_parts)
    fail_file("{}: key {} is {}, expected at most {}", file.name(), count_key, grouped(count), grouped(max_parts));
  return count;
}

std::string ending(std::uint64_t number, std::uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

std::vector<std::string> part_paths(const GgufFile& part, std::uint64_t count) {
  const auto number = part.get<std::uint64_t>(number_key);
  const std::string own = ending(number, count);
  if (number >= count || !part.name().ends_with(own))
    fail_file("{}: keys {} {} and {} {}: expected a name that ends in {}, by which the other parts can be found",
              part.name(), number_key, number, count_key, count, own);
  const std::string stem = part.name().substr(0, part.name().size() - own.size());
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < count; ++i) paths.push_back(stem + ending(i, count));
  return paths;
}

void check_presence(const std::string& opened, const std::vector<std::string>& paths) {
  constexpr std::size_t max_named = 5;
  std::vector<std::string> missing;
  std::error_code error;
  for (const std::string& path : paths)
    if (!std::filesystem::is_regular_file(path, error)) missing.push_back(std::filesystem::path(path).filename());
  if (missing.empty()) return;
  std::string names = missing[0];
  for (std::size_t i = 1; i < std::min(missing.size(), max_named); ++i) names += ", " + missing[i];
  if (missing.size() > max_named) names += fmt::format(" and {} more", missing.size() - max_named);
  fail_file("{}: the model is split into {} files; missing beside it: {}", opened, paths.size(), names);
}

// Where part `index` of `parts` contradicts its place or the first part.
void check_place(std::span<const GgufFile> parts, std::size_t index) {
  const GgufFile& part = parts[index];
  if (const std::uint64_t count = part_count(part); count != parts.size())
    fail_file("{}: key {} is {}, expected {} as there are parts", part.name(), count_key, count, parts.size());
  if (const auto number = part.get<std::uint64_t>(number_key); number != index)
    fail_file("{}: key {} is {}, expected {} for part {} of {}", part.name(), number_key, number, index, index + 1,
              parts.size());
}

}  // namespace

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file = open_part(path);
  const std::uint64_t count = part_count(file);
  if (count <= 1) return file;
  const std::vector<std::string> paths = part_paths(file, count);
  check_presence(path, paths);
  std::vector<GgufFile> parts;
  for (const std::string& part : paths)
    // NOLINTNEXTLINE(bugprone-use-after-move): `path` is one of them, once.
    parts.push_back(part == path ? std::move(file) : open_part(part));
  return join(std::move(parts));
}

GgufFile GgufFile::join(std::vector<GgufFile> parts) {
  if (parts.empty()) fail("a split model has no parts; expected at least one");
  for (std::size_t i = 0; i < parts.size(); ++i) check_place(parts, i);
  const std::uint64_t found = std::accumulate(
      parts.begin(), parts.end(), std::uint64_t{0},
      [](std::uint64_t sum, const GgufFile& part) { return sum + part.tensors_.size() + part.unsupported_.size(); });
  if (const auto said = parts[0].find<std::uint64_t>(tensors_key); said && *said != found)
    fail_file("{}: key {} is {}, but the {} parts hold {}", parts[0].name(), tensors_key, *said, parts.size(), found);
  GgufFile file = std::move(parts[0]);
  for (std::size_t i = 1; i < parts.size(); ++i) file.append(std::move(parts[i]));
  return file;
}

void GgufFile::append(GgufFile part) {
  const std::size_t index = parts_.size();
  for (const auto& [name, place] : part.tensor_index_) {
    const std::size_t shift = place.supported ? tensors_.size() : unsupported_.size();
    const auto [known, is_new] = tensor_index_.emplace(name, Place{place.supported, place.at + shift});
    if (is_new) continue;
    const Place& first = known->second;
    const std::size_t holder = first.supported ? tensors_[first.at].part : unsupported_[first.at].part;
    fail_file("{}: tensor {}: found a second time, expected it in {} alone", part.name(), printable(name),
              parts_[holder]);
  }
  for (GgufTensor& tensor : part.tensors_) {
    tensor.part = index;
    tensors_.push_back(std::move(tensor));
  }
  for (GgufUnsupportedTensor& tensor : part.unsupported_) {
    tensor.part = index;
    unsupported_.push_back(std::move(tensor));
  }
  parts_.push_back(part.name());
  bytes_ += part.bytes_;
  // The names in the index are views into both.
  owner_ = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(owner_, part.owner_);
}

}  // namespace lazuli
