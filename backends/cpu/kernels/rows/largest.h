// SPDX-License-Identifier: MIT
// The largest values of a row, in descending order, ties by place; NaN is above all numbers, and 0 and -0 are equal.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli::cpu {

// Writes the `count` largest of `columns` values and their places; `count` is at most `columns`.
void find_largest(DType dtype, const std::byte* row, std::int64_t columns, std::int64_t count, std::byte* values,
                  std::int32_t* places);

}  // namespace lazuli::cpu
