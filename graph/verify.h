// SPDX-License-Identifier: MIT
// Invariants of a graph: topological order, arity, attributes of the right kind, inferred types, bodies, outputs.
#pragma once

#include <lazuli/graph/graph.h>

#include <string_view>

namespace lazuli {

// Throws a CompileError that names `after` (the pass that ran last), the node and what is wrong with it.
void verify(const Graph& graph, std::string_view after = "construction");

}  // namespace lazuli
