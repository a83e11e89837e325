// SPDX-License-Identifier: MIT
// Cumulative sums, products and extremes along an axis.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli {

enum class Cumulation : std::uint8_t { sum, product, maximum, minimum };

// An array seen as [size, inner], of which the first axis is the one to go along.
struct CumulativePlane {
  std::int64_t size, inner;
  bool reverse, exclusive;
};

// At most so many of the inner positions are done at once.
inline constexpr std::int64_t cumulative_columns = 128;

// The inner positions [begin, end) of a plane. Each is carried from element to element by itself: in double for reals,
// wrapping around for integers.
using CumulativeKernel = void (*)(const std::byte* from, std::byte* to, const CumulativePlane& plane,
                                  std::int64_t begin, std::int64_t end);

// Null for quantised types and bool.
CumulativeKernel cumulative_kernel(DType dtype, Cumulation cumulation);

}  // namespace lazuli
