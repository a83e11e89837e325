// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/math.h>
#include <llvm/IR/Intrinsics.h>

#include <initializer_list>
#include <limits>

namespace lazuli::cpu::jit {
namespace {

using llvm::Value;

constexpr float log2_e = 0x1.715476p+0f;
// ln 2 in two parts; the first has 10 bits, so that its product with an exponent is exact.
constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
// Adding it rounds a number below 2^22 in magnitude to an integer, which then stands in the low bits.
constexpr float round_to_integer = 0x1.8p+23f;
constexpr std::uint32_t round_to_integer_bits = 0x4b400000;

Value* bits_of(Emitter& emit, Value* x) { return emit.ir.CreateBitCast(x, shaped_like(emit.ir.getInt32Ty(), x)); }
Value* f32_of(Emitter& emit, Value* bits) {
  return emit.ir.CreateBitCast(bits, shaped_like(emit.ir.getFloatTy(), bits));
}
Value* absolute(Emitter& emit, Value* x) { return emit.ir.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }
Value* times(Emitter& emit, Value* x, float factor) { return emit.ir.CreateFMul(x, f32_like(x, factor)); }
Value* plus(Emitter& emit, Value* x, float term) { return emit.ir.CreateFAdd(x, f32_like(x, term)); }

// Horner's rule, highest coefficient first.
Value* polynomial(Emitter& emit, Value* x, std::initializer_list<float> coefficients) {
  Value* sum = f32_like(x, *coefficients.begin());
  for (auto next = coefficients.begin() + 1; next != coefficients.end(); ++next)
    sum = plus(emit, emit.ir.CreateFMul(sum, x), *next);
  return sum;
}

// x = exponent ln 2 + r with |r| <= ln 2 / 2; exp_minus_1 = e^r - 1. Out of range the exponent means nothing.
struct ReducedExp {
  Value* exponent;  // i32
  Value* exp_minus_1;
};

ReducedExp reduce_exp(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* shifted = plus(emit, times(emit, x, log2_e), round_to_integer);
  Value* exponent = ir.CreateSub(bits_of(emit, shifted), i32_like(x, round_to_integer_bits));
  Value* n = plus(emit, shifted, -round_to_integer);
  Value* r = ir.CreateFSub(x, times(emit, n, ln2_high));
  r = ir.CreateFSub(r, times(emit, n, ln2_low));
  // Minimax for (e^r - 1 - r) / r^2, relative to e^r: 2^-28.
  Value* p = polynomial(emit, r, {0x1.6a2358p-10f, 0x1.123a6cp-7f, 0x1.5558f4p-5f, 0x1.555490p-3f, 0x1.fffffcp-2f});
  return {exponent, ir.CreateFAdd(ir.CreateFMul(p, ir.CreateFMul(r, r)), r)};
}

}  // namespace

Value* emit_exp(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  const ReducedExp reduced = reduce_exp(emit, x);
  // The exponent is added to the bits, since 2^128 has no f32 although e^r 2^128 may have one.
  Value* fraction = bits_of(emit, plus(emit, reduced.exp_minus_1, 1));
  Value* result = f32_of(emit, ir.CreateAdd(fraction, ir.CreateShl(reduced.exponent, 23)));
  constexpr float last_finite = 0x1.62e42ep+6f, first_normal = -0x1.5d589ep+6f;
  result = ir.CreateSelect(ir.CreateFCmpOLT(x, f32_like(x, first_normal)), f32_like(x, 0), result);
  // The sum is infinity, or NaN where x is.
  return ir.CreateSelect(ir.CreateFCmpUGT(x, f32_like(x, last_finite)),
                         plus(emit, x, std::numeric_limits<float>::infinity()), result);
}

Value* emit_tanh(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr float saturated = 9.02f;  // from here on the result is 1
  Value* magnitude = absolute(emit, x);
  // This order of operands lets NaN through.
  Value* limit = f32_like(x, saturated);
  magnitude = ir.CreateSelect(ir.CreateFCmpOLT(limit, magnitude), limit, magnitude);
  const ReducedExp reduced = reduce_exp(emit, ir.CreateFAdd(magnitude, magnitude));
  Value* scale = f32_of(emit, ir.CreateShl(ir.CreateAdd(reduced.exponent, i32_like(x, 127)), 23));
  Value* expm1 = ir.CreateFAdd(ir.CreateFMul(scale, reduced.exp_minus_1), plus(emit, scale, -1));
  Value* result = ir.CreateFDiv(expm1, plus(emit, expm1, 2));
  return ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, result, x);
}

