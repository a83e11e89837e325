// SPDX-License-Identifier: MIT
// Products, and windows over spatial axes.
#include <lazuli/tests/fuzz/graphs/grow.h>

#include <algorithm>

namespace lazuli::fuzz::grow {

bool matmul(Builder& b, Op op) {
  const ValueId x = b.any(is_real, 2);
  Shape shape = b.shape_of(x);
  const DType dtype = b.type(x).dtype;
  const std::int64_t inner = shape.back(), rows = shape[shape.size() - 2];
  const bool on_the_left = b.choice.chance(70), batches = b.choice.chance(50), turned = b.choice.chance(35);
  Shape other = batches ? Shape(shape.begin(), shape.end() - 2) : Shape{};
  const std::int64_t outputs = b.size();
  other.insert(other.end(), {on_the_left ? inner : outputs, on_the_left ? outputs : rows});
  if (!turned) {
    const ValueId y = b.viewed_leaf({dtype, other});
    return on_the_left ? b.add(op, NoAttrs{}, {x, y}) : b.add(op, NoAttrs{}, {y, x});
  }
  std::swap(other.back(), other[other.size() - 2]);
  Dims permutation;
  for (std::size_t axis = 0; axis < other.size(); ++axis) permutation.push_back(static_cast<std::int64_t>(axis));
  std::swap(permutation.back(), permutation[permutation.size() - 2]);
  const ValueId y = b.leaf({dtype, other}, Values::moderate);
  if (!b.add(Op::transpose, TransposeAttrs{permutation}, {y})) return false;
  const ValueId z = b.last();
  return on_the_left ? b.add(op, NoAttrs{}, {x, z}) : b.add(op, NoAttrs{}, {z, x});
}

namespace {

// f64 stands beside f64 alone.
DType weight_dtype(Builder& b, DType x) {
  const bool quantised = b.choice.chance(55);
  const DType real = b.dtype(is_real_32);
  std::vector<DType> blocks;
  for (const DTypeInfo& each : all_dtypes())
    if (is_quantised(each.dtype)) blocks.push_back(each.dtype);
  const DType drawn = b.choice.of(blocks);
  if (x == DType::f64) return b.choice.chance(50) ? DType::f64 : real;
  return quantised && !b.in_body() ? drawn : real;
}

}  // namespace

bool linear(Builder& b, Op op) {
  ValueId x = b.any(is_real, 1);
  const DType dtype = b.type(x).dtype, weight = weight_dtype(b, dtype);
  const bool is_constant = b.choice.chance(75);
  const std::int64_t block = info(weight).block_elements, outputs = b.size();
  if (b.shape_of(x).back() % block != 0 || (block > 1 && b.choice.chance(50))) {
    constexpr std::int64_t more[] = {1, 1, 2};
    x = b.viewed_leaf({dtype, {b.size(), std::max<std::int64_t>(block, 32) * b.choice.of(more)}});
  }
  const Type type{weight, {outputs, b.shape_of(x).back()}};
  return b.add(op, NoAttrs{}, {x, is_constant ? b.constant(type, Values::weights) : b.leaf(type, Values::weights)});
}

bool expert_linear(Builder& b, Op op) {
  const DType dtype = b.dtype(is_real_32), weight = weight_dtype(b, dtype);
  const std::int64_t block = info(weight).block_elements;
  const std::int64_t tokens = b.a_few(), each = b.a_few(), experts = b.a_few(), outputs = b.size();
  const std::int64_t width = block == 1 ? b.size() : std::max<std::int64_t>(block, 32);
  const bool shared = b.choice.chance(50), is_constant = b.choice.chance(70) || is_quantised(weight);
  const Type type{weight, {experts, outputs, width}};
  const ValueId x = b.viewed_leaf({dtype, {tokens, shared ? 1 : each, width}});
  const ValueId stack = is_constant ? b.constant(type, Values::weights) : b.leaf(type, Values::weights);
  return b.add(op, NoAttrs{}, {x, stack, b.indices({tokens, each}, 0, experts - 1)});
}

namespace {

// [N, one to three spatial axes, C]
ValueId image(Builder& b, const DTypes& dtypes, std::int64_t channels) {
  const DType dtype = b.dtype(dtypes);
  const auto axes = static_cast<std::size_t>(b.choice.between(1, 3));
  Shape shape{b.choice.between(1, 2)};
  for (std::size_t axis = 0; axis < axes; ++axis)
    shape.push_back(b.sizes.between(axes == 3 ? 3 : 5, axes == 3 ? 5 : 12));
  shape.push_back(channels);
  for (std::size_t i = b.operands().size(); i-- > 0;)
    if (const Type& there = b.type(b.operands()[i]); there.dtype == dtype && there.shape.size() == shape.size() &&
                                                     there.shape.back() == channels && b.choice.chance(50))
      return b.operands()[i];
  return b.viewed_leaf({dtype, shape});
}

Dims for_each_axis(Builder& b, std::size_t axes, std::int64_t low, std::int64_t high) {
  Dims list;
  for (std::size_t axis = 0; axis < axes; ++axis) list.push_back(b.choice.between(low, high));
  return list;
}

}  // namespace

bool convolution(Builder& b, Op op) {
  constexpr std::int64_t several[] = {1, 1, 1, 2, 3}, widths[] = {1, 3, 4, 8, 16, 17};
  const std::int64_t groups = b.choice.of(several), in = b.choice.of(widths), out = b.choice.of(widths);
  const bool depthwise = b.choice.chance(20);
  const std::int64_t channels = depthwise ? in : in * groups;
  const ValueId x = image(b, is_real_32, channels);
  const std::size_t axes = b.shape_of(x).size() - 2;
  ConvolutionAttrs attrs;
  attrs.stride = for_each_axis(b, axes, 1, 2);
  attrs.padding_low = for_each_axis(b, axes, b.choice.chance(10) ? -1 : 0, 2);
  attrs.padding_high = for_each_axis(b, axes, 0, 2);
  attrs.kernel_dilation = for_each_axis(b, axes, 1, b.choice.chance(25) ? 2 : 1);
  attrs.input_dilation = for_each_axis(b, axes, 1, b.choice.chance(20) ? 2 : 1);
  attrs.groups = depthwise ? channels : groups;
  attrs.flip = b.choice.chance(20);
  Shape weight{depthwise ? channels : out * groups};
  const Dims kernel = for_each_axis(b, axes, 1, 3);
  weight.insert(weight.end(), kernel.begin(), kernel.end());
  weight.push_back(channels / attrs.groups);
  const DType dtype = b.dtype(is_real_32);
  const bool is_constant = b.choice.chance(60);
  const Type type{dtype, weight};
  return b.add(op, attrs, {x, is_constant ? b.constant(type, Values::weights) : b.leaf(type, Values::weights)});
}

namespace {

bool pooled(Builder& b, Op op, const DTypes& dtypes) {
  constexpr std::int64_t widths[] = {1, 3, 8, 17};
  const ValueId x = image(b, dtypes, b.choice.of(widths));
  const std::size_t axes = b.shape_of(x).size() - 2;
  PoolAttrs attrs;
  attrs.kernel = for_each_axis(b, axes, 1, 3);
  attrs.stride = for_each_axis(b, axes, 1, 3);
  attrs.padding_low = for_each_axis(b, axes, 0, 1);
  attrs.padding_high = for_each_axis(b, axes, 0, 2);
  attrs.dilation = for_each_axis(b, axes, 1, b.choice.chance(25) ? 2 : 1);
  attrs.ceil_mode = b.choice.chance(30);
  attrs.count_include_pad = b.choice.chance(60);
  return b.add(op, attrs, {x});
}

bool adaptively_pooled(Builder& b, Op op, const DTypes& dtypes) {
  constexpr std::int64_t widths[] = {1, 3, 8, 17};
  const ValueId x = image(b, dtypes, b.choice.of(widths));
  return b.add(op, AdaptivePoolAttrs{for_each_axis(b, b.shape_of(x).size() - 2, 1, 7)}, {x});
}

}  // namespace

bool pool(Builder& b, Op op) { return pooled(b, op, is_number); }
bool pool_real(Builder& b, Op op) { return pooled(b, op, is_real); }
bool adaptive_pool(Builder& b, Op op) { return adaptively_pooled(b, op, is_number); }
bool adaptive_pool_real(Builder& b, Op op) { return adaptively_pooled(b, op, is_real); }

bool interpolate(Builder& b, Op op) {
  constexpr std::int64_t orders[] = {0, 1, 3};
  const std::int64_t order = b.choice.of(orders);
  const ValueId x = image(b, order == 0 ? DTypes(is_plain) : DTypes(is_real), b.a_few());
  const std::size_t axes = b.shape_of(x).size() - 2;
  InterpolateAttrs attrs;
  attrs.order = order;
  attrs.size = for_each_axis(b, axes, 1, 7);
  for (std::size_t axis = 0; axis < axes; ++axis) {  // (2i + 1) size / 2n - 1/2, or near it
    const std::int64_t size = b.shape_of(x)[axis + 1], n = attrs.size[axis];
    attrs.slope.push_back(2 * size);
    attrs.offset.push_back(size - n + b.choice.between(-1, 1));
    attrs.denominator.push_back(2 * n);
  }
  return b.add(op, attrs, {x});
}

}  // namespace lazuli::fuzz::grow
