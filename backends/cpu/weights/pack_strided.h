// SPDX-License-Identifier: MIT
// Matrices of the plain types laid out as packed weights, from any strides: right operands that a program computes are
// packed when it runs.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/graph/types/dtype.h>

#include <cstdint>

namespace lazuli {

// Packs the groups [group_begin, group_end) into `packed`, where group 0 begins, 64-byte aligned and
// packed_bytes(dtype, source.outputs, source.cols) long. Ranges that do not overlap may be packed by several threads at
// once.
void pack_strided(DType dtype, const StridedWeightView& source, std::uint8_t* packed, std::int64_t group_begin,
                  std::int64_t group_end);

}  // namespace lazuli
