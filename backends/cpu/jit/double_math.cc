// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/double_math.h>
#include <lazuli/backends/cpu/jit/rare_lanes.h>
#include <llvm/IR/Intrinsics.h>

#include <bit>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <numbers>
#include <vector>

namespace lazuli::cpu::jit {
namespace {

using llvm::Value;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();
constexpr double pi = std::numbers::pi;

// An f64 value of generated code, or an f32 one, with which formulas read like formulas.
struct Real {
  llvm::IRBuilder<>* ir;
  Value* value;
};

Real like(Real x, double number) { return {x.ir, llvm::ConstantFP::get(x.value->getType(), number)}; }
Real operator+(Real a, Real b) { return {a.ir, a.ir->CreateFAdd(a.value, b.value)}; }
Real operator-(Real a, Real b) { return {a.ir, a.ir->CreateFSub(a.value, b.value)}; }
Real operator*(Real a, Real b) { return {a.ir, a.ir->CreateFMul(a.value, b.value)}; }
Real operator/(Real a, Real b) { return {a.ir, a.ir->CreateFDiv(a.value, b.value)}; }
Real operator+(Real a, double b) { return a + like(a, b); }
Real operator-(Real a, double b) { return a - like(a, b); }
Real operator*(Real a, double b) { return a * like(a, b); }
Real operator-(double a, Real b) { return like(b, a) - b; }
Value* operator<(Real a, Real b) { return a.ir->CreateFCmpOLT(a.value, b.value); }
Value* operator<(Real a, double b) { return a < like(a, b); }
Value* operator>(Real a, Real b) { return b < a; }
Value* operator>(Real a, double b) { return like(a, b) < a; }
Value* operator==(Real a, Real b) { return a.ir->CreateFCmpOEQ(a.value, b.value); }
Value* operator==(Real a, double b) { return a == like(a, b); }
Real choose(Value* condition, Real a, Real b) { return {a.ir, a.ir->CreateSelect(condition, a.value, b.value)}; }
Real choose(Value* condition, double a, Real b) { return choose(condition, like(b, a), b); }
Real absolute(Real x) { return {x.ir, x.ir->CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x.value)}; }
Real root(Real x) { return {x.ir, x.ir->CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x.value)}; }
// NaN stays.
Real clamp(Real x, double low, double high) {
  x = choose(x > high, high, x);
  return choose(x < low, low, x);
}

Real widened(Emitter& emit, Value* x) {
  return {&emit.ir, emit.ir.CreateFPExt(x, shaped_like(emit.ir.getDoubleTy(), x))};
}
Value* narrowed(Real x) { return x.ir->CreateFPTrunc(x.value, shaped_like(x.ir->getFloatTy(), x.value)); }

// Parts of a sum that are far below it, which f32 gives digits enough, at twice the lanes an instruction.
Real in_f32(Real x) { return {x.ir, narrowed(x)}; }
Real in_f64(Real x) { return {x.ir, x.ir->CreateFPExt(x.value, shaped_like(x.ir->getDoubleTy(), x.value))}; }

Value* bits_of(Real x) { return x.ir->CreateBitCast(x.value, shaped_like(x.ir->getInt64Ty(), x.value)); }
Value* i64_like(Value* like, std::uint64_t number) {
  return llvm::ConstantInt::get(shaped_like(llvm::Type::getInt64Ty(like->getContext()), like), number);
}
Real from_bits(llvm::IRBuilder<>& ir, Value* bits) {
  return {&ir, ir.CreateBitCast(bits, shaped_like(ir.getDoubleTy(), bits))};
}

// Coefficients highest first. In pairs (Estrin 1960): Horner's rule would be one long chain of operations that wait for
// each other, and loops of such chains for the processor's window.
Real polynomial(Real x, std::initializer_list<double> coefficients) {
  std::vector<Real> terms;
  for (auto next = std::rbegin(coefficients); next != std::rend(coefficients); ++next) terms.push_back(like(x, *next));
  for (Real power = x; terms.size() > 1; power = power * power) {
    std::vector<Real> pairs;
    for (std::size_t i = 0; i + 1 < terms.size(); i += 2) pairs.push_back(terms[i] + terms[i + 1] * power);
    if (terms.size() % 2 != 0) pairs.push_back(terms.back());
    terms = std::move(pairs);
  }
  return terms[0];
}

