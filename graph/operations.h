// SPDX-License-Identifier: MIT
// How much arithmetic a node asks for, for profiles.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>

namespace lazuli {

// Multiplications, additions and the like: a multiply-add counts 2; any other elementwise op counts 1 an element,
// however long it takes; composites count as their definition is written, fused nodes as the sum of their bodies;
// views, leaves and moved data 0. Where lengths are data (attention) it is the most there can be: every key of the
// capacity.
std::int64_t count_operations(const Graph& graph, const GraphNode& node);

}  // namespace lazuli
