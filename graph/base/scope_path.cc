// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/scope_path.h>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lazuli {

std::size_t level_end(std::string_view path, std::size_t begin) {
  const std::size_t end = std::min(path.find('.', begin), path.size());
  if (end == path.size()) return end;
  const std::size_t digits = std::min(path.find_first_not_of("0123456789", end + 1), path.size());
  const bool is_number = digits > end + 1 && (digits == path.size() || path[digits] == '.');
  return is_number ? digits : end;
}

std::string_view common_path(std::string_view a, std::string_view b) {
  std::size_t common = 0;
  for (std::size_t begin = 0; begin < a.size();) {
    const std::size_t end = level_end(a, begin);
    if (end != level_end(b, begin) || a.substr(begin, end - begin) != b.substr(begin, end - begin)) break;
    common = end;
    begin = end + 1;
    if (begin >= b.size()) break;
  }
  return a.substr(0, common);
}

bool holds_path(std::string_view outer, std::string_view inner) {
  return outer.empty() || (inner.starts_with(outer) && (inner.size() == outer.size() || inner[outer.size()] == '.'));
}

std::optional<NumberedScope> numbered_scope(std::string_view path) {
  for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
    const std::size_t end = std::min(path.find('.', dot + 1), path.size());
    std::int64_t index = 0;
    const auto [stop, error] = std::from_chars(path.data() + dot + 1, path.data() + end, index);
    if (error == std::errc() && stop == path.data() + end && index >= 0)
      return NumberedScope{path.substr(0, end), path.substr(0, dot), index,
                           path.substr(std::min(end + 1, path.size()))};
  }
  return std::nullopt;
}

std::string index_ranges(std::span<const std::int64_t> indices) {
  std::string text;
  for (std::size_t first = 0, next; first < indices.size(); first = next) {
    for (next = first + 1; next < indices.size() && indices[next] == indices[next - 1] + 1;) ++next;
    if (!text.empty()) text += ", ";
    text +=
        next - first == 1 ? fmt::format("{}", indices[first]) : fmt::format("{}-{}", indices[first], indices[next - 1]);
  }
  return text;
}

}  // namespace lazuli
