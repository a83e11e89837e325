// SPDX-License-Identifier: MIT
// Pooling: each pixel of the result is the maximum or the mean of some pixels of x, channel by channel.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_max_pool(ProgramBuilder& builder, std::int32_t id);
void lower_mean_pool(ProgramBuilder& builder, std::int32_t id);
void lower_adaptive_max_pool(ProgramBuilder& builder, std::int32_t id);
void lower_adaptive_mean_pool(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
