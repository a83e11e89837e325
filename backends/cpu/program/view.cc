#include <lazuli/backends/cpu/program/view.h>
#include <lazuli/graph/base/fail.h>

namespace lazuli::cpu {
namespace {

// Splits both shapes into groups of axes with equal products; within a group memory must be evenly spaced.
std::optional<View> reshape_view(const View& view, const Shape& shape) {
  if (view.contiguous() || view.elements() == 0) {
    View result = view;
    result.shape = shape;
    result.strides = contiguous_strides(shape);
    return result;
  }
  Shape old_shape;
  Dims old_strides;
  for (std::size_t axis = 0; axis < view.shape.size(); ++axis) {
    if (view.shape[axis] == 1) continue;
    old_shape.push_back(view.shape[axis]);
    old_strides.push_back(view.strides[axis]);
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
  View result = view;
  result.shape = shape;
  result.strides = std::move(strides);
  return result;
}

}  // namespace

bool View::contiguous() const {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

View whole_buffer(int buffer, const Type& type) {
  return {buffer, 0, type.dtype, type.shape, contiguous_strides(type.shape)};
}

View as_bytes(const View& view) {
  return whole_buffer(view.buffer, {DType::u8, {byte_size(view.dtype, view.elements())}});
}

View broadcast_view(View view, const Shape& shape) {
  Dims strides(shape.size(), 0);
  const std::size_t added = shape.size() - view.shape.size();
  for (std::size_t axis = added; axis < shape.size(); ++axis)
    if (view.shape[axis - added] != 1) strides[axis] = view.strides[axis - added];
  view.shape = shape;
  view.strides = std::move(strides);
  return view;
}

View slice_view(View view, int axis, std::int64_t begin, std::int64_t end) {
  const auto sliced = static_cast<std::size_t>(axis);
  view.offset += begin * view.strides[sliced];
  view.shape[sliced] = end - begin;
  return view;
}

std::optional<View> apply_view(Op op, const Attrs& attrs, const View& view) {
  switch (op) {
    case Op::reshape:
      return reshape_view(view, std::get<ReshapeAttrs>(attrs).shape);
    case Op::broadcast_to:
      return broadcast_view(view, std::get<ReshapeAttrs>(attrs).shape);
    case Op::transpose: {
      View result = view;
      const Dims& permutation = std::get<TransposeAttrs>(attrs).permutation;
      for (std::size_t axis = 0; axis < permutation.size(); ++axis) {
        result.shape[axis] = view.shape[static_cast<std::size_t>(permutation[axis])];
        result.strides[axis] = view.strides[static_cast<std::size_t>(permutation[axis])];
      }
      return result;
    }
    case Op::slice: {
      View result = view;
      const auto& [begin, end, step] = std::get<SliceAttrs>(attrs);
      for (std::size_t axis = 0; axis < view.shape.size(); ++axis) {
        result.offset += begin[axis] * view.strides[axis];
        result.shape[axis] = (end[axis] - begin[axis] + step[axis] - 1) / step[axis];
        result.strides[axis] *= step[axis];
      }
      return result;
    }
    default:
      fail_internal("{} is not a view", to_string(op));
  }
}

}  // namespace lazuli::cpu
