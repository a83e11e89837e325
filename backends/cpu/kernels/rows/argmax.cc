// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/rows/argmax.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace lazuli {
namespace {

// Four lanes are a register of the baseline instruction set; four registers hide the latency of the comparison.
using Lanes = float __attribute__((vector_size(16)));
using LaneMasks = std::int32_t __attribute__((vector_size(16)));
constexpr std::int64_t lane_count = 4;
constexpr std::int64_t registers = 4;
constexpr std::int64_t block = 1024;

Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

// What is looked for: `before` holds for values that beat others, `last` stands behind all of them.
struct Largest {
  template <class T>
  static auto before(const T& a, const T& b) {
    return a > b;
  }
  static constexpr float last = -std::numeric_limits<float>::infinity();
};
struct Smallest {
  template <class T>
  static auto before(const T& a, const T& b) {
    return a < b;
  }
  static constexpr float last = std::numeric_limits<float>::infinity();
};

// `last` when there is no better value; NaN where there is one.
template <class Order>
float best_value(const float* values, std::int64_t count) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Lanes best[registers];
  LaneMasks nans[registers] = {};
  for (Lanes& lanes : best) lanes = Lanes{Order::last, Order::last, Order::last, Order::last};
  std::int64_t i = 0;
  for (; i + registers * lane_count <= count; i += registers * lane_count) {
    for (std::int64_t r = 0; r < registers; ++r) {
      const Lanes next = load(values + i + r * lane_count);
      best[r] = Order::before(next, best[r]) ? next : best[r];
      nans[r] |= next != next;
    }
  }
  for (const LaneMasks& masks : nans)
    for (std::int64_t lane = 0; lane < lane_count; ++lane)
      if (masks[lane] != 0) return nan;
  float result = Order::last;
  for (const Lanes& lanes : best) {
    for (std::int64_t lane = 0; lane < lane_count; ++lane)
      result = Order::before(lanes[lane], result) ? lanes[lane] : result;
  }
  for (; i < count; ++i) {
    if (std::isnan(values[i])) return nan;
    result = Order::before(values[i], result) ? values[i] : result;
  }
  return result;
}

Best first_nan(const float* row, std::int64_t from) {
  while (!std::isnan(row[from])) ++from;
  return {row[from], from};
}

template <class Order>
Best best_of_range(const float* row, std::int64_t begin, std::int64_t end) {
  float best = Order::last;
  std::int64_t first = begin, last = end;  // where to look for it; the whole range while nothing is better than `last`
  for (std::int64_t from = begin; from < end; from += block) {
    const std::int64_t to = std::min(from + block, end);
    const float found = best_value<Order>(row + from, to - from);
    if (std::isnan(found)) return first_nan(row, from);
    if (!Order::before(found, best)) continue;
    best = found;
    first = from;
    last = to;
  }
  while (first + 1 < last && row[first] != best) ++first;
  return {row[first], first};
}

template <class Order>
Best better_of(const Best& a, const Best& b) {
  const bool a_is_nan = std::isnan(a.value), b_is_nan = std::isnan(b.value);
  if (a_is_nan != b_is_nan) return a_is_nan ? a : b;
  if (Order::before(a.value, b.value)) return a;
  if (Order::before(b.value, a.value)) return b;
  return a.index < b.index ? a : b;
}

}  // namespace

Best argmax_range(const float* row, std::int64_t begin, std::int64_t end) {
  return best_of_range<Largest>(row, begin, end);
}
Best argmin_range(const float* row, std::int64_t begin, std::int64_t end) {
  return best_of_range<Smallest>(row, begin, end);
}
Best larger_of(const Best& a, const Best& b) { return better_of<Largest>(a, b); }
Best smaller_of(const Best& a, const Best& b) { return better_of<Smallest>(a, b); }

}  // namespace lazuli
