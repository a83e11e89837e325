// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/rows/cumulative.h>
#include <lazuli/graph/types/half.h>

#include <algorithm>
#include <limits>

namespace lazuli {
namespace {

// How elements lie in memory, and what they are carried as.
struct Single {
  using Stored = float;
  using Value = double;
  static double load(float stored) { return stored; }
  static float store(double value) { return static_cast<float>(value); }
};
struct Double {
  using Stored = double;
  using Value = double;
  static double load(double stored) { return stored; }
  static double store(double value) { return value; }
};
struct Half {
  using Stored = std::uint16_t;
  using Value = double;
  static double load(std::uint16_t stored) { return f16_to_f32(stored); }
  static std::uint16_t store(double value) { return f32_to_f16(static_cast<float>(value)); }
};
struct BrainHalf {
  using Stored = std::uint16_t;
  using Value = double;
  static double load(std::uint16_t stored) { return bf16_to_f32(stored); }
  static std::uint16_t store(double value) { return f32_to_bf16(static_cast<float>(value)); }
};
template <class T>
struct Integer {
  using Stored = T;
  using Value = T;
  static T load(T stored) { return stored; }
  static T store(T value) { return value; }
};

template <class T>
constexpr T first_total(Cumulation cumulation) {
  using Limits = std::numeric_limits<T>;
  switch (cumulation) {
    case Cumulation::sum:
      return 0;
    case Cumulation::product:
      return 1;
    case Cumulation::maximum:
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    default:
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
}

template <Cumulation cumulation, class T>
T combine(T total, T x) {
  if constexpr (cumulation == Cumulation::maximum) return x > total || x != x ? x : total;
  if constexpr (cumulation == Cumulation::minimum) return x < total || x != x ? x : total;
  if constexpr (std::numeric_limits<T>::is_integer) {
    const auto a = static_cast<std::uint64_t>(total), b = static_cast<std::uint64_t>(x);
    return static_cast<T>(cumulation == Cumulation::sum ? a + b : a * b);
  }
  return cumulation == Cumulation::sum ? total + x : total * x;
}

template <class Element, Cumulation cumulation>
void accumulate(const std::byte* from, std::byte* to, const CumulativePlane& plane, std::int64_t begin,
                std::int64_t end) {
  using Value = typename Element::Value;
  const auto* source = reinterpret_cast<const typename Element::Stored*>(from);
  auto* target = reinterpret_cast<typename Element::Stored*>(to);
  Value totals[cumulative_columns];
  std::fill_n(totals, end - begin, first_total<Value>(cumulation));
  for (std::int64_t step = 0; step < plane.size; ++step) {
    const std::int64_t row = (plane.reverse ? plane.size - 1 - step : step) * plane.inner + begin;
    for (std::int64_t column = 0; column < end - begin; ++column) {
      const Value next = combine<cumulation>(totals[column], Element::load(source[row + column]));
      target[row + column] = Element::store(plane.exclusive ? totals[column] : next);
      totals[column] = next;
    }
  }
}

template <class Element>
CumulativeKernel kernel_of(Cumulation cumulation) {
  switch (cumulation) {
    case Cumulation::sum:
      return accumulate<Element, Cumulation::sum>;
    case Cumulation::product:
      return accumulate<Element, Cumulation::product>;
    case Cumulation::maximum:
      return accumulate<Element, Cumulation::maximum>;
    default:
      return accumulate<Element, Cumulation::minimum>;
  }
}

}  // namespace

CumulativeKernel cumulative_kernel(DType dtype, Cumulation cumulation) {
  switch (dtype) {
    case DType::f32:
      return kernel_of<Single>(cumulation);
    case DType::f16:
      return kernel_of<Half>(cumulation);
    case DType::bf16:
      return kernel_of<BrainHalf>(cumulation);
    case DType::i8:
      return kernel_of<Integer<std::int8_t>>(cumulation);
    case DType::u8:
      return kernel_of<Integer<std::uint8_t>>(cumulation);
    case DType::i16:
      return kernel_of<Integer<std::int16_t>>(cumulation);
    case DType::u16:
      return kernel_of<Integer<std::uint16_t>>(cumulation);
    case DType::i32:
      return kernel_of<Integer<std::int32_t>>(cumulation);
    case DType::u32:
      return kernel_of<Integer<std::uint32_t>>(cumulation);
    case DType::i64:
      return kernel_of<Integer<std::int64_t>>(cumulation);
    case DType::u64:
      return kernel_of<Integer<std::uint64_t>>(cumulation);
    case DType::f64:
      return kernel_of<Double>(cumulation);
    default:
      return nullptr;
  }
}

}  // namespace lazuli
