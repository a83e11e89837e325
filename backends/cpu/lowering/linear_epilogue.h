// SPDX-License-Identifier: MIT
// Elementwise work on the results of matmuls, done while they are in cache: the products, the body, and the next
// matmul's operand form (or the argmax of greedy decoding) become one chain over columns. What only the chain reads
// exists for one tile of columns at a time and is never written to memory. linear_plan.h says which nodes they are.
#pragma once

#include <lazuli/backends/cpu/lowering/linear_plan.h>

namespace lazuli::cpu {

// The chain that ends in node `id`.
void lower_epilogue(ProgramBuilder& builder, std::int32_t id, const Epilogue& epilogue);

}  // namespace lazuli::cpu
