// SPDX-License-Identifier: MIT
// Shape rules of the ops that move data by places: as_strided, pad, gather_nd, scatter, scatter_nd.
#include <lazuli/graph/shape_rules/infer_call.h>

#include <algorithm>
#include <string_view>

namespace lazuli::infer {
namespace {

// Whether all elements that shape and strides name lie in [0, count).
bool stays_inside(const AsStridedAttrs& attrs, std::int64_t count) {
  if (element_count(attrs.shape) == 0) return true;
  std::int64_t lowest = attrs.offset, highest = attrs.offset;
  if (lowest < 0 || highest >= count) return false;
  for (std::size_t axis = 0; axis < attrs.shape.size(); ++axis) {
    const std::int64_t steps = attrs.shape[axis] - 1, stride = attrs.strides[axis];
    if (steps == 0 || stride == 0) continue;
    if (stride <= -count || stride >= count || steps > count / std::max(stride, -stride)) return false;
    (stride > 0 ? highest : lowest) += steps * stride;
    if (lowest < 0 || highest >= count) return false;
  }
  return true;
}

void require_reduction(const Call& call, std::string_view reduction) {
  constexpr std::string_view known[] = {"replace", "add", "mul", "max", "min"};
  if (std::find(std::begin(known), std::end(known), reduction) == std::end(known))
    call.reject("unknown reduction '{}'; expected replace, add, mul, max or min", reduction);
  if (reduction != "replace" && call.operand(0).dtype == DType::bool_)
    call.reject_dtype("numbers", call.found(0), "base is {}, expected numbers for {}", call.found(0), reduction);
}

// The last axis of the indices names so many axes of operand 0, from `first` on.
std::int64_t indexed_axes(const Call& call, std::int64_t first) {
  const Shape &x = call.operand(0).shape, &indices = call.operand(1).shape;
  const std::int64_t left = static_cast<std::int64_t>(x.size()) - first;
  if (indices.empty() || indices.back() < 1 || indices.back() > left)
    call.reject("indices are {}, operand 0 is {}; expected [..., k] with 1 <= k <= {}", to_string(call.operand(1)),
                to_string(call.operand(0)), left);
  return indices.back();
}

}  // namespace

Types as_strided(const Call& call) {
  const auto& attrs = call.as<AsStridedAttrs>();
  const Type& x = call.operand(0);
  const bool negative = std::any_of(attrs.shape.begin(), attrs.shape.end(), [](std::int64_t size) { return size < 0; });
  if (negative || attrs.shape.size() != attrs.strides.size())
    call.reject("shape {} and strides {} do not match; expected a stride for each size", to_string(attrs.shape),
                to_string(attrs.strides));
  if (!stays_inside(attrs, x.elements()))
    call.reject("shape {}, strides {}, offset {} reach outside the {} elements of {}", to_string(attrs.shape),
                to_string(attrs.strides), attrs.offset, x.elements(), to_string(x));
  return {{x.dtype, attrs.shape}};
}

Types pad(const Call& call) {
  call.require_rank(1, 0, "a scalar value");
  const auto& [before, after] = call.as<PadAttrs>();
  Type result = call.operand(0);
  const std::size_t rank = result.shape.size();
  if (before.size() != rank || after.size() != rank)
    call.reject("before {} and after {} do not match the rank of {}", to_string(before), to_string(after),
                to_string(result));
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (before[axis] < 0 || after[axis] < 0)
      call.reject("widths {} and {} of axis {}, expected 0 or more", before[axis], after[axis], axis);
    result.shape[axis] += before[axis] + after[axis];
  }
  return {result};
}

Types gather_nd(const Call& call) {
  const Type &x = call.operand(0), &indices = call.operand(1);
  const std::int64_t batch = call.as<GatherNdAttrs>().batch_dims;
  const auto rank = static_cast<std::int64_t>(std::min(x.shape.size(), indices.shape.size()));
  if (batch < 0 || batch >= rank || !std::equal(x.shape.begin(), x.shape.begin() + batch, indices.shape.begin()))
    call.reject("x is {}, indices are {}; expected {} axes in common and more behind them", to_string(x),
                to_string(indices), batch);
  const std::int64_t axes = indexed_axes(call, batch);
  Shape shape(indices.shape.begin(), indices.shape.end() - 1);
  shape.insert(shape.end(), x.shape.begin() + batch + axes, x.shape.end());
  return {{x.dtype, shape}};
}

Types scatter(const Call& call) {
  const auto& [axis, reduction] = call.as<ScatterAttrs>();
  const Type &base = call.operand(0), &indices = call.operand(1), &updates = call.operand(2);
  call.require_axis(axis, base.shape.size());
  require_reduction(call, reduction);
  Shape expected = indices.shape;
  if (expected.size() == base.shape.size())
    expected[static_cast<std::size_t>(axis)] = base.shape[static_cast<std::size_t>(axis)];
  if (expected != base.shape)
    call.reject("indices are {}, base is {}; they may differ along axis {} only", to_string(indices), to_string(base),
                axis);
  if (updates.shape != indices.shape)
    call.reject("updates are {}, indices {}; expected one shape", to_string(updates), to_string(indices));
  return {base};
}

Types scatter_nd(const Call& call) {
  require_reduction(call, call.as<ScatterNdAttrs>().reduction);
  const Type &base = call.operand(0), &indices = call.operand(1), &updates = call.operand(2);
  const std::int64_t axes = indexed_axes(call, 0);
  Shape expected(indices.shape.begin(), indices.shape.end() - 1);
  expected.insert(expected.end(), base.shape.begin() + axes, base.shape.end());
  if (updates.shape != expected)
    call.reject("updates are {}, base is {}, indices {}; expected updates {}", to_string(updates), to_string(base),
                to_string(indices), to_string(expected));
  return {base};
}

}  // namespace lazuli::infer
