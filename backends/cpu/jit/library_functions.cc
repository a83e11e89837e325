// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/library_functions.h>

#include <cmath>
#include <cstring>

// Ties to even. glibc has them; C++20's <cmath> does not name them.
extern "C" {
float roundevenf(float x) noexcept;
double roundeven(double x) noexcept;
}

namespace lazuli::cpu::jit {

namespace {

template <class T>
const void* lanes_function(LanesFunction<T> function) {
  return reinterpret_cast<const void*>(function);
}

// Of one operand, of two.
#define LAZULI_LANES_1(T, name)                                               \
  lanes_function<T>([](const T* a, const T*, T* result, std::int64_t count) { \
    for (std::int64_t i = 0; i < count; ++i) result[i] = std::name(a[i]);     \
  })
#define LAZULI_LANES_2(T, name)                                                 \
  lanes_function<T>([](const T* a, const T* b, T* result, std::int64_t count) { \
    for (std::int64_t i = 0; i < count; ++i) result[i] = std::name(a[i], b[i]); \
  })

}  // namespace

std::span<const LibraryFunction> library_functions() {
  // The first are in the order of LibraryCall (rare_lanes.h).
  static const LibraryFunction functions[] = {
      {"lazuli_sin", LAZULI_LANES_1(float, sin)},          {"lazuli_cos", LAZULI_LANES_1(float, cos)},
      {"lazuli_tan", LAZULI_LANES_1(float, tan)},          {"lazuli_fmod", LAZULI_LANES_2(float, fmod)},
      {"lazuli_f64_exp", LAZULI_LANES_1(double, exp)},     {"lazuli_f64_exp2", LAZULI_LANES_1(double, exp2)},
      {"lazuli_f64_expm1", LAZULI_LANES_1(double, expm1)}, {"lazuli_f64_log", LAZULI_LANES_1(double, log)},
      {"lazuli_f64_log2", LAZULI_LANES_1(double, log2)},   {"lazuli_f64_log10", LAZULI_LANES_1(double, log10)},
      {"lazuli_f64_log1p", LAZULI_LANES_1(double, log1p)}, {"lazuli_f64_tanh", LAZULI_LANES_1(double, tanh)},
      {"lazuli_f64_erf", LAZULI_LANES_1(double, erf)},     {"lazuli_f64_sin", LAZULI_LANES_1(double, sin)},
      {"lazuli_f64_cos", LAZULI_LANES_1(double, cos)},     {"lazuli_f64_tan", LAZULI_LANES_1(double, tan)},
      {"lazuli_f64_asin", LAZULI_LANES_1(double, asin)},   {"lazuli_f64_acos", LAZULI_LANES_1(double, acos)},
      {"lazuli_f64_atan", LAZULI_LANES_1(double, atan)},   {"lazuli_f64_sinh", LAZULI_LANES_1(double, sinh)},
      {"lazuli_f64_cosh", LAZULI_LANES_1(double, cosh)},   {"lazuli_f64_asinh", LAZULI_LANES_1(double, asinh)},
      {"lazuli_f64_acosh", LAZULI_LANES_1(double, acosh)}, {"lazuli_f64_atanh", LAZULI_LANES_1(double, atanh)},
      {"lazuli_f64_pow", LAZULI_LANES_2(double, pow)},     {"lazuli_f64_atan2", LAZULI_LANES_2(double, atan2)},
      {"lazuli_f64_fmod", LAZULI_LANES_2(double, fmod)},
  };
  return functions;
}

#undef LAZULI_LANES_1
#undef LAZULI_LANES_2

namespace {

struct CFunction {
  std::string_view symbol;
  const void* address;
};

// Of the overloads of a name, the one with this type.
template <class Function>
const void* address_of(Function* function) {
  return reinterpret_cast<const void*>(function);
}

std::span<const CFunction> c_functions() {
  using F1 = float(float);
  using F2 = float(float, float);
  using F3 = float(float, float, float);
  using D1 = double(double);
  using D2 = double(double, double);
  using D3 = double(double, double, double);
  static const CFunction functions[] = {
      {"memcpy", address_of(std::memcpy)},
      {"memmove", address_of(std::memmove)},
      {"memset", address_of(std::memset)},
      {"ceilf", address_of<F1>(::ceilf)},
      {"ceil", address_of<D1>(::ceil)},
      {"floorf", address_of<F1>(::floorf)},
      {"floor", address_of<D1>(::floor)},
      {"truncf", address_of<F1>(::truncf)},
      {"trunc", address_of<D1>(::trunc)},
      {"rintf", address_of<F1>(::rintf)},
      {"rint", address_of<D1>(::rint)},
      {"nearbyintf", address_of<F1>(::nearbyintf)},
      {"nearbyint", address_of<D1>(::nearbyint)},
      {"roundf", address_of<F1>(::roundf)},
      {"round", address_of<D1>(::round)},
      {"sqrtf", address_of<F1>(::sqrtf)},
      {"sqrt", address_of<D1>(::sqrt)},
      {"expf", address_of<F1>(::expf)},
      {"exp", address_of<D1>(::exp)},
      {"exp2f", address_of<F1>(::exp2f)},
      {"exp2", address_of<D1>(::exp2)},
      {"logf", address_of<F1>(::logf)},
      {"log", address_of<D1>(::log)},
      {"log2f", address_of<F1>(::log2f)},
      {"log2", address_of<D1>(::log2)},
      {"log10f", address_of<F1>(::log10f)},
      {"log10", address_of<D1>(::log10)},
      {"sinf", address_of<F1>(::sinf)},
      {"sin", address_of<D1>(::sin)},
      {"cosf", address_of<F1>(::cosf)},
      {"cos", address_of<D1>(::cos)},
      {"tanf", address_of<F1>(::tanf)},
      {"tan", address_of<D1>(::tan)},
      {"roundevenf", address_of<F1>(::roundevenf)},
      {"roundeven", address_of<D1>(::roundeven)},
      {"fmodf", address_of<F2>(::fmodf)},
      {"fmod", address_of<D2>(::fmod)},
      {"powf", address_of<F2>(::powf)},
      {"pow", address_of<D2>(::pow)},
      {"fminf", address_of<F2>(::fminf)},
      {"fmin", address_of<D2>(::fmin)},
      {"fmaxf", address_of<F2>(::fmaxf)},
      {"fmax", address_of<D2>(::fmax)},
      {"copysignf", address_of<F2>(::copysignf)},
      {"copysign", address_of<D2>(::copysign)},
      {"fmaf", address_of<F3>(::fmaf)},
      {"fma", address_of<D3>(::fma)},
  };
  return functions;
}

}  // namespace

const void* library_function(std::string_view symbol) {
  for (const LibraryFunction& function : library_functions())
    if (function.symbol == symbol) return function.function;
  for (const CFunction& function : c_functions())
    if (function.symbol == symbol) return function.address;
  return nullptr;
}

}  // namespace lazuli::cpu::jit
