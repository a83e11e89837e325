// SPDX-License-Identifier: MIT
// Ops of the caller's own (graph/custom_op.h), by their kernels.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_custom(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
