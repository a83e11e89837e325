// SPDX-License-Identifier: MIT
// Functions of f32 values in generated code: one value or a vector of lanes. Built from additions, multiplications,
// divisions and integer operations without contraction, so that every instruction set gives the same bits.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>

namespace lazuli::cpu::jit {

// Cody & Waite reduction, polynomial of degree 6; 1 ulp. Results below 2^-126 are 0; above the range infinity; NaN
// stays.
llvm::Value* emit_exp(Emitter& emit, llvm::Value* x);
// (e - 1) / (e + 1) with e = exp(2 |x|), through expm1 so that small |x| keep their digits; 3 ulp, odd, within [-1, 1].
llvm::Value* emit_tanh(Emitter& emit, llvm::Value* x);
// Polynomial of degree 10 on [sqrt(1/2), sqrt(2)]; 1 ulp. Subnormals are exact operands, 0 gives -infinity, x < 0 NaN.
llvm::Value* emit_log(Emitter& emit, llvm::Value* x);
// Below 15/16 a polynomial, above it 1 - exp(polynomial), as in N. Juffa's erff; 1.3 ulp, odd, within [-1, 1].
llvm::Value* emit_erf(Emitter& emit, llvm::Value* x);
llvm::Value* emit_floor(Emitter& emit, llvm::Value* x);
llvm::Value* emit_ceil(Emitter& emit, llvm::Value* x);
llvm::Value* emit_trunc(Emitter& emit, llvm::Value* x);
llvm::Value* emit_round(Emitter& emit, llvm::Value* x);    // ties to even
llvm::Value* emit_sign(Emitter& emit, llvm::Value* x);     // 0 of both zeros; NaN stays
llvm::Value* emit_sigmoid(Emitter& emit, llvm::Value* x);  // 1 / (1 + exp(-x)); 0 where exp(-x) overflows
// NaN from either side; of zeros with different signs the first operand.
llvm::Value* emit_maximum(Emitter& emit, llvm::Value* a, llvm::Value* b);
llvm::Value* emit_minimum(Emitter& emit, llvm::Value* a, llvm::Value* b);

}  // namespace lazuli::cpu::jit
