// SPDX-License-Identifier: MIT
// The iteration space of a generated loop: which axes become its rows and columns, for operands of any strides.
#pragma once

#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/program/view.h>

#include <span>
#include <vector>

namespace lazuli::cpu {

// Axes, outermost first; the last are the columns. Strides are in elements, one list per operand.
struct LoopSpace {
  Shape sizes;
  std::vector<Dims> strides;

  std::int64_t columns() const { return sizes.back(); }
  std::int64_t rows() const { return element_count(sizes) / std::max<std::int64_t>(columns(), 1); }
  std::int64_t column_stride(std::size_t operand) const { return strides[operand].back(); }
};

// `operands` are broadcast to `shape`. Axes of size 1 vanish and neighbours merge where every operand allows it. With
// `keep_last` (a reduction runs along it) the last axis stays the columns.
LoopSpace make_loop_space(const Shape& shape, std::span<const View> operands, bool keep_last);

}  // namespace lazuli::cpu
