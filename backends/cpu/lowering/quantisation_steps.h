// SPDX-License-Identifier: MIT
// Block-quantised arrays made and read as a whole.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_quantise(ProgramBuilder& builder, std::int32_t id);
void lower_dequantise(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
