// SPDX-License-Identifier: MIT
// Where nodes stand when a graph is shown by scope.
#pragma once

#include <lazuli/graph/graph.h>

#include <vector>

namespace lazuli {

// By node, a scope path; null: outside all scopes. It is the node's own scope, where it has one. Otherwise
//   - a leaf (a weight, a cache), and what is computed from leaves without a scope alone, stands in the innermost scope
//     that holds all its readers;
//   - a fused node that layers read, as fusing over the border of two layers leaves it, stands in the layer whose value
//     it reads last.
std::vector<Scope::Ref> placement(const Graph& graph);

}  // namespace lazuli
