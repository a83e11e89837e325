// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/tests/accuracy/measure.h>
#include <lazuli/tests/fuzz/graphs/random.h>

#include <bit>
#include <cmath>
#include <limits>

namespace lazuli::test {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

template <class T>
Array row_of(std::span<const T> values) {
  return Array::from(values, {static_cast<std::int64_t>(values.size())});
}

double exact_of(const UnaryFunction& f, float x) { return f.exact(x); }
long double exact_of(const UnaryFunction& f, double x) { return f.exact_wide(x); }
double exact_of(const BinaryFunction& f, float a, float b) { return f.exact(a, b); }
long double exact_of(const BinaryFunction& f, double a, double b) { return f.exact_wide(a, b); }

template <class T>
LargestError largest(const UnaryFunction& function, std::span<const T> values) {
  const Array result = function.op(row_of(values));
  const std::span<const T> got = result.data<T>();
  LargestError error;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto exact = exact_of(function, values[i]);
    const double ulps = ulps_of(got[i], exact);
    if (ulps > error.ulps && !is_near(function, values[i], got[i], exact)) error = {ulps, values[i]};
  }
  return error;
}

template <class T>
LargestError largest(const BinaryFunction& function, std::span<const T> a, std::span<const T> b) {
  const Array result = function.op(row_of(a), row_of(b));
  const std::span<const T> got = result.data<T>();
  LargestError error;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const double ulps = ulps_of(got[i], exact_of(function, a[i], b[i])); ulps > error.ulps)
      error = {ulps, a[i], b[i]};
  return error;
}

std::string shown(float value) {
  if (std::isnan(value)) return "nan";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  if (std::fabs(value) == 0x1p-149f) return std::signbit(value) ? "-tiny" : "tiny";
  return fmt::format("{:.8g}", value);
}

}  // namespace

LargestError largest_error(const UnaryFunction& function, std::span<const float> values) {
  return largest(function, values);
}
LargestError largest_error(const UnaryFunction& function, std::span<const double> values) {
  return largest(function, values);
}
LargestError largest_error(const BinaryFunction& function, std::span<const float> a, std::span<const float> b) {
  return largest(function, a, b);
}
LargestError largest_error(const BinaryFunction& function, std::span<const double> a, std::span<const double> b) {
  return largest(function, a, b);
}

LargestError largest_error_16(const UnaryFunction& function, DType dtype) {
  BufferRef bits = Buffer::allocate(2 << 16);
  for (std::uint32_t i = 0; i < 1u << 16; ++i) bits->as<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
  const Array x = Array::from(bits, Type{dtype, {1 << 16}});
  const Array wide = cast(x, DType::f32), result = cast(function.op(x), DType::f32);
  const std::span<const float> values = wide.data<float>(), got = result.data<float>();
  const int digits = dtype == DType::f16 ? 11 : 8, least = dtype == DType::f16 ? -14 : -126;
  const double largest_finite = dtype == DType::f16 ? 65504 : 0x1.fep127;
  LargestError error;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double exact = function.exact(values[i]);
    double ulps = ulps_of(got[i], exact);  // its infinities, signs and NaN are those of any dtype
    if (std::isfinite(ulps) && exact != 0 && std::isfinite(exact)) {
      const double unit = std::ldexp(1.0, std::max(std::ilogb(exact), least) + 1 - digits);
      // What is nearer to the next power of two than to the largest finite number rounds to infinity.
      const double last = largest_finite + std::ldexp(1.0, std::ilogb(largest_finite) - digits);
      ulps = std::isinf(got[i]) ? (std::fabs(exact) >= last ? 0 : (last - std::fabs(exact)) / unit)
                                : std::fabs(got[i] - exact) / unit;
    }
    if (ulps > error.ulps && !is_near(function, values[i], got[i], exact)) error = {ulps, values[i]};
  }
  return error;
}

std::vector<float> f32_values(std::uint64_t first, std::uint64_t step, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + i * step));
  return values;
}

std::vector<double> f64_values(std::uint64_t seed, std::size_t count) {
  fuzz::Random random(seed);
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t bits = random.next();
    if (i % 2 == 0) bits = (bits & 0x800fffffffffffffull) | (1015 + (bits >> 52 & 15)) << 52;
    values[i] = std::bit_cast<double>(bits);
  }
  return values;
}

std::vector<float> f32_random_values(std::uint64_t seed, std::size_t count) {
  fuzz::Random random(seed);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits = static_cast<std::uint32_t>(random.next());
    if (i % 2 == 0) bits = (bits & 0x807fffffu) | (119 + (bits >> 23 & 15)) << 23;
    values[i] = std::bit_cast<float>(bits);
  }
  return values;
}

std::string table_of_special_values() {
  const std::vector<float> special = {std::numeric_limits<float>::quiet_NaN(),
                                      -static_cast<float>(infinite),
                                      -1,
                                      -0x1p-149f,
                                      -0.0f,
                                      0.0f,
                                      0x1p-149f,
                                      1,
                                      static_cast<float>(infinite)};
  std::string text = "|", rule = "| --- ";
  text += " function |";
  for (const float value : special) {
    text += fmt::format(" {} |", shown(value));
    rule += "| ---: ";
  }
  text += "\n" + rule + "|\n";
  for (const UnaryFunction& function : unary_functions()) {
    text += fmt::format("| {} |", function.name);
    const Array result = function.op(row_of(std::span<const float>(special)));
    for (const float value : result.data<float>()) text += fmt::format(" {} |", shown(value));
    text += "\n";
  }
  return text;
}

}  // namespace lazuli::test
