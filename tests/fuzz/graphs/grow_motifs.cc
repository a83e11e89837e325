// SPDX-License-Identifier: MIT
// Nodes that rules and fusions look for, right or nearly right: gates, caps, norms with what stands around them,
// matmuls of one operand with activations behind them.
#include <lazuli/tests/fuzz/graphs/grow.h>

#include <algorithm>

namespace lazuli::fuzz {
namespace {

ValueId one_of(Builder& b, Op op, Attrs attrs, std::vector<ValueId> inputs) {
  const ValueId first = inputs[0];
  return b.add(op, std::move(attrs), std::move(inputs)) ? b.last() : first;
}
ValueId one_of(Builder& b, Op op, std::vector<ValueId> inputs) { return one_of(b, op, NoAttrs{}, std::move(inputs)); }

ValueId spelled_gelu_tanh(Builder& b, ValueId x) {
  const DType dtype = b.type(x).dtype;
  const auto number = [&](double value) { return b.number(value, dtype); };
  const ValueId cube = one_of(b, Op::mul, {one_of(b, Op::mul, {x, x}), x});
  const ValueId scaled = one_of(b, Op::mul, {cube, number(0.044715)});
  const ValueId inner = one_of(b, Op::add, {x, scaled});
  const ValueId angle = one_of(b, Op::mul, {inner, number(0.7978845608028654)});
  const ValueId gate = one_of(b, Op::add, {one_of(b, Op::tanh, {angle}), number(1)});
  return one_of(b, Op::mul, {one_of(b, Op::mul, {x, number(0.5)}), gate});
}

bool gate(Builder& b, ValueId x, DType dtype) {
  constexpr Op activations[] = {Op::gelu_tanh, Op::tanh, Op::silu, Op::gelu, Op::sigmoid};
  const bool spelled = b.choice.chance(30) && dtype == DType::f32;
  const Op activation = b.choice.of(activations);
  const ValueId left = spelled ? spelled_gelu_tanh(b, x) : one_of(b, activation, {x});
  const ValueId right = b.partner(left, dtype);
  return b.choice.chance(50) ? b.add(Op::mul, NoAttrs{}, {left, right}) : b.add(Op::mul, NoAttrs{}, {right, left});
}

bool cap(Builder& b, ValueId x, DType dtype) {
  constexpr double caps[] = {30, 5, 2, 0.5};
  const double value = b.values.of(caps);
  const bool same = b.choice.chance(75);
  const ValueId divided = one_of(b, Op::div, {x, b.number(value, dtype)});
  const ValueId capped = one_of(b, Op::tanh, {divided});
  return b.add(Op::mul, NoAttrs{}, {capped, b.number(same ? value : 3, dtype)});
}

bool products_of_one(Builder& b, ValueId x, DType dtype) {
  constexpr Op activations[] = {Op::gelu_tanh, Op::silu, Op::tanh, Op::neg};
  const std::int64_t outputs = b.size(), width = b.shape_of(x).back();
  const bool second = b.choice.chance(60), bias = b.choice.chance(40), activated = b.choice.chance(70);
  const Op activation = b.choice.of(activations);
  const Type weight{dtype, {outputs, width}};
  ValueId result = one_of(b, Op::linear, {x, b.constant(weight, Values::weights)});
  if (bias) result = one_of(b, Op::add, {result, b.constant({dtype, {outputs}}, Values::weights)});
  if (activated) result = one_of(b, activation, {result});
  if (!second) return true;
  const ValueId other = one_of(b, Op::linear, {x, b.constant(weight, Values::weights)});
  return b.add(Op::mul, NoAttrs{}, {result, other});
}

bool norm_and_residual(Builder& b, ValueId x, DType dtype) {
  const ValueId weight = b.constant({dtype, {b.shape_of(x).back()}}, Values::weights);
  const ValueId scale = one_of(b, Op::add, {weight, b.number(1, dtype)});
  const ValueId normed = one_of(b, Op::rms_norm, RmsNormAttrs{1e-6}, {x, scale});
  const ValueId sum = one_of(b, Op::add, {b.partner(normed, dtype), normed});
  return b.choice.chance(50) || b.add(Op::rms_norm, RmsNormAttrs{1e-5}, {sum});
}

bool spelled_softmax(Builder& b, ValueId x) {
  const Dims last{static_cast<std::int64_t>(b.shape_of(x).size()) - 1};
  if (b.shape_of(x).back() == 0) return false;
  const ValueId largest = one_of(b, Op::max, ReduceAttrs{last, true}, {x});
  const ValueId exponentials = one_of(b, Op::exp, {one_of(b, Op::sub, {x, largest})});
  const ValueId total = one_of(b, Op::sum, ReduceAttrs{last, true}, {exponentials});
  return b.add(Op::div, NoAttrs{}, {exponentials, total});
}

// Rounded to 16 bits on the way, where nothing may be left out.
bool there_and_back(Builder& b, ValueId x, DType dtype) {
  constexpr DType narrow[] = {DType::f16, DType::bf16};
  const DType other = b.choice.of(narrow);
  const ValueId rounded = one_of(b, Op::cast, CastAttrs{other}, {x});
  const bool sums = b.choice.chance(60);
  if (!sums) return b.add(Op::cast, CastAttrs{dtype}, {rounded});
  const ValueId first = one_of(b, Op::add, {rounded, b.partner(rounded, other)});
  const ValueId second = one_of(b, Op::add, {first, b.partner(rounded, other)});
  return b.add(Op::cast, CastAttrs{dtype}, {second});
}

// Along one of two axes that are equal: the other has the right type, too.
bool reduced_square(Builder& b, DType dtype) {
  constexpr Op reductions[] = {Op::sum, Op::sum, Op::mean, Op::max, Op::prod};
  const std::int64_t size = b.size(), axis = b.choice.between(0, 1);
  const Op op = b.choice.of(reductions);
  return b.add(op, ReduceAttrs{{axis}, false}, {b.viewed_leaf({dtype, {size, size}})});
}

// What row demand narrows.
bool last_row(Builder& b, ValueId x) {
  const Shape& shape = b.shape_of(x);
  SliceAttrs attrs{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
  const auto axis = static_cast<std::size_t>(b.choice.below(1 << 16)) % shape.size();
  if (shape[axis] == 0) return false;
  attrs.begin[axis] = shape[axis] - 1;
  return b.add(Op::slice, attrs, {x});
}

}  // namespace

bool grow_motif(Builder& b) {
  const ValueId x = b.any(is_real, 1);
  const DType dtype = b.type(x).dtype;
  switch (b.choice.below(9)) {
    case 0:
    case 1:
      return gate(b, x, dtype);
    case 2:
      return cap(b, x, dtype);
    case 3:
      return products_of_one(b, x, dtype);
    case 4:
      return norm_and_residual(b, x, dtype);
    case 5:
      return spelled_softmax(b, x);
    case 6:
      return there_and_back(b, x, dtype);
    case 7:
      return reduced_square(b, dtype);
    default:
      return last_row(b, x);
  }
}

}  // namespace lazuli::fuzz