// A number below 2^51 in magnitude to the nearest integer, which then also stands in the low bits of `bits`.
struct Nearest {
  Real number;
  Value* bits;
};
Nearest nearest(Real x) {
  constexpr double to_integer = 0x1.8p52;
  const Real shifted = x + to_integer;
  return {shifted - to_integer, bits_of(shifted)};
}

Value* f32_bits(Emitter& emit, Value* x) { return emit.ir.CreateBitCast(x, shaped_like(emit.ir.getInt32Ty(), x)); }
Value* f32_from(Emitter& emit, Value* bits) {
  return emit.ir.CreateBitCast(bits, shaped_like(emit.ir.getFloatTy(), bits));
}
Value* magnitude_of(Emitter& emit, Value* x) { return emit.ir.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }
Value* with_sign(Emitter& emit, Value* x, Value* sign) {
  return emit.ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, x, sign);
}

// ---- Exponentials

// 2^n, or 2^-n. |n| < 1000.
Real power_of_2(const Nearest& n, bool inverse = false) {
  llvm::IRBuilder<>& ir = *n.number.ir;
  Value* exponent = ir.CreateShl(n.bits, 52);
  Value* one = i64_like(exponent, std::bit_cast<std::uint64_t>(1.0));
  return from_bits(ir, inverse ? ir.CreateSub(one, exponent) : ir.CreateAdd(one, exponent));
}

// 2^t = power (1 + odd + even) where odd = sinh(s ln 2) and even = cosh(s ln 2) - 1 with s in [-1/2, 1/2];
// inverse_power = 1 / power. |t| < 1000.
struct Exp2Parts {
  Real power, inverse_power, odd, even;
};
Exp2Parts exp2_parts(Real t) {
  const Nearest n = nearest(t);
  const Real s = t - n.number, z = s * s;
  // 2^-37 and 2^-34.
  const Real odd =
      s * polynomial(z, {0x1.00c0a2c98d85bp-16, 0x1.5d8775fb520afp-10, 0x1.c6b08da6c280cp-5, 0x1.62e42fef9cd71p-1});
  const Real even = z * polynomial(z, {0x1.445e77e684fcfp-13, 0x1.3b29f0ea09a17p-7, 0x1.ebfbe07ad44c0p-3});
  return {power_of_2(n), power_of_2(n, true), odd, even};
}

// 2^160 is infinite in f32, and 2^-160 less than half its least subnormal.
constexpr double beyond_f32 = 160;

Real exp2_of(Real t) {
  const Exp2Parts parts = exp2_parts(clamp(t, -beyond_f32, beyond_f32));
  return parts.power + parts.power * (parts.odd + parts.even);
}

// e^x by way of 2^(x log2 e).
Exp2Parts exp_parts(Real x) { return exp2_parts(clamp(x * std::numbers::log2e, -beyond_f32, beyond_f32)); }

// ---- Logarithms

// v = 2^exponent (1 + fraction) with 1 + fraction in [sqrt(1/2), sqrt(2)); v positive, normal and finite.
struct LogParts {
  Real exponent, fraction;
};
LogParts log_parts(Real v) {
  llvm::IRBuilder<>& ir = *v.ir;
  Value* bits = bits_of(v);
  auto constant = [&](std::uint64_t number) { return i64_like(bits, number); };
  constexpr auto root_half = std::bit_cast<std::uint64_t>(0.5 * std::numbers::sqrt2);
  constexpr std::uint64_t mantissa = (std::uint64_t{1} << 52) - 1, bias = 1024, two_to_52 = 0x433ull << 52;
  Value* above = ir.CreateSub(bits, constant(root_half));
  Value* biased = ir.CreateLShr(ir.CreateAdd(above, constant(bias << 52)), 52);
  const Real exponent = from_bits(ir, ir.CreateOr(biased, constant(two_to_52))) - (0x1p52 + bias);
  const Real significand = from_bits(ir, ir.CreateAdd(ir.CreateAnd(above, constant(mantissa)), constant(root_half)));
  return {exponent, significand - 1.0};
}

