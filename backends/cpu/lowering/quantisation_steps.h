// SPDX-License-Identifier: MIT
// Block-quantised arrays made and read as a whole.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_quantise(ProgramBuilder& builder, std::int32_t id);
void lower_dequantise(ProgramBuilder& builder, std::int32_t id);

// Quantised operand `index` of the node as f32, for ops whose kernels read no blocks.
View dequantised_input(ProgramBuilder& builder, std::int32_t id, std::size_t index);

}  // namespace lazuli::cpu
