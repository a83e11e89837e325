// SPDX-License-Identifier: MIT
// cumsum, cumprod, cummax, cummin.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_cumulative(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
