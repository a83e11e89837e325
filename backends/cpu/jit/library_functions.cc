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

std::span<const LibraryFunction> library_functions() {
  using F = const float*;
  using N = std::int64_t;
  static constexpr LibraryFunction functions[] = {
      {"lazuli_sin",
       [](F a, F, float* y, N n) {
         for (N i = 0; i < n; ++i) y[i] = std::sin(a[i]);
       }},
      {"lazuli_cos",
       [](F a, F, float* y, N n) {
         for (N i = 0; i < n; ++i) y[i] = std::cos(a[i]);
       }},
      {"lazuli_tan",
       [](F a, F, float* y, N n) {
         for (N i = 0; i < n; ++i) y[i] = std::tan(a[i]);
       }},
      {"lazuli_fmod",
       [](F a, F b, float* y, N n) {
         for (N i = 0; i < n; ++i) y[i] = std::fmod(a[i], b[i]);
       }},
  };
  return functions;
}

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
    if (function.symbol == symbol) return address_of(function.function);
  for (const CFunction& function : c_functions())
    if (function.symbol == symbol) return function.address;
  return nullptr;
}

}  // namespace lazuli::cpu::jit
