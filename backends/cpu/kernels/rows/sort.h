// SPDX-License-Identifier: MIT
// Sorting of rows: ascending, equals (0 and -0) as they stood, NaN behind all numbers.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli {

// Sorts the rows [begin, end) of `rows`, each of `columns` elements. `values`, of the same layout, gets the elements;
// `indices` where each of them stood. Either may be null.
using SortRows = void (*)(const std::byte* rows, std::int64_t columns, std::int64_t begin, std::int64_t end,
                          std::byte* values, std::int32_t* indices);

// Null for quantised types.
SortRows sort_rows(DType dtype);

}  // namespace lazuli
