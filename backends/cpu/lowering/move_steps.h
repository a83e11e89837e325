// SPDX-License-Identifier: MIT
// Ops that move data: concatenate, slice_update, take, gather, and the generators iota and random.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_concatenate(ProgramBuilder& builder, std::int32_t id);
void lower_slice_update(ProgramBuilder& builder, std::int32_t id);
void lower_take(ProgramBuilder& builder, std::int32_t id);
void lower_gather(ProgramBuilder& builder, std::int32_t id);
void lower_generator(ProgramBuilder& builder, std::int32_t id);  // iota, random

}  // namespace lazuli::cpu
