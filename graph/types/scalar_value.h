// SPDX-License-Identifier: MIT
// One element of a plain dtype in memory, as a double and back.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>

namespace lazuli {

// Exact for every plain dtype but i64 past 2^53. Throws an Error for quantised dtypes.
double load_scalar(DType dtype, const std::byte* source);
// Rounds to nearest even; integers saturate. Throws an Error for quantised dtypes.
void store_scalar(double value, DType dtype, std::byte* target);

}  // namespace lazuli
