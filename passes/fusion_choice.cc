// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>

namespace lazuli {
namespace {

constexpr std::string_view composites = "composites";
constexpr std::string_view level_names[] = {"none", "primitive", "all"};

bool is_always_on(std::string_view name) {
  return std::any_of(default_pipeline().begin(), default_pipeline().end(),
                     [&](const Pass& pass) { return pass.name == name && pass.kind == PassKind::always; });
}

}  // namespace

std::string_view to_string(FusionLevel level) { return level_names[static_cast<std::size_t>(level)]; }

std::vector<std::string_view> fusion_names() {
  std::vector<std::string_view> names;
  for (const Pass& pass : default_pipeline())
    if (std::find(names.begin(), names.end(), pass.name) == names.end()) names.push_back(pass.name);
  for (const Rule& rule : named_rules()) names.push_back(rule.name);
  names.insert(names.end(), std::begin(backend_fusions), std::end(backend_fusions));
  names.push_back(composites);
  return names;
}

bool FusionChoice::enabled(std::string_view name) const {
  if (const auto found = overrides.find(name); found != overrides.end()) return found->second;
  if (level == FusionLevel::all || is_always_on(name)) return true;
  return name == composites && level == FusionLevel::none;
}

FusionChoice FusionChoice::parse(std::string_view text, std::span<const std::string_view> more,
                                 std::string_view source) {
  std::vector<std::string_view> known = fusion_names();
  known.insert(known.end(), more.begin(), more.end());
  FusionChoice choice;
  for (bool first = true; first || !text.empty(); first = false) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto level = std::find(std::begin(level_names), std::end(level_names), word);
    if (first && level != std::end(level_names)) {
      choice.level = static_cast<FusionLevel>(level - std::begin(level_names));
      continue;
    }
    const bool is_override = !word.empty() && (word[0] == '+' || word[0] == '-');
    const std::string levels = first ? "none, primitive, all, " : "";
    if (!is_override)
      fail(ErrorDetails{.op = std::string(source), .expected = levels + "+name or -name", .found = std::string(word)},
           "{}: \"{}\" is not {}+name or -name", source, word, levels);
    const std::string_view name = word.substr(1);
    if (std::find(known.begin(), known.end(), name) == known.end())
      fail(ErrorDetails{.op = std::string(source),
                        .expected = fmt::format("{}", fmt::join(known, ", ")),
                        .found = std::string(name)},
           "{}: there is no \"{}\"{}; expected one of {}", source, name,
           near_matches_text(name, std::vector<std::string>(known.begin(), known.end())), fmt::join(known, ", "));
    choice.overrides.insert_or_assign(std::string(name), word[0] == '+');
  }
  return choice;
}

std::string to_string(const FusionChoice& choice) {
  std::string text(to_string(choice.level));
  for (const auto& [name, on] : choice.overrides) text += fmt::format(",{}{}", on ? '+' : '-', name);
  return text;
}

}  // namespace lazuli
