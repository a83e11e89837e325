// SPDX-License-Identifier: MIT
// Products whose right operand is no constant. It is packed when the program runs, and multiplied by the kernels that
// constants meet; for few rows it is multiplied as it lies. Both give the same bits, whatever the rows and the threads.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// y = operand 0 of the node [..., M, K], or [K], times the transpose of `weight` [..., N, K] of a plain type and any
// strides. y is contiguous f32, and not empty.
void add_matmul(ProgramBuilder& builder, std::int32_t id, const View& weight, View y);

}  // namespace lazuli::cpu
