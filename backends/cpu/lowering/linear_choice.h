// SPDX-License-Identifier: MIT
// Which kernel multiplies a linear: decided by types, shapes and the phase alone, never by what a weight holds.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli {
struct LinearKernel;
struct PanelKernel;
}  // namespace lazuli

namespace lazuli::cpu {

// How a kernel takes the operand that meets the weight.
enum class OperandForm : std::uint8_t { real, int8, tiles };

// For a matrix, or a stack of them, that is packed; null: no kernel takes it.
const LinearKernel* linear_kernel_of(const ProgramBuilder& builder, const Type& weight);

// Whether the linear has a constant weight in the layout of the written kernels.
bool is_packed_linear(const ProgramBuilder& builder, std::int32_t id);
// The rest is of packed linears. Whether outputs are too few to divide among threads, and rows are many.
bool is_narrow_linear(const ProgramBuilder& builder, std::int32_t id);
OperandForm operand_form(const ProgramBuilder& builder, std::int32_t id);
// Null: the program multiplies this weight in int8 or f32.
const PanelKernel* panel_kernel_of(const ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
