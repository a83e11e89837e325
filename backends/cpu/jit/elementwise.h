// SPDX-License-Identifier: MIT
// Code for one elementwise op of a body.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/graph/graph.h>

#include <span>

namespace lazuli::cpu::jit {

// `operands` are computed values (lanes.h) of types `dtypes`, all scalars or all vectors. The result is rounded to the
// node's type.
llvm::Value* emit_elementwise(Emitter& emit, const GraphNode& node, std::span<llvm::Value* const> operands,
                              std::span<const DType> dtypes);

// Combines two partial reductions of computed type: Op::sum, Op::mean (adds), Op::prod, Op::max, Op::min, or, of bools,
// Op::any or Op::all.
llvm::Value* emit_combine(Emitter& emit, Op reduction, DType dtype, llvm::Value* a, llvm::Value* b);
// What combining leaves unchanged: -0 and 0 for sums, 1 for products, the ends of the range for max and min.
llvm::Constant* reduction_identity(llvm::LLVMContext& context, Op reduction, DType dtype);

}  // namespace lazuli::cpu::jit
