// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/tools/support/one_of.h>

#include <algorithm>
#include <utility>

namespace lazuli::tool {

CLI::Validator one_of(std::vector<std::string> names) {
  std::string description = fmt::format("{{{}}}", fmt::join(names, ","));
  const auto check = [names = std::move(names)](const std::string& given) -> std::string {
    if (std::find(names.begin(), names.end(), given) != names.end()) return {};
    const std::string last = names.size() > 1 ? " or " + names.back() : "";
    return fmt::format("\"{}\" given, expected {}{}{}", given,
                       fmt::join(names.begin(), names.end() - (names.size() > 1 ? 1 : 0), ", "), last,
                       near_matches_text(given, names));
  };
  return CLI::Validator(check, std::move(description));
}

}  // namespace lazuli::tool
