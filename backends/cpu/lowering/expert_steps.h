// SPDX-License-Identifier: MIT
// Products with stacks of expert weights: every token has its own experts, and only chosen experts are read.
//
// For one token the threads share the outputs of its experts, one expert after the other. For many, the rows are sorted
// by expert, so that each expert's weights are read once for all its rows, and every thread computes its share of the
// outputs of every expert. The kernels compute each row by itself, so that both ways give the same bits.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_expert_linear(ProgramBuilder& builder, std::int32_t id);

}  // namespace lazuli::cpu
