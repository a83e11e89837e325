// SPDX-License-Identifier: MIT
// linear and matmul. In the default precision constants go to product_steps.h, and right operands that are no constants
// to matmul_steps.h; in f32 precision all go through OpenBLAS.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_linear(ProgramBuilder& builder, std::int32_t id);
void lower_matmul(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