// start + log(1 + f) on that interval: 2^-27. What is below f^3 is taken in f32. What does not wait for that comes
// first: short chains keep the processor's window from filling with operations that wait.
Real plus_log_of_fraction(Real start, Real f) {
  const Real narrow = in_f32(f);
  const Real high = (narrow * narrow) * polynomial(narrow, {-0x1.38300ap-4, 0x1.0847bap-3, -0x1.0f370cp-3, 0x1.2271bp-3,
                                                            -0x1.54277cp-3, 0x1.99a3f2p-3, -0x1.000426p-2});
  const Real square = f * f, low = f * 0x1.555550399be52p-2 - 0x1.fffff82e172a6p-2;
  return (start + f) + square * (low + in_f64(high));
}

Real log2_of(Real v) {
  const LogParts parts = log_parts(v);
  return parts.exponent + plus_log_of_fraction(like(v, 0), parts.fraction) * std::numbers::log2e;
}

Real log_of(Real v) {
  const LogParts parts = log_parts(v);
  return plus_log_of_fraction(parts.exponent * std::numbers::ln2, parts.fraction);
}

// Where 1 + x is next to 1, its fraction is x itself and not what the addition left of it.
Real log1p_of(Real x) {
  const LogParts parts = log_parts(x + 1.0);
  const Real fraction = choose(parts.exponent == 0.0, x, parts.fraction);
  return plus_log_of_fraction(parts.exponent * std::numbers::ln2, fraction);
}

// What a logarithm gives outside the positive numbers: -infinity at its pole, NaN below it; infinity and NaN stay.
Value* with_log_edges(Emitter& emit, Value* x, float pole, Value* result) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* at_pole = ir.CreateFCmpOEQ(x, f32_like(x, pole));
  Value* outside = ir.CreateSelect(at_pole, f32_like(x, -infinity), f32_like(x, quiet_nan));
  result = ir.CreateSelect(ir.CreateFCmpOLT(x, f32_like(x, infinity)), result, x);
  return ir.CreateSelect(ir.CreateFCmpOLE(x, f32_like(x, pole)), outside, result);
}

// log2(x) of a positive finite f32 to 2^-30.6: times an exponent of up to 2^7 it puts pow 0.9 ulp off before the result
// is rounded. What is below f^4 is taken in f32, where x minus 1 is exact.
Real precise_log2(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr std::uint32_t two_thirds = 0x3f2aaaab;
  Value* is_subnormal = ir.CreateFCmpOLT(x, f32_like(x, 0x1p-126f));
  x = ir.CreateSelect(is_subnormal, ir.CreateFMul(x, f32_like(x, 0x1p24f)), x);
  Value* above = ir.CreateSub(f32_bits(emit, x), i32_like(x, two_thirds));
  Value* exponent = ir.CreateAShr(above, 23);
  exponent = ir.CreateSub(exponent, ir.CreateSelect(is_subnormal, i32_like(x, 24), i32_like(x, 0)));
  Value* significand = ir.CreateAdd(ir.CreateAnd(above, i32_like(x, 0x7fffff)), i32_like(x, two_thirds));
  const Real fraction{&ir, ir.CreateFSub(f32_from(emit, significand), f32_like(x, 1))};
  const Real f = in_f64(fraction);
  const Real whole{&ir, ir.CreateSIToFP(exponent, shaped_like(ir.getDoubleTy(), x))};
  const Real high =
      (fraction * fraction) * polynomial(fraction, {-0x1.5397c2p-3, 0x1.689b6ep-3, -0x1.19b372p-3, 0x1.3c0fa8p-3,
                                                    -0x1.724550p-3, 0x1.a6d174p-3, -0x1.ec68bap-3, 0x1.27744ep-2});
  const Real square = f * f, cube = square * f;
  const Real low = whole + (f * 0x1.7154765218a49p+0 - square * 0x1.7154764a54d70p-1);
  const Real middle = f * -0x1.715484789120dp-2 + 0x1.ec70a3cb459cfp-2;
  return low + cube * (middle + in_f64(high));
}

