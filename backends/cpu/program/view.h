// A strided window onto a buffer of a program. View ops of the graph become views and cost nothing at run time.
#pragma once

#include <lazuli/graph/op.h>

#include <optional>

namespace lazuli::cpu {

struct View {
  int buffer = -1;
  std::int64_t offset = 0;  // in elements
  DType dtype = DType::f32;
  Shape shape;
  Dims strides;  // in elements; 0 along broadcast axes

  std::int64_t elements() const { return element_count(shape); }
  bool contiguous() const;
};

View whole_buffer(int buffer, const Type& type);
// The memory of a whole buffer as u8: for moving blocks, which have no elements of their own.
View as_bytes(const View& view);

// The view op applied to a view; nothing when a reshape needs the elements in another order than memory has them.
std::optional<View> apply_view(Op op, const Attrs& attrs, const View& view);

View broadcast_view(View view, const Shape& shape);
View slice_view(View view, int axis, std::int64_t begin, std::int64_t end);

}  // namespace lazuli::cpu
