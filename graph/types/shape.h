// SPDX-License-Identifier: MIT
// Shapes, strides and broadcasting.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/types/dtype.h>
#include <lazuli/graph/types/named_axis.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

using Dims = std::vector<std::int64_t>;
using Shape = Dims;  // sizes, outermost first; {} is a scalar

LAZULI_API std::int64_t element_count(const Shape& shape);

// Row-major strides in elements.
LAZULI_API Dims contiguous_strides(const Shape& shape);

// "[4,2048]"
LAZULI_API std::string to_string(const Shape& shape);

// Negative axes count from the end; throws when out of range. `where` names the op in the error.
LAZULI_API int normalise_axis(std::int64_t axis, std::size_t rank, std::string_view where);

// numpy rules: align from the right, sizes equal or 1. Throws an error naming both shapes.
LAZULI_API Shape broadcast_shapes(const Shape& a, const Shape& b, std::string_view where);
LAZULI_API bool broadcastable_to(const Shape& from, const Shape& to);

// How many indices begin:end:step has, of a range that a slice may have (SliceAttrs). Any step: none overflows.
constexpr std::int64_t sliced_size(std::int64_t begin, std::int64_t end, std::int64_t step) {
  if (begin == end) return 0;
  return step > 0 ? (end - begin - 1) / step + 1 : 1 - (begin - end - 1) / step;
}

// What one value of the graph is: dtype and shape.
struct LAZULI_API Type {
  DType dtype = DType::f32;
  Shape shape;
  NamedAxis named = {};  // an axis whose size here is the upper bound of what a run has

  bool operator==(const Type&) const = default;
  std::int64_t elements() const { return element_count(shape); }
  std::int64_t bytes() const { return byte_size(dtype, elements()); }
};

// "f32[4,2048]", with a named axis "f32[tokens<=512,2048]"
LAZULI_API std::string to_string(const Type& type);

}  // namespace lazuli
