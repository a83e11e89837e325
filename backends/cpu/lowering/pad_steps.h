// SPDX-License-Identifier: MIT
// pad: an array with a value around it.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_pad(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