// 2^t with |t| <= beyond_f32: 2^-28.
Real exp2_within_f32(Real t) {
  llvm::IRBuilder<>& ir = *t.ir;
  const Nearest n = nearest(t);
  const Real s = t - n.number;
  const Real power = polynomial(s, {0x1.41fd51751bb8dp-13, 0x1.5f3e307ce3594p-10, 0x1.3b2d4a6988184p-7,
                                    0x1.c6aee8eb2da69p-5, 0x1.ebfbdc400c747p-3, 0x1.62e430aebd485p-1, 1});
  return from_bits(ir, ir.CreateAdd(bits_of(power), ir.CreateShl(n.bits, 52)));
}

// pow of operands that are not positive and finite, or of an infinite exponent; `magnitude` is pow(|x|, y) where that
// has a finite logarithm.
Value* emit_special_pow(Emitter& emit, Value* x, Value* y, Value* magnitude) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value *zero = f32_like(x, 0), *one = f32_like(x, 1), *inf = f32_like(x, infinity);
  Value *base = magnitude_of(emit, x), *exponent = magnitude_of(emit, y);
  // From 0, infinity and infinite exponents follow 0, infinity, or 1 where the base is ±1.
  Value* falls = ir.CreateXor(ir.CreateFCmpOLT(base, one), ir.CreateFCmpOLT(y, zero));
  Value* extreme = ir.CreateSelect(ir.CreateFCmpOEQ(base, one), one, ir.CreateSelect(falls, zero, inf));
  Value* of_extreme_base = ir.CreateOr(ir.CreateFCmpOEQ(base, zero), ir.CreateFCmpOEQ(base, inf));
  Value* is_extreme = ir.CreateOr(of_extreme_base, ir.CreateFCmpOEQ(exponent, inf));
  Value* result = ir.CreateSelect(is_extreme, extreme, magnitude);

  // From 2^23 on every f32 is an integer, from 2^24 on an even one; below, adding 2^23 leaves the integer in the bits.
  constexpr float integers_only = 0x1p23f, even_only = 0x1p24f;
  Value* shifted = ir.CreateFAdd(exponent, f32_like(y, integers_only));
  Value* is_large = ir.CreateFCmpOGE(exponent, f32_like(y, integers_only));
  Value* nearest_integer = ir.CreateFSub(shifted, f32_like(y, integers_only));
  Value* is_integer = ir.CreateOr(is_large, ir.CreateFCmpOEQ(nearest_integer, exponent));
  Value* last_bit = ir.CreateShl(f32_bits(emit, ir.CreateSelect(is_large, exponent, shifted)), 31);
  Value* may_be_odd = ir.CreateAnd(is_integer, ir.CreateFCmpOLT(exponent, f32_like(y, even_only)));
  Value* sign = ir.CreateAnd(f32_bits(emit, x), ir.CreateSelect(may_be_odd, last_bit, i32_like(x, 0)));
  result = f32_from(emit, ir.CreateOr(f32_bits(emit, result), sign));

  Value* is_negative = ir.CreateAnd(ir.CreateFCmpOLT(x, zero), ir.CreateFCmpOLT(base, inf));
  result = ir.CreateSelect(ir.CreateAnd(is_negative, ir.CreateNot(is_integer)), f32_like(x, quiet_nan), result);
  result = ir.CreateSelect(ir.CreateFCmpUNO(x, y), ir.CreateFAdd(x, y), result);
  return ir.CreateSelect(ir.CreateOr(ir.CreateFCmpOEQ(y, zero), ir.CreateFCmpOEQ(x, one)), one, result);
}

// ---- Angles

// Parts of pi: the first two have 25 bits at most, so that their products with integers and halves below 2^27 are
// exact. What all three leave out is 2^-102.
constexpr double pi_high = 0x1.921fb4p1, pi_middle = 0x1.4442d1p-23, pi_low = 0x1.08d313198a2e0p-48;
constexpr float largest_reduced_angle = 0x1p27f;

// x - n pi, or x - n pi / 2 where `scale` is 1/2.
Real minus_multiple_of_pi(Real x, Real n, double scale = 1) {
  return ((x - n * (scale * pi_high)) - n * (scale * pi_middle)) - n * (scale * pi_low);
}

// sin(r) with |r| <= pi / 2: 2^-35.
Real sin_within_half_pi(Real r) {
  return r * polynomial(r * r, {-0x1.9a0d93caeb446p-26, 0x1.716b9f1b93c33p-19, -0x1.a017a8d007262p-13,
                                0x1.11110b741c851p-7, -0x1.5555554173262p-3, 0x1.ffffffffd1766p-1});
}

