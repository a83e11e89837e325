// SPDX-License-Identifier: MIT
// An array in a buffer of a program, or a part of one. View ops of the graph become views and cost nothing at run time.
#pragma once

#include <lazuli/graph/strided_layout.h>

#include <optional>

namespace lazuli::cpu {

struct View : StridedLayout {
  int buffer = -1;
  DType dtype = DType::f32;
};

View whole_buffer(int buffer, const Type& type);
// The memory of a whole buffer as u8: for moving blocks, which have no elements of their own.
View as_bytes(const View& view);

// As apply_view of its layout.
std::optional<View> apply_view(Op op, const Attrs& attrs, const View& view);

View broadcast_view(const View& view, const Shape& shape);
View slice_view(View view, int axis, std::int64_t begin, std::int64_t end);

}  // namespace lazuli::cpu
