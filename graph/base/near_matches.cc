// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/near_matches.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace lazuli {
namespace {

// Levenshtein's: characters to insert, remove or replace.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);  // of the table of prefixes
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> near_matches(std::string_view wanted, std::span<const std::string> names, std::size_t most) {
  const std::size_t tolerated = std::max<std::size_t>(2, wanted.size() / 3);
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (const std::string_view name : names) {
    // Endings are what people leave out or guess, so a name counts up to the length of the word as well.
    const std::size_t distance =
        std::min(edit_distance(wanted, name), edit_distance(wanted, name.substr(0, wanted.size())) + 1);
    const bool contains = !wanted.empty() && name.find(wanted) != std::string::npos;
    if (distance <= tolerated || contains) found.emplace_back(distance, name);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (const auto& [distance, name] : found)
    if (nearest.size() < most && std::find(nearest.begin(), nearest.end(), name) == nearest.end())
      nearest.emplace_back(name);
  return nearest;
}

std::string near_matches_text(std::string_view wanted, std::span<const std::string> names) {
  const std::vector<std::string> nearest = near_matches(wanted, names);
  return nearest.empty() ? std::string{} : fmt::format("; near it: {}", fmt::join(nearest, ", "));
}

}  // namespace lazuli
