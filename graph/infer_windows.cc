// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/infer_windows.h>

#include <algorithm>

namespace lazuli {
namespace {

constexpr std::size_t max_spatial_axes = 3;

std::size_t spatial_axes(Op op, const Type& x) {
  if (x.shape.size() < 3 || x.shape.size() > 2 + max_spatial_axes)
    fail("{}: x is {}, expected [N, one to three spatial axes, C]", to_string(op), to_string(x));
  return x.shape.size() - 2;
}

void require_entries(Op op, const char* name, const Dims& entries, std::size_t count, std::int64_t lowest) {
  if (entries.size() != count)
    fail("{}: {} is {}, expected {} entries, one for each spatial axis", to_string(op), name, to_string(entries),
         count);
  if (std::any_of(entries.begin(), entries.end(), [&](std::int64_t entry) { return entry < lowest; }))
    fail("{}: {} is {}, expected {} or more", to_string(op), name, to_string(entries), lowest);
}

// From the first element to the last of `count`, that many apart.
std::int64_t extent(std::int64_t count, std::int64_t dilation) { return count == 0 ? 0 : (count - 1) * dilation + 1; }

}  // namespace

std::vector<Type> convolution_types(const ConvolutionAttrs& attrs, std::span<const Type> operands) {
  const Type &x = operands[0], &weight = operands[1];
  const std::size_t axes = spatial_axes(Op::convolution, x);
  require_entries(Op::convolution, "stride", attrs.stride, axes, 1);
  for (const Dims* padding : {&attrs.padding_low, &attrs.padding_high})
    if (padding->size() != axes)
      fail("convolution: padding is {} and {}, expected {} entries each, one for each spatial axis",
           to_string(attrs.padding_low), to_string(attrs.padding_high), axes);
  require_entries(Op::convolution, "kernel_dilation", attrs.kernel_dilation, axes, 1);
  require_entries(Op::convolution, "input_dilation", attrs.input_dilation, axes, 1);
  const std::int64_t channels = x.shape.back(), groups = attrs.groups;
  if (weight.shape.size() != axes + 2 || groups < 1 || channels % groups != 0 ||
      weight.shape.back() != channels / groups || weight.shape[0] % groups != 0)
    fail(
        "convolution: x is {}, weight is {}, groups are {}; expected weight [O, kernel..., C / groups] with C and O "
        "multiples of groups",
        to_string(x), to_string(weight), groups);
  Type result{x.dtype, {x.shape[0]}};
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t padded =
        extent(x.shape[axis + 1], attrs.input_dilation[axis]) + attrs.padding_low[axis] + attrs.padding_high[axis];
    const std::int64_t kernel = extent(weight.shape[axis + 1], attrs.kernel_dilation[axis]);
    if (kernel < 1 || padded < kernel)
      fail(
          "convolution: x is {}, weight is {}: along spatial axis {} the padded input has {} elements, the kernel {}; "
          "expected a kernel of 1 or more that fits",
          to_string(x), to_string(weight), axis, padded, kernel);
    result.shape.push_back((padded - kernel) / attrs.stride[axis] + 1);
  }
  result.shape.push_back(weight.shape[0]);
  return {result};
}

std::vector<Type> pool_types(Op op, const PoolAttrs& attrs, const Type& x) {
  const std::size_t axes = spatial_axes(op, x);
  require_entries(op, "kernel", attrs.kernel, axes, 1);
  require_entries(op, "stride", attrs.stride, axes, 1);
  require_entries(op, "padding_low", attrs.padding_low, axes, 0);
  require_entries(op, "padding_high", attrs.padding_high, axes, 0);
  require_entries(op, "dilation", attrs.dilation, axes, 1);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t size = x.shape[axis + 1], low = attrs.padding_low[axis], stride = attrs.stride[axis];
    const std::int64_t padded = size + low + attrs.padding_high[axis];
    const std::int64_t window = extent(attrs.kernel[axis], attrs.dilation[axis]);
    if (padded < window)
      fail(
          "{}: x is {}: along spatial axis {} the padded input has {} elements, the window {}; expected a window that "
          "fits",
          to_string(op), to_string(x), axis, padded, window);
    std::int64_t count = (padded - window) / stride + 1;
    if (attrs.ceil_mode && (padded - window) % stride != 0 && count * stride < size + low) ++count;
    result.shape[axis + 1] = count;
  }
  return {result};
}

std::vector<Type> adaptive_pool_types(Op op, const AdaptivePoolAttrs& attrs, const Type& x) {
  const std::size_t axes = spatial_axes(op, x);
  require_entries(op, "size", attrs.size, axes, 1);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    if (x.shape[axis + 1] == 0) fail("{}: spatial axis {} of {} is empty", to_string(op), axis, to_string(x));
    result.shape[axis + 1] = attrs.size[axis];
  }
  return {result};
}

std::vector<Type> interpolate_types(const InterpolateAttrs& attrs, const Type& x) {
  const std::size_t axes = spatial_axes(Op::interpolate, x);
  if (attrs.order != 0 && attrs.order != 1 && attrs.order != 3)
    fail("interpolate: order is {}, expected 0 (nearest), 1 (linear) or 3 (cubic)", attrs.order);
  require_entries(Op::interpolate, "size", attrs.size, axes, 1);
  require_entries(Op::interpolate, "denominator", attrs.denominator, axes, 1);
  if (attrs.slope.size() != axes || attrs.offset.size() != axes)
    fail("interpolate: slope is {}, offset is {}; expected {} entries each, one for each spatial axis",
         to_string(attrs.slope), to_string(attrs.offset), axes);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    if (x.shape[axis + 1] == 0) fail("interpolate: spatial axis {} of {} is empty", axis, to_string(x));
    result.shape[axis + 1] = attrs.size[axis];
  }
  return {result};
}

}  // namespace lazuli
