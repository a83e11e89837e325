// SPDX-License-Identifier: MIT
// Where the elements of an array lie in memory that it shares with others: an offset, and a stride for each axis. View
// ops change these and move no element.
#pragma once

#include <lazuli/graph/op.h>

#include <cstdint>
#include <optional>

namespace lazuli {

struct StridedLayout {
  std::int64_t offset = 0;  // in elements
  Shape shape;
  Dims strides;  // in elements; 0 along broadcast axes

  std::int64_t elements() const { return element_count(shape); }
  // Element after element, whatever the offset.
  bool contiguous() const;
};

StridedLayout contiguous_layout(const Shape& shape);

// The layout of what a view op makes of an array that lies so; nothing where a reshape or as_strided needs the elements
// in another order than memory has them.
std::optional<StridedLayout> apply_view(Op op, const Attrs& attrs, const StridedLayout& layout);

StridedLayout broadcast_layout(const StridedLayout& layout, const Shape& shape);

}  // namespace lazuli
