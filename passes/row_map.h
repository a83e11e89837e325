// SPDX-License-Identifier: MIT
// How the rows of an op's result depend on the rows of its operands: the row rules of ops.def, spelled out.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace lazuli {

inline constexpr int whole_operand = -1;

// To compute only some indices of `axis` of the node's result: for each operand the axis along which it may be narrowed
// to the same indices, or `whole_operand`. Nothing where the op cannot be narrowed along that axis.
std::optional<std::vector<int>> operand_axes(const Graph& graph, const GraphNode& node, int axis);

// The node's attributes once `axis` of its result has `count` indices.
Attrs narrowed_attrs(const GraphNode& node, int axis, std::int64_t count);

}  // namespace lazuli
