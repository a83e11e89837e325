// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/ops.h>
#include <lazuli/tests/accuracy/functions.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace lazuli::test {
namespace {

struct Bounds {
  double f32, f64;
};

template <class Exact>
UnaryFunction unary(const char* name, Bounds bounds, Array (*op)(const Array&), Exact) {
  return {name,
          op,
          [](double x) -> double { return Exact()(x); },
          [](long double x) -> long double { return Exact()(x); },
          bounds.f32,
          bounds.f64};
}

template <class Exact>
BinaryFunction binary(const char* name, Bounds bounds, Array (*op)(const Array&, const Array&), Exact) {
  return {name,
          op,
          [](double a, double b) -> double { return Exact()(a, b); },
          [](long double a, long double b) -> long double { return Exact()(a, b); },
          bounds.f32,
          bounds.f64};
}

UnaryFunction beside(UnaryFunction function, double f32, double f64) {
  function.beside = f32;
  function.beside_f64 = f64;
  return function;
}

UnaryFunction below(UnaryFunction function, double f32, double f64) {
  function.below = f32;
  function.below_f64 = f64;
  return function;
}

UnaryFunction of_several_ops(UnaryFunction function) {
  function.is_one_op = false;
  return function;
}

template <class T>
T exact_sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x;
}
template <class T>
T exact_softplus(T x) {
  return (x > 0 ? x : x < 0 ? T(0) : x) + std::log1p(std::exp(-std::fabs(x)));
}
template <class T>
T exact_gelu_tanh(T x) {
  const T inner = std::sqrt(2 / std::numbers::pi_v<T>) * (x + T(0.044715L) * x * x * x);
  // (1 + tanh(u)) / 2 without the cancellation of a negative u.
  return x / (1 + std::exp(-2 * inner));
}
template <class T>
T exact_remainder(T a, T b) {
  const T left = std::fmod(a, b);
  if (left == 0) return std::copysign(T(0), b);
  return (left < 0) != (b < 0) ? left + b : left;
}
template <class T>
T larger(T a, T b) {
  return std::isnan(a) || std::isnan(b) ? std::numeric_limits<T>::quiet_NaN() : a < b ? b : a;
}

// The smallest normal numbers: what is smaller is flushed to 0 by exp and by what is made of it.
constexpr double least_f32 = 0x1p-126, least_f64 = 0x1p-1022;

bool is_within(double beside, double below, auto x, auto got, auto exact) {
  if (std::isnan(got) || std::isnan(exact) || exact == 0 || beside + below == 0) return false;
  using Wide = decltype(exact);
  return std::fabs(got - exact) <= std::max<Wide>(beside * std::fabs(Wide(x)), below);
}

template <class T>
double ulps_between(T got, auto exact, int least_exponent, int most_exponent) {
  const double far = std::numeric_limits<double>::infinity();
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : far;
  if (std::signbit(got) != std::signbit(exact)) return far;
  if (exact == 0 || std::isinf(exact)) return got == static_cast<T>(exact) ? 0 : far;
  if (std::isinf(got) && std::isinf(static_cast<T>(exact))) return 0;
  using Wide = decltype(exact);
  const Wide value = std::isinf(got) ? std::copysign(std::ldexp(Wide(1), most_exponent + 1), Wide(got)) : Wide(got);
  const int exponent = std::clamp(std::ilogb(exact), least_exponent, most_exponent);
  return static_cast<double>(std::fabs(value - exact) /
                             std::ldexp(Wide(1), exponent + 1 - std::numeric_limits<T>::digits));
}