// Negative where n is odd.
Real with_sign_of_power(Real x, Value* n_bits) {
  return from_bits(*x.ir, x.ir->CreateXor(bits_of(x), x.ir->CreateShl(n_bits, 63)));
}

Value* needs_library(Emitter& emit, Value* x) {
  Value* magnitude = magnitude_of(emit, x);
  return emit.ir.CreateAnd(emit.ir.CreateFCmpOGT(magnitude, f32_like(x, largest_reduced_angle)),
                           emit.ir.CreateFCmpOLT(magnitude, f32_like(x, infinity)));
}

// asin(s) with 0 <= s <= 1/2, and its square z: 2^-31.
Real asin_of(Real s, Real z) {
  return s * polynomial(z, {0x1.365b5eaf67da8p-5, 0x1.cf569ebb6f761p-7, 0x1.055455f80f104p-5, 0x1.6c91d63f98781p-5,
                            0x1.333987bc6148cp-4, 0x1.5555484d143d4p-3, 0x1.00000001174dcp+0});
}

// Of |x| > 1/2 asin is pi / 2 - 2 asin(sqrt((1 - |x|) / 2)); `arc` is the inner asin, or that of |x| itself.
struct AsinParts {
  Value* is_small;
  Real arc;
};
AsinParts asin_parts(Emitter& emit, Value* x) {
  const Real magnitude = absolute(widened(emit, x));
  Value* is_small = magnitude < 0.5;
  const Real z = choose(is_small, magnitude * magnitude, (1.0 - magnitude) * 0.5);
  return {is_small, asin_of(choose(is_small, magnitude, root(z)), z)};
}

// atan(q) with 0 <= q <= 1: 2^-31.
Real atan_within_one(Real q) {
  return q *
         polynomial(q * q, {0x1.1e072cbd0c83ep-10, -0x1.d7d18ae56c43bp-8, 0x1.6cf15961cd051p-6, -0x1.6b6059f82c8a7p-5,
                            0x1.13177679b992fp-4, -0x1.6865cbb8986d4p-4, 0x1.c4cad77a814eep-4, -0x1.246feb8b67d3ep-3,
                            0x1.999786f272629p-3, -0x1.55554f06c01e5p-2, 0x1.fffffffcce9bap-1});
}

}  // namespace

Value* emit_exp2(Emitter& emit, Value* x) { return narrowed(exp2_of(widened(emit, x))); }

Value* emit_expm1(Emitter& emit, Value* x) {
  const Exp2Parts e = exp_parts(widened(emit, x));
  return with_sign(emit, narrowed((e.power - 1.0) + e.power * (e.odd + e.even)), x);
}

Value* emit_sinh(Emitter& emit, Value* x) {
  const Exp2Parts e = exp_parts(widened(emit, x));
  const Real twice = (e.power - e.inverse_power) * (e.even + 1.0) + (e.power + e.inverse_power) * e.odd;
  return with_sign(emit, narrowed(twice * 0.5), x);
}

Value* emit_cosh(Emitter& emit, Value* x) {
  const Exp2Parts e = exp_parts(widened(emit, x));
  const Real twice = (e.power + e.inverse_power) * (e.even + 1.0) + (e.power - e.inverse_power) * e.odd;
  return narrowed(twice * 0.5);
}

Value* emit_log2(Emitter& emit, Value* x) { return with_log_edges(emit, x, 0, narrowed(log2_of(widened(emit, x)))); }

Value* emit_log10(Emitter& emit, Value* x) {
  constexpr double log10_of_2 = std::numbers::ln2 / std::numbers::ln10;
  return with_log_edges(emit, x, 0, narrowed(log2_of(widened(emit, x)) * log10_of_2));
}

// It has the sign of x, which the sum of a zero's parts has not.
Value* emit_log1p(Emitter& emit, Value* x) {
  Value* result = emit.ir.CreateCopySign(narrowed(log1p_of(widened(emit, x))), x);
  return with_log_edges(emit, x, -1, result);
}

