// SPDX-License-Identifier: MIT
// Convolutions: products of matrices over patches of the input, which are gathered a block of rows at a time; those of
// one channel a group by a kernel that reads pixels as they lie.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_convolution(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
