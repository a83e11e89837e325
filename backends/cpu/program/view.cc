// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/view.h>

namespace lazuli::cpu {

View whole_buffer(int buffer, const Type& type) { return {contiguous_layout(type.shape), buffer, type.dtype}; }

View as_bytes(const View& view) {
  return whole_buffer(view.buffer, {DType::u8, {byte_size(view.dtype, view.elements())}});
}

View broadcast_view(const View& view, const Shape& shape) {
  return {broadcast_layout(view, shape), view.buffer, view.dtype};
}

View slice_view(View view, int axis, std::int64_t begin, std::int64_t end) {
  const auto sliced = static_cast<std::size_t>(axis);
  view.offset += begin * view.strides[sliced];
  view.shape[sliced] = end - begin;
  return view;
}

std::optional<View> apply_view(Op op, const Attrs& attrs, const View& view) {
  std::optional<StridedLayout> layout = lazuli::apply_view(op, attrs, view);
  if (!layout) return std::nullopt;
  return View{std::move(*layout), view.buffer, view.dtype};
}

}  // namespace lazuli::cpu
