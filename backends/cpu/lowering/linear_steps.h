// SPDX-License-Identifier: MIT
// linear and matmul: what the written kernels take goes to product_steps.h, the rest through OpenBLAS in f32.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_linear(ProgramBuilder& builder, std::int32_t id);
void lower_matmul(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
