// SPDX-License-Identifier: MIT
// Elementwise ops. Integer lambdas that take Bits wrap around: unsigned arithmetic does, signed must not.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/base/fail.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

namespace lazuli::reference {
namespace {

using Integer = std::int64_t;
using Bits = std::uint64_t;

template <class OnReal, class OnInteger>
void unary(const Call& call, OnReal on_real, OnInteger on_integer) {
  const Tensor &x = call.operand(0), &result = call.result();
  const bool real = is_real(result.dtype());
  for (std::int64_t i = 0; i < result.elements(); ++i)
    if (real)
      result.set_real(i, on_real(x.real(i)));
    else
      result.set_integer(
          i, as_stored(result.dtype(), [&](auto a) { return static_cast<Integer>(on_integer(a)); }, x.integer(i)));
}

double no_bit(double) { fail_internal("bits of a real number"); }
double no_bits(double, double) { fail_internal("bits of real numbers"); }

template <class OnReal>
void unary_real(const Call& call, OnReal on_real) {
  const Tensor &x = call.operand(0), &result = call.result();
  for (std::int64_t i = 0; i < result.elements(); ++i) result.set_real(i, on_real(x.real(i)));
}

// Visits (position in the result, element of operand 0, element of operand 1).
template <class Visit>
void for_each_pair(const Call& call, Visit visit) {
  const Shape& shape = call.result().shape();
  const std::array<Dims, 2> strides = {broadcast_strides(call.operand(0).shape(), shape),
                                       broadcast_strides(call.operand(1).shape(), shape)};
  for_each_index(shape, strides, [&](std::int64_t i, const auto& offsets) { visit(i, offsets[0], offsets[1]); });
}

template <class OnReal, class OnInteger>
void binary(const Call& call, OnReal on_real, OnInteger on_integer) {
  const Tensor &a = call.operand(0), &b = call.operand(1), &result = call.result();
  const bool real = is_real(result.dtype());
  for_each_pair(call, [&](std::int64_t i, std::int64_t ai, std::int64_t bi) {
    if (real)
      result.set_real(i, on_real(a.real(ai), b.real(bi)));
    else
      result.set_integer(i, as_stored(
                                result.dtype(), [&](auto p, auto q) { return static_cast<Integer>(on_integer(p, q)); },
                                a.integer(ai), b.integer(bi)));
  });
}

// `holds` takes two doubles, or two integers.
template <class Holds>
void compare(const Call& call, Holds holds) {
  const Tensor &a = call.operand(0), &b = call.operand(1);
  const bool real = is_real(a.dtype());
  for_each_pair(call, [&](std::int64_t i, std::int64_t ai, std::int64_t bi) {
    call.result().set_integer(
        i, real ? holds(a.real(ai), b.real(bi)) : as_stored(a.dtype(), holds, a.integer(ai), b.integer(bi)));
  });
}

template <class Holds>
void logical(const Call& call, Holds holds) {
  for_each_pair(call, [&](std::int64_t i, std::int64_t a, std::int64_t b) {
    call.result().set_integer(i, holds(call.operand(0).integer(a) != 0, call.operand(1).integer(b) != 0));
  });
}

// Toward negative infinity; x / 0 = 0, and the one quotient that overflows wraps around.
Integer floor_divide(Integer a, Integer b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<Integer>(Bits{0} - static_cast<Bits>(a));
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

Bits floor_divide(Bits a, Bits b) { return b == 0 ? 0 : a / b; }

// The remainder of floor_divide: 0 where b is 0.
Integer floor_remainder(Integer a, Integer b) {
  if (b == 0 || b == -1) return 0;
  const Integer remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}
Bits floor_remainder(Bits a, Bits b) { return b == 0 ? 0 : a % b; }
// Of the division toward zero.
Integer remainder_toward_zero(Integer a, Integer b) { return b == 0 || b == -1 ? 0 : a % b; }
Bits remainder_toward_zero(Bits a, Bits b) { return floor_remainder(a, b); }

// With Python's signs, also of zeros.
double floor_remainder_of_reals(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(remainder, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

bool is_count(Integer b, DType dtype) { return b >= 0 && b < 8 * byte_size(dtype, 1); }

double log_of_1_plus_exp(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }

// NaN wins, as in numpy.
double larger(double a, double b) { return std::isnan(a) || a >= b ? a : b; }
double smaller(double a, double b) { return std::isnan(a) || a <= b ? a : b; }

// Truncates, saturates; NaN becomes 0.
Integer to_integer(double value, DType dtype) {
  const auto within = [value]<class T>(T) -> Integer {
    if (std::isnan(value)) return 0;
    if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (value >= static_cast<double>(std::numeric_limits<T>::max()))
      return static_cast<Integer>(std::numeric_limits<T>::max());
    return static_cast<Integer>(static_cast<T>(value));
  };
  switch (dtype) {
    case DType::i8:
      return within(std::int8_t{});
    case DType::u8:
      return within(std::uint8_t{});
    case DType::i16:
      return within(std::int16_t{});
    case DType::u16:
      return within(std::uint16_t{});
    case DType::i32:
      return within(std::int32_t{});
    case DType::u32:
      return within(std::uint32_t{});
    case DType::u64:
      return within(std::uint64_t{});
    default:
      return within(std::int64_t{});
  }
}

}  // namespace

void neg(const Call& call) {
  unary(call, [](double x) { return -x; }, [](Bits x) { return Bits{0} - x; });
}
void abs(const Call& call) {
  unary(
      call, [](double x) { return std::fabs(x); },
      [](auto x) { return x < 0 ? Bits{0} - static_cast<Bits>(x) : static_cast<Bits>(x); });
}
void square(const Call& call) {
  unary(call, [](double x) { return x * x; }, [](Bits x) { return x * x; });
}
void exp(const Call& call) {
  unary_real(call, [](double x) { return std::exp(x); });
}
void exp2(const Call& call) {
  unary_real(call, [](double x) { return std::exp2(x); });
}
void expm1(const Call& call) {
  unary_real(call, [](double x) { return std::expm1(x); });
}
void log(const Call& call) {
  unary_real(call, [](double x) { return std::log(x); });
}
void log2(const Call& call) {
  unary_real(call, [](double x) { return std::log2(x); });
}
void log10(const Call& call) {
  unary_real(call, [](double x) { return std::log10(x); });
}
void log1p(const Call& call) {
  unary_real(call, [](double x) { return std::log1p(x); });
}
void sqrt(const Call& call) {
  unary_real(call, [](double x) { return std::sqrt(x); });
}
void rsqrt(const Call& call) {  // the rounding of the root, which is f32 but for f64, belongs to the op's definition
  const bool is_f64 = call.result().dtype() == DType::f64;
  unary_real(call, [=](double x) { return 1.0 / (is_f64 ? std::sqrt(x) : static_cast<float>(std::sqrt(x))); });
}
void reciprocal(const Call& call) {
  unary_real(call, [](double x) { return 1.0 / x; });
}
void tanh(const Call& call) {
  unary_real(call, [](double x) { return std::tanh(x); });
}
void sigmoid(const Call& call) {
  unary_real(call, [](double x) { return 1.0 / (1.0 + std::exp(-x)); });
}
void erf(const Call& call) {
  unary_real(call, [](double x) { return std::erf(x); });
}
void sin(const Call& call) {
  unary_real(call, [](double x) { return std::sin(x); });
}
void cos(const Call& call) {
  unary_real(call, [](double x) { return std::cos(x); });
}
void tan(const Call& call) {
  unary_real(call, [](double x) { return std::tan(x); });
}
void asin(const Call& call) {
  unary_real(call, [](double x) { return std::asin(x); });
}
void acos(const Call& call) {
  unary_real(call, [](double x) { return std::acos(x); });
}
void atan(const Call& call) {
  unary_real(call, [](double x) { return std::atan(x); });
}
void sinh(const Call& call) {
  unary_real(call, [](double x) { return std::sinh(x); });
}
void cosh(const Call& call) {
  unary_real(call, [](double x) { return std::cosh(x); });
}
void asinh(const Call& call) {
  unary_real(call, [](double x) { return std::asinh(x); });
}
void acosh(const Call& call) {
  unary_real(call, [](double x) { return std::acosh(x); });
}
void atanh(const Call& call) {
  unary_real(call, [](double x) { return std::atanh(x); });
}
void floor(const Call& call) {
  unary_real(call, [](double x) { return std::floor(x); });
}
void ceil(const Call& call) {
  unary_real(call, [](double x) { return std::ceil(x); });
}
void trunc(const Call& call) {
  unary_real(call, [](double x) { return std::trunc(x); });
}
void round(const Call& call) {  // ties to even: nobody changes the rounding mode
  unary_real(call, [](double x) { return std::nearbyint(x); });
}
void sign(const Call& call) {
  unary(
      call, [](double x) { return std::isnan(x) ? x : static_cast<double>((x > 0) - (x < 0)); },
      [](auto x) { return Integer{x > 0} - Integer{x < 0}; });
}
void bitwise_invert(const Call& call) {
  unary(call, no_bit, [](Bits x) { return ~x; });
}
void gelu(const Call& call) {
  unary_real(call, [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); });
}
void gelu_tanh(const Call& call) {
  unary_real(call, [](double x) {
    const double inner = std::numbers::sqrt2 * std::numbers::inv_sqrtpi * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1.0 + std::tanh(inner));
  });
}
void silu(const Call& call) {
  unary_real(call, [](double x) { return x / (1.0 + std::exp(-x)); });
}
void softplus(const Call& call) {
  unary_real(call, [](double x) { return log_of_1_plus_exp(x); });
}
void mish(const Call& call) {
  unary_real(call, [](double x) { return x * std::tanh(log_of_1_plus_exp(x)); });
}
void softcap(const Call& call) {
  const double cap = call.as<SoftcapAttrs>().cap.value;
  unary_real(call, [cap](double x) { return cap * std::tanh(x / cap); });
}
void logical_not(const Call& call) {
  for (std::int64_t i = 0; i < call.result().elements(); ++i)
    call.result().set_integer(i, call.operand(0).integer(i) == 0);
}

void cast(const Call& call) {
  const Tensor &x = call.operand(0), &result = call.result();
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    if (is_real(x.dtype()) && is_real(result.dtype()))
      result.set_real(i, x.real(i));
    else if (result.dtype() == DType::f64)
      result.set_real(i, as_stored(x.dtype(), [](auto value) { return static_cast<double>(value); }, x.integer(i)));
    else if (is_real(result.dtype()))  // straight to f32: by way of double, large integers would round twice
      result.set_real(i, as_stored(x.dtype(), [](auto value) { return static_cast<float>(value); }, x.integer(i)));
    else if (!is_real(x.dtype()))
      result.set_integer(i, x.integer(i));
    else
      result.set_integer(i, result.dtype() == DType::bool_ ? x.real(i) != 0 : to_integer(x.real(i), result.dtype()));
  }
}

void add(const Call& call) {
  binary(call, [](double a, double b) { return a + b; }, [](Bits a, Bits b) { return a + b; });
}
void sub(const Call& call) {
  binary(call, [](double a, double b) { return a - b; }, [](Bits a, Bits b) { return a - b; });
}
void mul(const Call& call) {
  binary(call, [](double a, double b) { return a * b; }, [](Bits a, Bits b) { return a * b; });
}
void div(const Call& call) {
  binary(call, [](double a, double b) { return a / b; }, [](auto a, auto b) { return floor_divide(a, b); });
}
void pow(const Call& call) {
  const auto integers = [](Integer, Integer) -> Integer { fail_internal("pow of integers"); };
  binary(call, [](double a, double b) { return std::pow(a, b); }, integers);
}
void atan2(const Call& call) {
  const auto integers = [](Integer, Integer) -> Integer { fail_internal("atan2 of integers"); };
  binary(call, [](double a, double b) { return std::atan2(a, b); }, integers);
}
void remainder(const Call& call) {
  binary(call, floor_remainder_of_reals, [](auto a, auto b) { return floor_remainder(a, b); });
}
void fmod(const Call& call) {
  binary(
      call, [](double a, double b) { return std::fmod(a, b); },
      [](auto a, auto b) { return remainder_toward_zero(a, b); });
}
void maximum(const Call& call) {
  binary(call, larger, [](auto a, auto b) { return a < b ? b : a; });
}
void minimum(const Call& call) {
  binary(call, smaller, [](auto a, auto b) { return b < a ? b : a; });
}

void equal(const Call& call) {
  compare(call, [](auto a, auto b) { return a == b; });
}
void not_equal(const Call& call) {
  compare(call, [](auto a, auto b) { return a != b; });
}
void less(const Call& call) {
  compare(call, [](auto a, auto b) { return a < b; });
}
void less_equal(const Call& call) {
  compare(call, [](auto a, auto b) { return a <= b; });
}
void greater(const Call& call) {
  compare(call, [](auto a, auto b) { return a > b; });
}
void greater_equal(const Call& call) {
  compare(call, [](auto a, auto b) { return a >= b; });
}
void logical_and(const Call& call) {
  logical(call, [](bool a, bool b) { return a && b; });
}
void logical_or(const Call& call) {
  logical(call, [](bool a, bool b) { return a || b; });
}

void bitwise_and(const Call& call) {
  binary(call, no_bits, [](Bits a, Bits b) { return a & b; });
}
void bitwise_or(const Call& call) {
  binary(call, no_bits, [](Bits a, Bits b) { return a | b; });
}
void bitwise_xor(const Call& call) {
  binary(call, no_bits, [](Bits a, Bits b) { return a ^ b; });
}
void left_shift(const Call& call) {
  const DType dtype = call.result().dtype();
  binary(call, no_bits, [=](Bits a, Integer b) { return is_count(b, dtype) ? a << b : 0; });
}
void right_shift(const Call& call) {
  const DType dtype = call.result().dtype();
  binary(call, no_bits, [=](auto a, Integer b) {
    const decltype(a) sign = a < 0 ? -1 : 0;
    return is_count(b, dtype) ? a >> b : sign;
  });
}

void select(const Call& call) {
  const Tensor& result = call.result();
  const auto strides_of = [&](std::size_t i) { return broadcast_strides(call.operand(i).shape(), result.shape()); };
  const std::array<Dims, 3> strides = {strides_of(0), strides_of(1), strides_of(2)};
  for_each_index(result.shape(), strides, [&](std::int64_t i, const auto& offsets) {
    const std::size_t chosen = call.operand(0).integer(offsets[0]) != 0 ? 1 : 2;
    std::memcpy(result.at(i), call.operand(chosen).at(offsets[chosen]),
                static_cast<std::size_t>(result.element_bytes()));
  });
}

}  // namespace lazuli::reference
