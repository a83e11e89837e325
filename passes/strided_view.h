// SPDX-License-Identifier: MIT
// A chain of view ops seen as one window with strides onto the value it starts from.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <vector>

namespace lazuli {

struct StridedView {
  ValueId base;                     // not a view, unless its elements stand in an order that strides cannot express
  Shape sizes;                      // axes of size one are left out
  Dims strides;                     // in elements of the base; 0 along broadcast axes
  std::int64_t offset = 0;          // in elements
  std::vector<std::int32_t> chain;  // the view nodes between base and value

  bool operator==(const StridedView& other) const {
    return base == other.base && sizes == other.sizes && strides == other.strides && offset == other.offset;
  }
};

// Sizes without the axes of size one.
Shape without_ones(const Shape& shape);

StridedView strided_view(const Graph& graph, ValueId value);

}  // namespace lazuli