// log(a + sqrt(a² + 1)), and a itself where that is nearest to it, give or take a sixth of an ulp.
Value* emit_asinh(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr float linear = 0x1p-12f;
  Value* magnitude = magnitude_of(emit, x);
  const Real a = widened(emit, magnitude);
  Value* result = narrowed(log_of(a + root(a * a + 1.0)));
  Value* is_usual = ir.CreateAnd(ir.CreateFCmpOGT(magnitude, f32_like(x, linear)),
                                 ir.CreateFCmpOLT(magnitude, f32_like(x, infinity)));
  return with_sign(emit, ir.CreateSelect(is_usual, result, magnitude), x);
}

// log(x + sqrt(x² - 1)), which is 0 or at least 2^-11.
Value* emit_acosh(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  const Real wide = widened(emit, x);
  Value* result = narrowed(log_of(wide + root(wide * wide - 1.0)));
  result = ir.CreateSelect(ir.CreateFCmpOLT(x, f32_like(x, infinity)), result, x);
  return ir.CreateSelect(ir.CreateFCmpOLT(x, f32_like(x, 1)), f32_like(x, quiet_nan), result);
}

// log1p(2a / (1 - a)) / 2
Value* emit_atanh(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* magnitude = magnitude_of(emit, x);
  const Real a = widened(emit, magnitude);
  Value* result = narrowed(log1p_of((a + a) / (1.0 - a)) * 0.5);
  Value* at_one = ir.CreateFCmpOEQ(magnitude, f32_like(x, 1));
  Value* outside = ir.CreateSelect(at_one, f32_like(x, infinity), f32_like(x, quiet_nan));
  result = ir.CreateSelect(ir.CreateFCmpOLT(magnitude, f32_like(x, 1)), result, outside);
  return with_sign(emit, result, x);
}

Value* emit_pow(Emitter& emit, Value* x, Value* y) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value *zero = f32_like(x, 0), *inf = f32_like(x, infinity);
  const Real t = widened(emit, y) * precise_log2(emit, magnitude_of(emit, x));
  Value* magnitude = narrowed(exp2_within_f32(t));
  Value* is_usual = ir.CreateAnd(ir.CreateAnd(ir.CreateFCmpOGT(x, zero), ir.CreateFCmpOLT(x, inf)),
                                 ir.CreateAnd(ir.CreateFCmpOLT(magnitude_of(emit, y), inf), absolute(t) < beyond_f32));
  return emit_for_rare_lanes(emit, ir.CreateNot(is_usual), magnitude, [&] {
    Value* of_small = ir.CreateSelect(t < -beyond_f32, zero, magnitude);
    return emit_special_pow(emit, x, y, ir.CreateSelect(t > beyond_f32, inf, of_small));
  });
}

// (-1)^n sin(x - n pi)
Value* emit_sin(Emitter& emit, Value* x) {
  const Real wide = widened(emit, x);
  const Nearest n = nearest(wide * std::numbers::inv_pi);
  const Real sine = sin_within_half_pi(minus_multiple_of_pi(wide, n.number));
  Value* result = narrowed(with_sign_of_power(sine, n.bits));
  return emit_for_rare_lanes(emit, needs_library(emit, x), result,
                             [&] { return emit_library_call(emit, LibraryCall::sin, x, nullptr); });
}

// -(-1)^n sin(x - (n + 1/2) pi)
Value* emit_cos(Emitter& emit, Value* x) {
  const Real wide = widened(emit, x);
  const Nearest n = nearest(wide * std::numbers::inv_pi - 0.5);
  const Real sine = sin_within_half_pi(minus_multiple_of_pi(wide, n.number + 0.5));
  Value* result = narrowed(with_sign_of_power(like(sine, 0) - sine, n.bits));
  return emit_for_rare_lanes(emit, needs_library(emit, x), result,
                             [&] { return emit_library_call(emit, LibraryCall::cos, x, nullptr); });
}

