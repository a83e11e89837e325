// SPDX-License-Identifier: MIT
// Functions that move windows over spatial axes.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>

#include <algorithm>
#include <cmath>

namespace lazuli {
namespace {

std::size_t spatial_axes(const Array& x) { return std::max<std::size_t>(x.shape().size(), 2) - 2; }

void require_rank(const char* name, const Array& x, std::size_t axes) {
  if (x.shape().size() != axes + 2)
    fail("{}: x is {}, expected [N, {}, C]{}", name, to_string(x.type()),
         axes == 1   ? "L"
         : axes == 2 ? "H, W"
                     : "D, H, W",
         Scope::where(Scope::current()));
}

// One entry for each spatial axis: as given, of the one given, or of the default. Another number of entries is left to
// the shape rule, which says what is wrong.
void spread(Dims& entries, std::size_t axes, std::int64_t otherwise) {
  if (entries.size() <= 1) entries.assign(axes, entries.empty() ? otherwise : entries[0]);
}

// A kernel of one element at every element is a matmul, which runs together with what reads it. Of f64 no convolution
// is, so that its shape rule says so.
bool is_pointwise(const Array& x, const Array& weight, const ConvolutionAttrs& attrs) {
  const auto all = [](const Dims& entries, std::int64_t value) {
    return std::all_of(entries.begin(), entries.end(), [=](std::int64_t entry) { return entry == value; });
  };
  const Shape& shape = weight.shape();
  return x.dtype() != DType::f64 && shape.size() == x.shape().size() && shape.size() > 2 && shape.size() < 6 &&
         shape.back() == x.shape().back() && attrs.groups == 1 && all({shape.begin() + 1, shape.end() - 1}, 1) &&
         all(attrs.stride, 1) && all(attrs.input_dilation, 1) && all(attrs.padding_low, 0) &&
         all(attrs.padding_high, 0);
}

Array conv(const char* name, std::size_t axes, const Array& x, const Array& weight, Dims stride, Dims padding,
           Dims dilation, std::int64_t groups) {
  require_rank(name, x, axes);
  ConvolutionAttrs attrs;
  attrs.stride = std::move(stride);
  attrs.padding_low = padding;
  attrs.padding_high = std::move(padding);
  attrs.kernel_dilation = std::move(dilation);
  attrs.groups = groups;
  return conv_general(x, weight, std::move(attrs));
}

// As mlx.core has it: the input dilated by the stride, the kernel read from its end.
Array conv_transpose(const char* name, std::size_t axes, const Array& x, const Array& weight, Dims stride, Dims padding,
                     Dims dilation, Dims output_padding, std::int64_t groups) {
  require_rank(name, x, axes);
  if (weight.shape().size() != axes + 2)
    fail("{}: weight is {}, expected [O, kernel..., C / groups] of rank {}{}", name, to_string(weight.type()), axes + 2,
         Scope::where(Scope::current()));
  spread(padding, axes, 0);
  spread(dilation, axes, 1);
  spread(output_padding, axes, 0);
  for (const Dims* entries : {&padding, &dilation, &output_padding})
    if (entries->size() != axes)
      fail("{}: padding {}, dilation {}, output_padding {}; expected {} entries each, one for each spatial axis{}",
           name, to_string(padding), to_string(dilation), to_string(output_padding), axes,
           Scope::where(Scope::current()));
  ConvolutionAttrs attrs;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t low = dilation[axis] * (weight.shape()[axis + 1] - 1) - padding[axis];
    attrs.padding_low.push_back(low);
    attrs.padding_high.push_back(low + output_padding[axis]);
  }
  attrs.kernel_dilation = std::move(dilation);
  attrs.input_dilation = std::move(stride);
  attrs.groups = groups;
  attrs.flip = true;
  return conv_general(x, weight, std::move(attrs));
}

PoolAttrs complete(const Array& x, PoolAttrs window) {
  const std::size_t axes = spatial_axes(x);
  spread(window.kernel, axes, 0);
  if (window.stride.empty()) window.stride = window.kernel;
  spread(window.stride, axes, 1);
  spread(window.padding_low, axes, 0);
  spread(window.padding_high, axes, 0);
  spread(window.dilation, axes, 1);
  return window;
}

Array adaptive_pool(Op op, const Array& x, Dims size) {
  spread(size, spatial_axes(x), 0);
  return make_array(op, AdaptivePoolAttrs{std::move(size)}, {x});
}

// Appends an axis on which position i is (slope i + offset) / denominator. Of `nearest` the element at or before the
// position is taken.
void add_axis(InterpolateAttrs& attrs, std::int64_t size, std::int64_t slope, std::int64_t offset,
              std::int64_t denominator) {
  attrs.size.push_back(size);
  attrs.slope.push_back(slope);
  attrs.offset.push_back(offset);
  attrs.denominator.push_back(denominator);
}

void add_axis(InterpolateAttrs& attrs, std::int64_t from, std::int64_t to, Coordinates coordinates) {
  std::int64_t slope = from, offset = 0, denominator = to;
  if (coordinates == Coordinates::half_pixel) {
    slope = 2 * from;
    offset = from - to;
    denominator = 2 * to;
  } else if (coordinates == Coordinates::align_corners) {
    slope = to > 1 ? from - 1 : 0;
    denominator = std::max<std::int64_t>(to - 1, 1);
  }
  // The first of those within half an element: the one at or before the position plus nearly a half.
  if (attrs.order == 0 && coordinates != Coordinates::asymmetric) {
    slope *= 2;
    offset = 2 * offset + denominator - 1;
    denominator *= 2;
  }
  add_axis(attrs, to, slope, offset, denominator);
}

std::int64_t order_of(Interpolation mode) {
  return mode == Interpolation::nearest ? 0 : mode == Interpolation::linear ? 1 : 3;
}

}  // namespace

