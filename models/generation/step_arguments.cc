// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/generation/step_arguments.h>

#include <iterator>
#include <utility>

namespace lazuli {

std::vector<Array> StepArguments::to_arguments(std::span<Array> caches) && {
  std::vector<Array> arguments;
  arguments.reserve(first_cache(true) + caches.size());
  for (Array* operand : {&inputs.tokens, &inputs.positions, &inputs.start, &inputs.length})
    arguments.push_back(std::move(*operand));
  if (last_row.defined()) arguments.push_back(std::move(last_row));
  arguments.insert(arguments.end(), std::move_iterator(caches.begin()), std::move_iterator(caches.end()));
  return arguments;
}

StepArguments StepArguments::from_arguments(const std::vector<Array>& arguments, bool has_last_row) {
  StepArguments step;
  step.inputs = {arguments[0], arguments[1], arguments[2], arguments[3], {}};
  if (has_last_row) step.last_row = arguments[4];
  step.inputs.caches.assign(arguments.begin() + static_cast<std::ptrdiff_t>(first_cache(has_last_row)),
                            arguments.end());
  return step;
}

std::size_t StepArguments::first_cache(bool has_last_row) { return has_last_row ? 5 : 4; }

std::vector<std::string> StepArguments::names(std::size_t caches, bool has_last_row) {
  std::vector<std::string> names{"tokens", "positions", "start", "length"};
  if (has_last_row) names.emplace_back("last row");
  for (std::size_t i = 0; i < caches; ++i) names.push_back(fmt::format("{}_cache.{}", i % 2 == 0 ? "k" : "v", i / 2));
  return names;
}

}  // namespace lazuli
