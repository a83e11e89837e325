// SPDX-License-Identifier: MIT
// A program as lowering leaves it and scheduling completes it: buffers, steps in the order they run, and where results
// come to lie.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/program/step.h>
#include <lazuli/backends/cpu/program/weight_requests.h>
#include <lazuli/graph/graph.h>

#include <functional>
#include <span>
#include <vector>

namespace lazuli::cpu {

// Takes what it needs of the values of numbers, by slot.
using NumberUse = std::function<void(std::span<const double> values)>;

struct Lowered {
  std::vector<BufferInfo> buffers;
  std::vector<Step> steps;
  Graph scheduled;
  std::vector<OutputPlacement> outputs;
  std::vector<int> written_inputs;
  std::vector<WeightRequest> weights;
  std::vector<NumberUse> number_uses;
  std::vector<std::int64_t> bounds;  // of the named dimensions
};

}  // namespace lazuli::cpu
