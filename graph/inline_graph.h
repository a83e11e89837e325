// SPDX-License-Identifier: MIT
// A graph as a part of another one.
#pragma once

#include <lazuli/graph/graph.h>

#include <vector>

namespace lazuli {

// Throws an Error unless there is one argument of the right type for each input of the graph; named axes may have any
// size.
void check_arguments(const Graph& graph, const std::vector<Array>& arguments);

// The outputs of a verified graph, as nodes built on `arguments`, which are checked. Fused nodes come back as the ops
// of their bodies, which give the same bits; scopes lie within the current one. Arguments without names bring the sizes
// of a graph with named axes.
std::vector<Array> inline_graph(const Graph& graph, const std::vector<Array>& arguments);

}  // namespace lazuli
