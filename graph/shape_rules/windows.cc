// SPDX-License-Identifier: MIT
// Shape rules of the ops that move windows over spatial axes. Operands are plain.
#include <lazuli/graph/shape_rules/infer_call.h>

#include <algorithm>

namespace lazuli::infer {
namespace {

constexpr std::size_t max_spatial_axes = 3;

// Operand 0 is x.
std::size_t spatial_axes(const Call& call) {
  const Type& x = call.operand(0);
  if (x.shape.size() < 3 || x.shape.size() > 2 + max_spatial_axes)
    call.reject_shape("[N, one to three spatial axes, C]", call.found(0),
                      "x is {}, expected [N, one to three spatial axes, C]", to_string(x));
  return x.shape.size() - 2;
}

void require_entries(const Call& call, const char* name, const Dims& entries, std::size_t count, std::int64_t lowest) {
  const std::string found = fmt::format("{} {}", name, to_string(entries));
  if (entries.size() != count)
    call.reject_shape(fmt::format("{} entries, one for each spatial axis", count), found,
                      "{} is {}, expected {} entries, one for each spatial axis", name, to_string(entries), count);
  if (std::any_of(entries.begin(), entries.end(), [&](std::int64_t entry) { return entry < lowest; }))
    call.reject_shape(fmt::format("{} or more", lowest), found, "{} is {}, expected {} or more", name,
                      to_string(entries), lowest);
}

// Results are as large as somebody says, of elements that must come from somewhere.
void require_elements(const Call& call, std::size_t axis) {
  if (call.operand(0).shape[axis + 1] == 0)
    call.reject_shape("at least one element along the axis", call.found(0), "spatial axis {} of {} is empty", axis,
                      call.found(0));
}

// From the first element to the last of `count`, that many apart.
std::int64_t extent(std::int64_t count, std::int64_t dilation) { return count == 0 ? 0 : (count - 1) * dilation + 1; }

}  // namespace

Types convolution(const Call& call) {
  const auto& attrs = call.as<ConvolutionAttrs>();
  const Type &x = call.operand(0), &weight = call.operand(1);
  const std::size_t axes = spatial_axes(call);
  require_entries(call, "stride", attrs.stride, axes, 1);
  for (const Dims* padding : {&attrs.padding_low, &attrs.padding_high})
    if (padding->size() != axes)
      call.reject_shape(fmt::format("{} entries each, one for each spatial axis", axes),
                        fmt::format("padding {} and {}", to_string(attrs.padding_low), to_string(attrs.padding_high)),
                        "padding is {} and {}, expected {} entries each, one for each spatial axis",
                        to_string(attrs.padding_low), to_string(attrs.padding_high), axes);
  require_entries(call, "kernel_dilation", attrs.kernel_dilation, axes, 1);
  require_entries(call, "input_dilation", attrs.input_dilation, axes, 1);
  const std::int64_t channels = x.shape.back(), groups = attrs.groups;
  if (weight.shape.size() != axes + 2 || groups < 1 || channels % groups != 0 ||
      weight.shape.back() != channels / groups || weight.shape[0] % groups != 0)
    call.reject_shape("weight [O, kernel..., C / groups] with C and O multiples of groups",
                      fmt::format("x {}, weight {}, {} groups", call.found(0), call.found(1), groups),
                      "x is {}, weight is {}, groups are {}; expected weight [O, kernel..., C / groups] with C and O "
                      "multiples of groups",
                      to_string(x), to_string(weight), groups);
  Type result{x.dtype, {x.shape[0]}};
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t padded =
        extent(x.shape[axis + 1], attrs.input_dilation[axis]) + attrs.padding_low[axis] + attrs.padding_high[axis];
    const std::int64_t kernel = extent(weight.shape[axis + 1], attrs.kernel_dilation[axis]);
    if (kernel < 1 || padded < kernel)
      call.reject_shape("a kernel of 1 or more that fits",
                        fmt::format("{} elements for a kernel of {}", padded, kernel),
                        "x is {}, weight is {}: along spatial axis {} the padded input has {} elements, the kernel {}; "
                        "expected a kernel of 1 or more that fits",
                        to_string(x), to_string(weight), axis, padded, kernel);
    result.shape.push_back((padded - kernel) / attrs.stride[axis] + 1);
  }
  result.shape.push_back(weight.shape[0]);
  return {result};
}

Types pool(const Call& call) {
  const auto& attrs = call.as<PoolAttrs>();
  const Type& x = call.operand(0);
  const std::size_t axes = spatial_axes(call);
  require_entries(call, "kernel", attrs.kernel, axes, 1);
  require_entries(call, "stride", attrs.stride, axes, 1);
  require_entries(call, "padding_low", attrs.padding_low, axes, 0);
  require_entries(call, "padding_high", attrs.padding_high, axes, 0);
  require_entries(call, "dilation", attrs.dilation, axes, 1);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t size = x.shape[axis + 1], low = attrs.padding_low[axis], stride = attrs.stride[axis];
    const std::int64_t padded = size + low + attrs.padding_high[axis];
    const std::int64_t window = extent(attrs.kernel[axis], attrs.dilation[axis]);
    if (padded < window)
      call.reject_shape(
          "a window that fits", fmt::format("{} elements for a window of {}", padded, window),
          "x is {}: along spatial axis {} the padded input has {} elements, the window {}; expected a window that "
          "fits",
          to_string(x), axis, padded, window);
    std::int64_t count = (padded - window) / stride + 1;
    if (attrs.ceil_mode && (padded - window) % stride != 0 && count * stride < size + low) ++count;
    result.shape[axis + 1] = count;
  }
  return {result};
}

Types pool_real(const Call& call) { return pool(call); }

Types adaptive_pool(const Call& call) {
  const auto& attrs = call.as<AdaptivePoolAttrs>();
  const Type& x = call.operand(0);
  const std::size_t axes = spatial_axes(call);
  require_entries(call, "size", attrs.size, axes, 1);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    require_elements(call, axis);
    result.shape[axis + 1] = attrs.size[axis];
  }
  return {result};
}

Types adaptive_pool_real(const Call& call) { return adaptive_pool(call); }

Types interpolate(const Call& call) {
  const auto& attrs = call.as<InterpolateAttrs>();
  const Type& x = call.operand(0);
  if (attrs.order != 0 && !is_real(x.dtype))
    call.reject_dtype("a real dtype", call.found(0), "operand 0 is {}, expected a real dtype where order is {}",
                      call.found(0), attrs.order);
  const std::size_t axes = spatial_axes(call);
  if (attrs.order != 0 && attrs.order != 1 && attrs.order != 3)
    call.reject("order is {}, expected 0 (nearest), 1 (linear) or 3 (cubic)", attrs.order);
  require_entries(call, "size", attrs.size, axes, 1);
  require_entries(call, "denominator", attrs.denominator, axes, 1);
  if (attrs.slope.size() != axes || attrs.offset.size() != axes)
    call.reject_shape(fmt::format("{} entries each, one for each spatial axis", axes),
                      fmt::format("slope {}, offset {}", to_string(attrs.slope), to_string(attrs.offset)),
                      "slope is {}, offset is {}; expected {} entries each, one for each spatial axis",
                      to_string(attrs.slope), to_string(attrs.offset), axes);
  Type result = x;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    require_elements(call, axis);
    result.shape[axis + 1] = attrs.size[axis];
  }
  return {result};
}

}  // namespace lazuli::infer
