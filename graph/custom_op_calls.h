// SPDX-License-Identifier: MIT
// How lazuli calls custom ops: what they say is checked, and whatever they throw becomes an Error with the op's name.
#pragma once

#include <lazuli/graph/custom_op.h>
#include <lazuli/graph/graph.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lazuli {

inline constexpr std::size_t max_custom_arrays = 64;  // operands, and results

std::vector<Type> infer_custom(const CustomOpRef& op, std::span<const Type> operands);
bool has_kernel(const CustomOpRef& op, std::span<const Type> operands);
// The op's definition by other ops, whose inputs are the operands.
std::optional<Graph> custom_definition(const CustomOpRef& op, std::span<const Type> operands);
std::int64_t custom_operations(const CustomOpRef& op, std::span<const Type> operands, std::span<const Type> results);
// Rows that compute() is called for; 0 where the results have no elements.
std::int64_t custom_row_count(const CustomOpRef& op, std::span<const Type> results);
// Errors are without the op's name: callers name the node.
void compute_custom(const CustomOpRef& op, const CustomRows& rows);

}  // namespace lazuli
