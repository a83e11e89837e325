// SPDX-License-Identifier: MIT
// Against the reference backend, node by node: every node of a graph is computed by the reference from what the backend
// computed for its operands. So a stated error holds for each op, however deep the graph.
#pragma once

#include <lazuli/tests/fuzz/graphs/compare.h>
#include <lazuli/tests/fuzz/graphs/variants.h>

#include <optional>
#include <string>

namespace lazuli::fuzz {

// Runs the graph with every value as an output.
std::optional<std::string> difference_from_reference(Sessions& sessions, const RandomGraph& graph,
                                                     const Variant& variant);

}  // namespace lazuli::fuzz
