// SPDX-License-Identifier: MIT
// Elementwise ops, reductions, fused bodies and copies: everything the loop compiler generates code for.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_loop(ProgramBuilder& builder, std::int32_t id);
void lower_reduction(ProgramBuilder& builder, std::int32_t id);
void lower_softmax(ProgramBuilder& builder, std::int32_t id);  // and log_softmax, over any axis

// What an elementwise, fused or norm node computes, as a body of its operands. Scalars become part of the code.
Graph loop_body(const ProgramBuilder& builder, std::int32_t id);
// The step that computes a body; none where there are no elements.
void add_loop(ProgramBuilder& builder, std::int32_t id, const Graph& body, std::span<const View> operands,
              std::span<const View> results);
// The same for a loop that keeps the last axis as its columns; it divides along them.
Division add_column_loop(ProgramBuilder& builder, std::int32_t id, const Graph& body, std::span<const View> operands,
                         std::span<const View> results);

// Copies, where an op needs an operand as it does not lie. Steps of node `id`.
void lower_copy(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target);
View copy_to_contiguous(ProgramBuilder& builder, const View& source, std::int32_t id);
// Operand `index` of the node: contiguous; contiguous and of this dtype.
View contiguous_input(ProgramBuilder& builder, std::int32_t id, std::size_t index);
View converted_input(ProgramBuilder& builder, std::int32_t id, std::size_t index, DType dtype);

}  // namespace lazuli::cpu