std::vector<UnaryFunction> all_unary() {
  return {
      unary(
          "neg", {0, 0}, [](const Array& x) { return -x; }, [](auto x) { return -x; }),
      unary("abs", {0, 0}, abs, [](auto x) { return std::fabs(x); }),
      unary("square", {0.5, 0.5}, square, [](auto x) { return x * x; }),
      unary("sign", {0, 0}, sign, [](auto x) { return exact_sign(x); }),
      unary("floor", {0, 0}, floor, [](auto x) { return std::floor(x); }),
      unary("ceil", {0, 0}, ceil, [](auto x) { return std::ceil(x); }),
      unary("trunc", {0, 0}, trunc, [](auto x) { return std::trunc(x); }),
      unary("round", {0, 0}, round, [](auto x) { return std::nearbyint(x); }),
      unary("sqrt", {0.5, 0.5}, sqrt, [](auto x) { return std::sqrt(x); }),
      unary("rsqrt", {1.5, 1.5}, rsqrt, [](auto x) { return 1 / std::sqrt(x); }),
      unary("reciprocal", {0.5, 0.5}, reciprocal, [](auto x) { return 1 / x; }),
      below(unary("exp", {1, 1}, exp, [](auto x) { return std::exp(x); }), least_f32, 0),
      unary("exp2", {1, 1}, exp2, [](auto x) { return std::exp2(x); }),
      unary("expm1", {1, 1}, expm1, [](auto x) { return std::expm1(x); }),
      unary("log", {1, 1}, log, [](auto x) { return std::log(x); }),
      unary("log2", {1, 1}, log2, [](auto x) { return std::log2(x); }),
      unary("log10", {1, 2}, log10, [](auto x) { return std::log10(x); }),
      unary("log1p", {1, 1}, log1p, [](auto x) { return std::log1p(x); }),
      unary("erf", {2, 1.5}, erf, [](auto x) { return std::erf(x); }),
      unary("sin", {1, 1}, sin, [](auto x) { return std::sin(x); }),
      unary("cos", {1, 1}, cos, [](auto x) { return std::cos(x); }),
      unary("tan", {1.5, 1}, tan, [](auto x) { return std::tan(x); }),
      unary("asin", {1, 1}, asin, [](auto x) { return std::asin(x); }),
      unary("acos", {1, 1}, acos, [](auto x) { return std::acos(x); }),
      unary("atan", {1, 1}, atan, [](auto x) { return std::atan(x); }),
      unary("sinh", {1, 2}, sinh, [](auto x) { return std::sinh(x); }),
      unary("cosh", {1, 2}, cosh, [](auto x) { return std::cosh(x); }),
      unary("tanh", {2.5, 2.5}, tanh, [](auto x) { return std::tanh(x); }),
      unary("asinh", {1, 2}, asinh, [](auto x) { return std::asinh(x); }),
      unary("acosh", {1, 2.5}, acosh, [](auto x) { return std::acosh(x); }),
      unary("atanh", {1, 2}, atanh, [](auto x) { return std::atanh(x); }),
      below(unary("sigmoid", {2.5, 2.5}, sigmoid, [](auto x) { return 1 / (1 + std::exp(-x)); }), least_f32, least_f64),
      of_several_ops(unary("relu", {0, 0}, relu, [](auto x) { return x < 0 ? 0 : x; })),
      of_several_ops(unary(
          "leaky_relu", {0.5, 0.5}, [](const Array& x) { return leaky_relu(x, 0.25); },
          [](auto x) { return x > 0 ? x : x / 4; })),
      of_several_ops(unary(
          "elu", {1, 1}, [](const Array& x) { return elu(x, 2); },
          [](auto x) { return x > 0 ? x : 2 * std::expm1(x); })),
      beside(of_several_ops(unary("hard_swish", {2, 2}, hard_swish,
                                  [](auto x) { return x * (std::clamp<decltype(x)>(x + 3, 0, 6) / 6); })),
             0x1p-24, 0x1p-53),
      beside(unary("gelu", {2, 2}, gelu,
                   [](auto x) { return x / 2 * std::erfc(-x / std::numbers::sqrt2_v<decltype(x)>); }),
             0x1p-23, 0x1p-52),
      beside(unary("gelu_tanh", {2, 2.5}, gelu_tanh, [](auto x) { return exact_gelu_tanh(x); }), 0x1p-23, 0x1p-52),
      beside(unary("silu", {4, 4}, silu, [](auto x) { return x / (1 + std::exp(-x)); }), 2 * least_f32, 2 * least_f64),
      below(unary("softplus", {2, 2}, softplus, [](auto x) { return exact_softplus(x); }), least_f32, least_f64),
      beside(unary("mish", {5, 5}, mish, [](auto x) { return x * std::tanh(exact_softplus(x)); }), 2 * least_f32,
             2 * least_f64),
      below(unary(
                "softcap", {4, 4}, [](const Array& x) { return softcap(x, 30); },
                [](auto x) { return 30 * std::tanh(x / 30); }),
            0x1p-144, 0x1p-1069),
  };
}

}  // namespace

const std::vector<UnaryFunction>& unary_functions() {
  static const std::vector<UnaryFunction> all = all_unary();
  return all;
}

const std::vector<BinaryFunction>& binary_functions() {
  static const std::vector<BinaryFunction> all = {
      binary(
          "add", {0.5, 0.5}, [](const Array& a, const Array& b) { return a + b; },
          [](auto a, auto b) { return a + b; }),
      binary(
          "sub", {0.5, 0.5}, [](const Array& a, const Array& b) { return a - b; },
          [](auto a, auto b) { return a - b; }),
      binary(
          "mul", {0.5, 0.5}, [](const Array& a, const Array& b) { return a * b; },
          [](auto a, auto b) { return a * b; }),
      binary(
          "div", {0.5, 0.5}, [](const Array& a, const Array& b) { return a / b; },
          [](auto a, auto b) { return a / b; }),
      binary("maximum", {0, 0}, maximum, [](auto a, auto b) { return larger(a, b); }),
      binary("minimum", {0, 0}, minimum, [](auto a, auto b) { return -larger(-a, -b); }),
      binary("pow", {1.5, 1}, pow, [](auto a, auto b) { return std::pow(a, b); }),
      binary("atan2", {1, 1}, atan2, [](auto a, auto b) { return std::atan2(a, b); }),
      binary("fmod", {0, 0}, fmod, [](auto a, auto b) { return std::fmod(a, b); }),
      binary("remainder", {0.5, 0.5}, remainder, [](auto a, auto b) { return exact_remainder(a, b); }),
  };
  return all;
}

bool is_near(const UnaryFunction& function, float x, float got, double exact) {
  return is_within(function.beside, function.below, x, got, exact);
}
bool is_near(const UnaryFunction& function, double x, double got, long double exact) {
  return is_within(function.beside_f64, function.below_f64, x, got, exact);
}

double ulps_of(float got, double exact) { return ulps_between(got, exact, -126, 127); }
double ulps_of(double got, long double exact) { return ulps_between(got, exact, -1022, 1023); }

}  // namespace lazuli::test
