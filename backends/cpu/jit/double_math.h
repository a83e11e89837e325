// SPDX-License-Identifier: MIT
// Functions of f32 values in generated code that compute in f64 and round once at the end: one value or a vector of
// lanes. 53 bits leave so much room that polynomials, Horner's rule without contraction and plain reductions give f32
// results within 1 ulp (pow: 1.5), subnormal ones included, and the same bits with every instruction set. Where terms
// are so far below the result that f32 holds all their digits that count, they are taken in f32. Edge cases are those
// of C99, annex F.
//
// Polynomials are minimax for the relative error (Remez 1934, the exchange algorithm; each states what it reaches);
// reductions are those of Muller, Elementary Functions, 3rd edition 2016: additive (Cody & Waite 1980) for exponentials
// and angles, multiplicative for logarithms, by symmetry for inverse functions.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>

namespace lazuli::cpu::jit {

llvm::Value* emit_exp2(Emitter& emit, llvm::Value* x);
llvm::Value* emit_expm1(Emitter& emit, llvm::Value* x);
llvm::Value* emit_sinh(Emitter& emit, llvm::Value* x);
llvm::Value* emit_cosh(Emitter& emit, llvm::Value* x);

llvm::Value* emit_log2(Emitter& emit, llvm::Value* x);
llvm::Value* emit_log10(Emitter& emit, llvm::Value* x);
llvm::Value* emit_log1p(Emitter& emit, llvm::Value* x);
llvm::Value* emit_asinh(Emitter& emit, llvm::Value* x);
llvm::Value* emit_acosh(Emitter& emit, llvm::Value* x);
llvm::Value* emit_atanh(Emitter& emit, llvm::Value* x);
llvm::Value* emit_pow(Emitter& emit, llvm::Value* x, llvm::Value* y);

// Angles beyond 2^27 go to the C library, lane by lane: no angle loses its digits.
llvm::Value* emit_sin(Emitter& emit, llvm::Value* x);
llvm::Value* emit_cos(Emitter& emit, llvm::Value* x);
llvm::Value* emit_tan(Emitter& emit, llvm::Value* x);

llvm::Value* emit_asin(Emitter& emit, llvm::Value* x);
llvm::Value* emit_acos(Emitter& emit, llvm::Value* x);
llvm::Value* emit_atan(Emitter& emit, llvm::Value* x);
llvm::Value* emit_atan2(Emitter& emit, llvm::Value* y, llvm::Value* x);

// Exact. Quotients beyond 2^27 go to the C library, lane by lane.
llvm::Value* emit_fmod(Emitter& emit, llvm::Value* x, llvm::Value* y);       // the sign of x
llvm::Value* emit_remainder(Emitter& emit, llvm::Value* x, llvm::Value* y);  // the sign of y, also of a zero

}  // namespace lazuli::cpu::jit
