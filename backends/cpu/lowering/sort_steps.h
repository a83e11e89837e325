// SPDX-License-Identifier: MIT
// sort and argsort.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_sort(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
