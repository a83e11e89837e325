#include <fmt/format.h>
#include <lazuli/graph/pictures/numbered_scope.h>

#include <algorithm>
#include <charconv>

namespace lazuli {

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