// tan(x - n pi / 2), or minus its inverse where n is odd.
Value* emit_tan(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  const Real wide = widened(emit, x);
  const Nearest n = nearest(wide * (2 * std::numbers::inv_pi));
  const Real r = minus_multiple_of_pi(wide, n.number, 0.5);
  // |r| <= pi / 4: 2^-29.
  const Real tangent =
      r * polynomial(r * r, {0x1.21d817ebc5c06p-8, -0x1.1a2009a4f4a61p-16, 0x1.6641e34599405p-7, 0x1.5bf234bebe2bap-6,
                             0x1.baf360d21fe2dp-5, 0x1.110ccfc2b1931p-3, 0x1.5555658fc2666p-2, 0x1.fffffff5ea811p-1});
  Value* is_odd = ir.CreateICmpNE(ir.CreateAnd(n.bits, i64_like(n.bits, 1)), i64_like(n.bits, 0));
  Value* result = narrowed(choose(is_odd, -1.0, tangent) / choose(is_odd, tangent, like(tangent, 1)));
  return emit_for_rare_lanes(emit, needs_library(emit, x), result,
                             [&] { return emit_library_call(emit, LibraryCall::tan, x, nullptr); });
}

Value* emit_asin(Emitter& emit, Value* x) {
  const auto [is_small, arc] = asin_parts(emit, x);
  return with_sign(emit, narrowed(choose(is_small, arc, pi / 2 - arc * 2.0)), x);
}

Value* emit_acos(Emitter& emit, Value* x) {
  const auto [is_small, arc] = asin_parts(emit, x);
  Value* is_negative = widened(emit, x) < 0.0;
  const Real of_small = choose(is_negative, arc + pi / 2, pi / 2 - arc), twice = arc * 2.0;
  return narrowed(choose(is_small, of_small, choose(is_negative, pi - twice, twice)));
}

Value* emit_atan(Emitter& emit, Value* x) {
  const Real magnitude = absolute(widened(emit, x));
  Value* is_large = magnitude > 1.0;
  const Real arc = atan_within_one(choose(is_large, 1.0, magnitude) / choose(is_large, magnitude, like(magnitude, 1)));
  return with_sign(emit, narrowed(choose(is_large, pi / 2 - arc, arc)), x);
}

Value* emit_atan2(Emitter& emit, Value* y, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  const Real height = absolute(widened(emit, y)), width = absolute(widened(emit, x));
  Value* is_steep = height > width;
  const Real smaller = choose(is_steep, width, height), larger = choose(is_steep, height, width);
  Real ratio = choose(smaller == larger, 1.0, smaller / larger);  // of infinities, too
  ratio = choose(larger == 0.0, 0.0, ratio);
  Real arc = atan_within_one(ratio);
  arc = choose(is_steep, pi / 2 - arc, arc);
  Value* is_left = ir.CreateICmpSLT(f32_bits(emit, x), i32_like(x, 0));  // of -0, too
  Value* result = with_sign(emit, narrowed(choose(is_left, pi - arc, arc)), y);
  return ir.CreateSelect(ir.CreateFCmpUNO(x, y), ir.CreateFAdd(x, y), result);
}

// While the quotient is below 2^27, it rounds to no integer that it is not, and its integer times |y| has 51 bits.
Value* emit_fmod(Emitter& emit, Value* x, Value* y) {
  llvm::IRBuilder<>& ir = emit.ir;
  constexpr double largest_quotient = 0x1p27, integers_only = 0x1p52;
  const Real a = absolute(widened(emit, x)), b = absolute(widened(emit, y)), quotient = a / b;
  const Real nearest_integer = (quotient + integers_only) - integers_only;
  const Real truncated = choose(nearest_integer > quotient, nearest_integer - 1.0, nearest_integer);
  const Real left = choose(a < b, a, a - truncated * b);
  Value* is_large =
      ir.CreateAnd(ir.CreateNot(quotient < largest_quotient), ir.CreateAnd(a < static_cast<double>(infinity), b > 0.0));
  return emit_for_rare_lanes(emit, is_large, with_sign(emit, narrowed(left), x),
                             [&] { return emit_library_call(emit, LibraryCall::fmod, x, y); });
}

Value* emit_remainder(Emitter& emit, Value* x, Value* y) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* left = emit_fmod(emit, x, y);
  Value* zero = f32_like(x, 0);
  Value* signs_differ = ir.CreateXor(ir.CreateFCmpOLT(left, zero), ir.CreateFCmpOLT(y, zero));
  Value* moved = ir.CreateSelect(signs_differ, ir.CreateFAdd(left, y), left);
  return ir.CreateSelect(ir.CreateFCmpOEQ(left, zero), with_sign(emit, left, y), moved);
}

}  // namespace lazuli::cpu::jit
