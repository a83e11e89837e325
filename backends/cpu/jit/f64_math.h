// SPDX-License-Identifier: MIT
// Functions of f64 values in generated code, one value or a vector of lanes. Those that are a few exact operations are
// generated; the rest is the C library's, number by number (glibc states 1 to 2 ulp): the formulas of double_math.h
// give the digits of an f32 alone.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/graph/op.h>

namespace lazuli::cpu::jit {

// Null: the op is no function of this file.
llvm::Value* emit_f64_unary(Emitter& emit, Op op, llvm::Value* x);
llvm::Value* emit_f64_binary(Emitter& emit, Op op, llvm::Value* a, llvm::Value* b);

}  // namespace lazuli::cpu::jit
