// SPDX-License-Identifier: MIT
// Elements and slices read from, and written to, the places that indices name.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_gather_nd(ProgramBuilder& builder, std::int32_t id);
void lower_scatter(ProgramBuilder& builder, std::int32_t id);
void lower_scatter_nd(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
