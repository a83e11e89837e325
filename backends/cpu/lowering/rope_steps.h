// SPDX-License-Identifier: MIT
// Rotary position embeddings: the sines and cosines are made once for all nodes that turn the same positions alike.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_rope(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