Array conv_general(const Array& x, const Array& weight, ConvolutionAttrs attrs) {
  const std::size_t axes = spatial_axes(x);
  spread(attrs.stride, axes, 1);
  spread(attrs.padding_low, axes, 0);
  spread(attrs.padding_high, axes, 0);
  spread(attrs.kernel_dilation, axes, 1);
  spread(attrs.input_dilation, axes, 1);
  if (is_pointwise(x, weight, attrs)) return linear(x, reshape(weight, {weight.shape()[0], weight.shape().back()}));
  return make_array(Op::convolution, std::move(attrs), {x, weight});
}

Array conv1d(const Array& x, const Array& weight, std::int64_t stride, std::int64_t padding, std::int64_t dilation,
             std::int64_t groups) {
  return conv("conv1d", 1, x, weight, {stride}, {padding}, {dilation}, groups);
}
Array conv2d(const Array& x, const Array& weight, Dims stride, Dims padding, Dims dilation, std::int64_t groups) {
  return conv("conv2d", 2, x, weight, std::move(stride), std::move(padding), std::move(dilation), groups);
}
Array conv3d(const Array& x, const Array& weight, Dims stride, Dims padding, Dims dilation, std::int64_t groups) {
  return conv("conv3d", 3, x, weight, std::move(stride), std::move(padding), std::move(dilation), groups);
}

Array conv_transpose1d(const Array& x, const Array& weight, std::int64_t stride, std::int64_t padding,
                       std::int64_t dilation, std::int64_t output_padding, std::int64_t groups) {
  return conv_transpose("conv_transpose1d", 1, x, weight, {stride}, {padding}, {dilation}, {output_padding}, groups);
}
Array conv_transpose2d(const Array& x, const Array& weight, Dims stride, Dims padding, Dims dilation,
                       Dims output_padding, std::int64_t groups) {
  return conv_transpose("conv_transpose2d", 2, x, weight, std::move(stride), std::move(padding), std::move(dilation),
                        std::move(output_padding), groups);
}
Array conv_transpose3d(const Array& x, const Array& weight, Dims stride, Dims padding, Dims dilation,
                       Dims output_padding, std::int64_t groups) {
  return conv_transpose("conv_transpose3d", 3, x, weight, std::move(stride), std::move(padding), std::move(dilation),
                        std::move(output_padding), groups);
}

Array max_pool(const Array& x, PoolAttrs window) {
  window.count_include_pad = PoolAttrs{}.count_include_pad;  // says nothing here, and would tell equal nodes apart
  return make_array(Op::max_pool, complete(x, std::move(window)), {x});
}
Array mean_pool(const Array& x, PoolAttrs window) {
  return make_array(Op::mean_pool, complete(x, std::move(window)), {x});
}
Array adaptive_max_pool(const Array& x, Dims size) { return adaptive_pool(Op::adaptive_max_pool, x, std::move(size)); }
Array adaptive_mean_pool(const Array& x, Dims size) {
  return adaptive_pool(Op::adaptive_mean_pool, x, std::move(size));
}

Array interpolate(const Array& x, Dims size, Interpolation mode, Coordinates coordinates) {
  const std::size_t axes = spatial_axes(x);
  spread(size, axes, 0);
  InterpolateAttrs attrs;
  attrs.order = order_of(mode);
  for (std::size_t axis = 0; axis < size.size(); ++axis)
    add_axis(attrs, axis < axes ? x.shape()[axis + 1] : 0, size[axis], coordinates);
  return make_array(Op::interpolate, std::move(attrs), {x});
}

Array upsample(const Array& x, std::vector<double> scale, Interpolation mode, bool align_corners) {
  const std::size_t axes = spatial_axes(x);
  if (scale.size() == 1) scale.assign(axes, scale[0]);
  if (scale.size() != axes || axes == 0 ||
      std::any_of(scale.begin(), scale.end(), [](double s) { return !(s > 0 && s < 0x1p20); }))
    fail("upsample: x is {}, {} scales; expected a positive one for each of one to three spatial axes{}",
         to_string(x.type()), scale.size(), Scope::where(Scope::current()));
  InterpolateAttrs attrs;
  attrs.order = order_of(mode);
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::int64_t from = x.shape()[axis + 1];
    const double exact = scale[axis] * static_cast<double>(from);
    const auto to = static_cast<std::int64_t>(std::floor(exact));
    if (mode == Interpolation::nearest) {
      add_axis(attrs, from, to, to > from ? Coordinates::half_pixel : Coordinates::asymmetric);
    } else if (align_corners || exact == static_cast<double>(to)) {
      add_axis(attrs, from, to, align_corners ? Coordinates::align_corners : Coordinates::half_pixel);
    } else {
      // i / scale, the middle of the result on that of x: (2 i - to + 1) / (2 scale) + (from - 1) / 2.
      constexpr std::int64_t one = std::int64_t{1} << 32;
      const auto step = static_cast<std::int64_t>(std::llround(static_cast<double>(one) / scale[axis]));
      add_axis(attrs, to, 2 * step, (1 - to) * step + (from - 1) * one, 2 * one);
    }
  }
  return make_array(Op::interpolate, std::move(attrs), {x});
}

}  // namespace lazuli
