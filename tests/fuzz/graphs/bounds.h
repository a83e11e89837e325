// SPDX-License-Identifier: MIT
// How far a node may be from what the reference backend computes from the same operands.
#pragma once

#include <lazuli/backends/cpu/options.h>
#include <lazuli/graph/graph.h>

#include <optional>
#include <vector>

namespace lazuli::fuzz {

// The reference's operation is one rounding of an exact one, so that both give the same bits. Bodies are exact where
// all their ops are.
bool is_exact(const GraphNode& node);

struct Operands {
  std::vector<Type> types;
  std::vector<BufferRef> buffers;
};

// An absolute error for each element of the first result; infinite where nothing is promised, as where sums may have
// gone beyond the largest number on the way. Nothing: the node is not compared. `expected`: what the reference gives.
std::optional<std::vector<double>> allowed_errors(const GraphNode& node, const Operands& operands,
                                                  const std::vector<double>& expected, bool rounds_activations);

}  // namespace lazuli::fuzz
