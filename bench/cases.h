// SPDX-License-Identifier: MIT
// The one list of what is measured. Shapes are those of Gemma 3n E2B (width 2048, gated width 8192, four AltUp planes)
// and of the feed-forward layers of Gemma 3 270M (640 to 2048); convolutions are those of ResNet-50 and MobileNet,
// whose rows are images.
#pragma once

#include <lazuli/bench/workspace.h>
#include <lazuli/graph/evaluator.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::bench {

struct Case {
  std::string name;
  // Shapes of the f32 operands for this many rows.
  std::function<std::vector<Shape>(std::int64_t rows)> operands;
  // The function to compile. Makes the case's weights, so it is called once.
  std::function<ArrayFunction()> make;
  double operations_per_row = 0;              // multiplications and additions of a matmul; 0: bounded by memory
  std::int64_t weight_bytes = 0;              // read once a run, besides operands and results
  std::vector<std::int64_t> row_counts = {};  // empty: those below
};

// Weights are made of the workspace's operands.
std::vector<Case> cases(const std::shared_ptr<Workspace>& workspace);

inline constexpr std::int64_t row_counts[] = {1, 128, 512};
inline constexpr std::int64_t matmul_row_counts[] = {1, 128, 512, 2048};

// Of the matmul that oneDNN runs as well.
inline constexpr std::int64_t compared_outputs = 8192, compared_inputs = 2048;

}  // namespace lazuli::bench
