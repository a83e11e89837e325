// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/tensor_files.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

namespace lazuli {
namespace {

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

// The place of a file NAME-00001-of-00002.safetensors.
struct Shard {
  std::string stem;
  int number = 0, count = 0;
};

std::optional<Shard> parse_shard(std::string_view name) {
  constexpr std::string_view ending = ".safetensors", of = "-of-";
  constexpr std::size_t digits = 5, tail = 1 + digits + of.size() + digits;
  if (!name.ends_with(ending)) return std::nullopt;
  name.remove_suffix(ending.size());
  if (name.size() < tail || name[name.size() - tail] != '-') return std::nullopt;
  const std::string_view place = name.substr(name.size() - tail + 1);
  if (place.substr(digits, of.size()) != of) return std::nullopt;
  const auto number_in = [](std::string_view text) {
    int value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : -1;
  };
  const Shard shard{std::string(name.substr(0, name.size() - tail)), number_in(place.substr(0, digits)),
                    number_in(place.substr(digits + of.size()))};
  return shard.number >= 1 && shard.count >= shard.number ? std::optional(shard) : std::nullopt;
}

std::string shard_name(const std::string& stem, int number, int count) {
  return fmt::format("{}-{:05}-of-{:05}.safetensors", stem, number, count);
}

// The sets of numbered files of which at least one is there, by stem and count.
std::set<std::pair<std::string, int>> numbered_sets(const CheckpointFolder& folder) {
  std::set<std::pair<std::string, int>> sets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path(), error))
    if (const auto shard = parse_shard(entry.path().filename().string())) sets.emplace(shard->stem, shard->count);
  return sets;
}

std::vector<std::string> names_of_set(const std::pair<std::string, int>& set) {
  std::vector<std::string> names;
  for (int number = 1; number <= set.second; ++number) names.push_back(shard_name(set.first, number, set.second));
  return names;
}

std::string missing_of(const CheckpointFolder& folder, const auto& names) {
  constexpr int max_named = 20;
  std::string missing;
  int count = 0;
  for (const std::string& name : names)
    if (!folder.has_file(name) && ++count <= max_named) missing += (missing.empty() ? "" : ", ") + one_line(name);
  return count > max_named ? missing + fmt::format(" and {} more", count - max_named) : missing;
}

std::map<std::string, std::string> read_index(const CheckpointFolder& folder) {
  const nlohmann::json index = read_json(folder.file(index_file));
  const auto placed = index.is_object() ? index.find("weight_map") : index.end();
  if (placed == index.end() || !placed->is_object()) fail_file("{}: weight_map is missing", folder.file(index_file));
  std::map<std::string, std::string> places;
  for (const auto& [name, shard] : placed->items()) {
    // A shard is a file of this folder: names that lead elsewhere are refused.
    if (!shard.is_string() || shard.get<std::string>().find('/') != std::string::npos)
      fail_file("{}: tensor {} is placed in {}, expected the name of a file in this folder", folder.file(index_file),
                printable(name), json_text(shard));
    places.emplace(name, shard.get<std::string>());
  }
  return places;
}

// Without an index, or in the place of one that is out of date.
std::optional<std::vector<std::string>> complete_files(const CheckpointFolder& folder) {
  if (folder.has_file(single_file)) return {{single_file}};
  for (const auto& set : numbered_sets(folder))
    if (std::vector<std::string> names = names_of_set(set); missing_of(folder, names).empty()) return names;
  return std::nullopt;
}

}  // namespace

TensorFiles find_tensor_files(const CheckpointFolder& folder) {
  TensorFiles files;
  std::string missing;
  if (folder.has_file(index_file)) {
    files.placed = read_index(folder);
    std::set<std::string> names;
    for (const auto& [tensor, shard] : files.placed) names.insert(shard);
    missing = missing_of(folder, names);
    if (missing.empty()) {
      for (const std::string& name : std::set(names))
        if (const auto shard = parse_shard(name))
          for (const std::string& other : names_of_set({shard->stem, shard->count}))
            if (folder.has_file(other)) names.insert(other);
      files.names.assign(names.begin(), names.end());
      return files;
    }
    files.placed.clear();
  }
  if (const auto complete = complete_files(folder)) {
    files.names = *complete;
    if (!missing.empty())
      files.note = fmt::format("{} lists {}, which {} not there; {} read in their place", index_file, missing,
                               missing.find(", ") == missing.npos ? "is" : "are",
                               complete->size() == 1 ? complete->front() + " is" : "the shards beside it are");
    return files;
  }
  if (missing.empty())
    for (const auto& set : numbered_sets(folder)) missing = missing_of(folder, names_of_set(set));
  if (!missing.empty()) fail_file("{}: shards are missing: {}", folder.path(), missing);
  fail_file("{}: holds neither {} nor {}", folder.path(), single_file, index_file);
}

}  // namespace lazuli
