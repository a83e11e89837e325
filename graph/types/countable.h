// SPDX-License-Identifier: MIT
// Arrays whose elements can be counted, and whose bytes too. Shape rules and the parser refuse all others, so that
// whoever multiplies the sizes of a graph need not look for overflow.
#pragma once

#include <lazuli/graph/types/shape.h>

#include <algorithm>
#include <cstdint>

namespace lazuli {

inline constexpr std::int64_t max_elements = std::int64_t{1} << 56;

// Sizes below 0 are for others to refuse. A size of 0 does not make the others any smaller.
inline bool is_countable(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size > 0 && elements > max_elements / size) return false;
    elements *= std::max<std::int64_t>(size, 1);
  }
  return true;
}

}  // namespace lazuli
