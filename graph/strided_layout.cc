// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/strided_layout.h>

namespace lazuli {
namespace {

// Splits both shapes into groups of axes with equal products; within a group memory must be evenly spaced.
std::optional<StridedLayout> reshape_layout(const StridedLayout& layout, const Shape& shape) {
  if (layout.contiguous() || layout.elements() == 0) {
    StridedLayout result = layout;
    result.shape = shape;
    result.strides = contiguous_strides(shape);
    return result;
  }
  Shape old_shape;
  Dims old_strides;
  for (std::size_t axis = 0; axis < layout.shape.size(); ++axis) {
    if (layout.shape[axis] == 1) continue;
    old_shape.push_back(layout.shape[axis]);
    old_strides.push_back(layout.strides[axis]);
  }
  Dims strides(shape.size(), 0);
  std::size_t old_begin = 0, new_begin = 0;
  while (old_begin < old_shape.size()) {
    while (new_begin < shape.size() && shape[new_begin] == 1) ++new_begin;
    std::size_t old_end = old_begin + 1, new_end = new_begin + 1;
    std::int64_t old_count = old_shape[old_begin], new_count = shape[new_begin];
    while (old_count != new_count) {
      if (old_count < new_count)
        old_count *= old_shape[old_end++];
      else
        new_count *= shape[new_end++];
    }
    for (std::size_t axis = old_begin; axis + 1 < old_end; ++axis)
      if (old_strides[axis] != old_strides[axis + 1] * old_shape[axis + 1]) return std::nullopt;
    std::int64_t stride = old_strides[old_end - 1];
    for (std::size_t axis = new_end; axis-- > new_begin;) {
      strides[axis] = stride;
      stride *= shape[axis];
    }
    old_begin = old_end;
    new_begin = new_end;
  }
  StridedLayout result = layout;
  result.shape = shape;
  result.strides = std::move(strides);
  return result;
}

}  // namespace

bool StridedLayout::contiguous() const {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

StridedLayout contiguous_layout(const Shape& shape) { return {0, shape, contiguous_strides(shape)}; }

StridedLayout broadcast_layout(const StridedLayout& layout, const Shape& shape) {
  Dims strides(shape.size(), 0);
  const std::size_t added = shape.size() - layout.shape.size();
  for (std::size_t axis = added; axis < shape.size(); ++axis)
    if (layout.shape[axis - added] != 1) strides[axis] = layout.strides[axis - added];
  return {layout.offset, shape, std::move(strides)};
}

std::optional<StridedLayout> apply_view(Op op, const Attrs& attrs, const StridedLayout& layout) {
  switch (op) {
    case Op::reshape:
      return reshape_layout(layout, std::get<ReshapeAttrs>(attrs).shape);
    case Op::broadcast_to:
      return broadcast_layout(layout, std::get<ReshapeAttrs>(attrs).shape);
    case Op::transpose: {
      StridedLayout result = layout;
      const Dims& permutation = std::get<TransposeAttrs>(attrs).permutation;
      for (std::size_t axis = 0; axis < permutation.size(); ++axis) {
        result.shape[axis] = layout.shape[static_cast<std::size_t>(permutation[axis])];
        result.strides[axis] = layout.strides[static_cast<std::size_t>(permutation[axis])];
      }
      return result;
    }
    case Op::slice: {
      StridedLayout result = layout;
      const auto& [begin, end, step] = std::get<SliceAttrs>(attrs);
      for (std::size_t axis = 0; axis < layout.shape.size(); ++axis) {
        result.offset += begin[axis] * layout.strides[axis];
        result.shape[axis] = sliced_size(begin[axis], end[axis], step[axis]);
        if (result.shape[axis] > 1) result.strides[axis] *= step[axis];  // otherwise any step is allowed
      }
      return result;
    }
    case Op::as_strided: {
      const auto& [shape, strides, offset] = std::get<AsStridedAttrs>(attrs);
      if (!layout.contiguous()) return std::nullopt;
      return StridedLayout{layout.offset + offset, shape, strides};
    }
    default:
      fail_internal("{} is not a view", to_string(op));
  }
}

}  // namespace lazuli
