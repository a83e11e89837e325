// SPDX-License-Identifier: MIT
// Attention: one step for many queries; for one query of a decode step, its heads in parts of the cache that a second
// step combines.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_attention(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
