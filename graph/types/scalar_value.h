// SPDX-License-Identifier: MIT
// One element of a plain dtype in memory, as a double and back.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>

namespace lazuli {

// Exact for every plain dtype but i64 and u64 past 2^53. Throws an Error for quantised dtypes.
double load_scalar(DType dtype, const std::byte* source);
// Rounds to nearest even; integers saturate. Throws an Error for quantised dtypes.
void store_scalar(double value, DType dtype, std::byte* target);

// Whether a number of a program can stand for an element: integers take whole numbers of their range, bool takes 0 and
// 1, real dtypes take every number that is not too large for them. False for quantised dtypes.
bool is_value_of(double value, DType dtype);

}  // namespace lazuli