Value* emit_log(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* subnormal = ir.CreateFCmpOLT(x, f32_like(x, 0x1p-126f));
  Value* bits = bits_of(emit, ir.CreateSelect(subnormal, times(emit, x, 0x1p+23f), x));
  constexpr std::uint32_t sqrt_half = 0x3f3504f3;
  Value* above = ir.CreateSub(bits, i32_like(x, sqrt_half));
  Value* exponent = ir.CreateSIToFP(ir.CreateAShr(above, 23), shaped_like(ir.getFloatTy(), x));
  exponent = ir.CreateFSub(exponent, ir.CreateSelect(subnormal, f32_like(x, 23), f32_like(x, 0)));
  Value* mantissa = f32_of(emit, ir.CreateAdd(ir.CreateAnd(above, i32_like(x, 0x7fffff)), i32_like(x, sqrt_half)));
  Value* f = plus(emit, mantissa, -1);
  // Minimax for (log(1 + f) - f + f^2 / 2) / f^3: 2^-27.
  Value* p = polynomial(emit, f,
                        {-0x1.38c188p-4f, 0x1.056486p-3f, -0x1.0d8758p-3f, 0x1.22d90cp-3f, -0x1.5471f6p-3f,
                         0x1.99a010p-3f, -0x1.000228p-2f, 0x1.555554p-2f});
  Value* square = ir.CreateFMul(f, f);
  Value* tail = ir.CreateFMul(ir.CreateFMul(f, p), square);
  tail = ir.CreateFAdd(tail, times(emit, exponent, ln2_low));
  tail = ir.CreateFSub(tail, times(emit, square, 0.5f));
  Value* result = ir.CreateFAdd(ir.CreateFAdd(f, tail), times(emit, exponent, ln2_high));

  constexpr float infinity = std::numeric_limits<float>::infinity();
  Value* not_positive = ir.CreateSelect(ir.CreateFCmpOEQ(x, f32_like(x, 0)), f32_like(x, -infinity),
                                        f32_like(x, std::numeric_limits<float>::quiet_NaN()));
  result = ir.CreateSelect(ir.CreateFCmpOLT(x, f32_like(x, infinity)), result, x);
  return ir.CreateSelect(ir.CreateFCmpOLE(x, f32_like(x, 0)), not_positive, result);
}

Value* emit_erf(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr float steep = 0.9375f, saturated = 4;  // there the result is 1
  Value* magnitude = absolute(emit, x);
  // erf(a) / a - 1 in a²: 2^-30.
  Value* near_zero = polynomial(emit, ir.CreateFMul(magnitude, magnitude),
                                {0x1.5ac31ep-14f, -0x1.a99f0ep-11f, 0x1.54b5ecp-8f, -0x1.b80cb6p-6f, 0x1.ce2df4p-4f,
                                 -0x1.812742p-2f, 0x1.06eba8p-3f});
  near_zero = ir.CreateFAdd(magnitude, ir.CreateFMul(magnitude, near_zero));
  // This order of operands lets NaN through.
  Value* limit = f32_like(x, saturated);
  Value* a = ir.CreateSelect(ir.CreateFCmpOLT(limit, magnitude), limit, magnitude);
  // log(1 - erf(a)) / a: 2^-30 in erf.
  Value* log_of_rest = ir.CreateFMul(a, polynomial(emit, a,
                                                   {-0x1.833a3ep-17f, 0x1.55bac8p-12f, -0x1.df1344p-9f, 0x1.85c12ap-6f,
                                                    -0x1.b345f2p-4f, -0x1.453018p-1f, -0x1.20ef6ap+0f}));
  Value* far = ir.CreateFSub(f32_like(x, 1), emit_exp(emit, log_of_rest));
  Value* result = ir.CreateSelect(ir.CreateFCmpOLT(magnitude, f32_like(x, steep)), near_zero, far);
  return ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, result, x);
}

// By additions, not by roundps: the baseline lacks it and would call a function for every lane.
Value* emit_round(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr float integers_only = 0x1p+23f;  // from here on every f32 is an integer
  Value* magnitude = absolute(emit, x);
  Value* nearest = plus(emit, plus(emit, magnitude, integers_only), -integers_only);
  nearest = ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, nearest, x);
  return ir.CreateSelect(ir.CreateFCmpOLT(magnitude, f32_like(x, integers_only)), nearest, x);
}

Value* emit_floor(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* nearest = emit_round(emit, x);
  return ir.CreateSelect(ir.CreateFCmpOGT(nearest, x), plus(emit, nearest, -1), nearest);
}

Value* emit_ceil(Emitter& emit, Value* x) { return emit.ir.CreateFNeg(emit_floor(emit, emit.ir.CreateFNeg(x))); }

Value* emit_trunc(Emitter& emit, Value* x) {
  return emit.ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, emit_floor(emit, absolute(emit, x)), x);
}

Value* emit_sign(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* of_zero = ir.CreateSelect(ir.CreateFCmpUNO(x, x), x, f32_like(x, 0));
  Value* of_others = ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, f32_like(x, 1), x);
  return ir.CreateSelect(ir.CreateFCmpONE(x, f32_like(x, 0)), of_others, of_zero);
}

Value* emit_sigmoid(Emitter& emit, Value* x) {
  return emit.ir.CreateFDiv(f32_like(x, 1), plus(emit, emit_exp(emit, emit.ir.CreateFNeg(x)), 1));
}

Value* emit_maximum(Emitter& emit, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* larger = ir.CreateSelect(ir.CreateFCmpOGT(b, a), b, a);  // a where a is NaN
  return ir.CreateSelect(ir.CreateFCmpUNO(b, b), b, larger);
}

Value* emit_minimum(Emitter& emit, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* smaller = ir.CreateSelect(ir.CreateFCmpOLT(b, a), b, a);
  return ir.CreateSelect(ir.CreateFCmpUNO(b, b), b, smaller);
}

}  // namespace lazuli::cpu::jit
