// SPDX-License-Identifier: MIT
// matmul and linear of f64.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// `weight` is the right operand [..., N, K] as it lies in memory, of any real dtype.
void add_f64_product(ProgramBuilder& builder, std::int32_t id, const View& weight);

}  // namespace lazuli::cpu
