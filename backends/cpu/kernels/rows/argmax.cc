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
constexpr std::int64_t lane_count = 4;
constexpr std::int64_t registers = 4;
constexpr std::int64_t block = 1024;

Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

constexpr float lowest = -std::numeric_limits<float>::infinity();

// -inf when there is no larger value; a comparison with NaN is false and leaves the maximum.
float maximum(const float* values, std::int64_t count) {
  Lanes best[registers];
  for (Lanes& lanes : best) lanes = Lanes{lowest, lowest, lowest, lowest};
  std::int64_t i = 0;
  for (; i + registers * lane_count <= count; i += registers * lane_count) {
    for (std::int64_t r = 0; r < registers; ++r) {
      const Lanes next = load(values + i + r * lane_count);
      best[r] = next > best[r] ? next : best[r];
    }
  }
  float result = lowest;
  for (const Lanes& lanes : best) {
    for (std::int64_t lane = 0; lane < lane_count; ++lane) result = std::max(result, lanes[lane]);
  }
  for (; i < count; ++i) result = values[i] > result ? values[i] : result;
  return result;
}

}  // namespace

Best argmax_range(const float* row, std::int64_t begin, std::int64_t end) {
  float best = lowest;
  std::int64_t first = begin, last = end;  // where to look for it; the whole range while nothing is above -inf
  for (std::int64_t from = begin; from < end; from += block) {
    const std::int64_t to = std::min(from + block, end);
    const float found = maximum(row + from, to - from);
    if (!(found > best)) continue;
    best = found;
    first = from;
    last = to;
  }
  for (std::int64_t i = first; i < last; ++i) {
    if (row[i] == best) return {row[i], i};
  }
  return {row[begin], begin};  // all NaN
}

Best combine(const Best& a, const Best& b) {
  const bool a_is_nan = std::isnan(a.value), b_is_nan = std::isnan(b.value);
  if (a_is_nan != b_is_nan) return a_is_nan ? b : a;
  if (a.value > b.value) return a;
  if (b.value > a.value) return b;
  return a.index < b.index ? a : b;
}

}  // namespace lazuli
