// SPDX-License-Identifier: MIT
// Place of the largest or the smallest value of a row: the first of equals (0 and -0 are equal). NaN wins
// against all numbers, as in a maximum or a minimum, the first one where there are several.
#pragma once

#include <cstdint>

namespace lazuli {

struct Best {
  float value;         // NaN when the range held one
  std::int64_t index;  // within the row
};

// Over row[begin, end), which is not empty.
Best argmax_range(const float* row, std::int64_t begin, std::int64_t end);
Best argmin_range(const float* row, std::int64_t begin, std::int64_t end);

// The best of two ranges, in either order: any split of a row combines to the same result.
Best larger_of(const Best& a, const Best& b);
Best smaller_of(const Best& a, const Best& b);

}  // namespace lazuli
