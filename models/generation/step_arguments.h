// SPDX-License-Identifier: MIT
// A step's operands as the arguments of a compiled function, and back: the one place that knows their order.
#pragma once

#include <lazuli/models/model.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

struct StepArguments {
  StepInputs inputs;
  Array last_row;  // i32 [1]: the row whose logits are wanted; undefined where that is all of them, or none

  // With `caches`, which are moved from where this does not throw, in the place of inputs.caches.
  std::vector<Array> to_arguments(std::span<Array> caches) &&;
  static StepArguments from_arguments(const std::vector<Array>& arguments, bool has_last_row);

  static std::size_t first_cache(bool has_last_row);
  // `caches` of k and v together.
  static std::vector<std::string> names(std::size_t caches, bool has_last_row);
};

}  // namespace lazuli
