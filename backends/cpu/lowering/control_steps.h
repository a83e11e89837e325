// SPDX-License-Identifier: MIT
// Loops and branches: steps whose bodies have steps of their own.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_scan(ProgramBuilder& builder, std::int32_t id);
void lower_while_loop(ProgramBuilder& builder, std::int32_t id);
void lower_cond(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
