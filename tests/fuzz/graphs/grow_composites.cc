// SPDX-License-Identifier: MIT
// Composites of several operands: norms, rope, attention, AltUp.
#include <lazuli/tests/fuzz/graphs/grow.h>

#include <algorithm>

namespace lazuli::fuzz::grow {
namespace {

double epsilon(Builder& b) {
  constexpr double usual[] = {1e-6, 1e-5, 0.1, 1};
  return b.values.of(usual);
}

}  // namespace

bool rms_norm(Builder& b, Op op) {
  const ValueId x = b.any(is_real, 1);
  const RmsNormAttrs attrs{epsilon(b)};
  if (b.choice.chance(40)) return b.add(op, attrs, {x});
  return b.add(op, attrs, {x, b.leaf({b.type(x).dtype, {b.shape_of(x).back()}}, Values::moderate)});
}

bool layer_norm(Builder& b, Op op) {
  const ValueId x = b.any(is_real, 1);
  std::vector<ValueId> operands{x};
  const std::int64_t more = b.choice.between(0, 2);
  for (std::int64_t i = 0; i < more; ++i)
    operands.push_back(b.leaf({b.type(x).dtype, {b.shape_of(x).back()}}, Values::moderate));
  return b.add(op, LayerNormAttrs{epsilon(b)}, operands);
}

bool rope(Builder& b, Op op) {
  constexpr std::int64_t widths[] = {2, 8, 16, 32};
  const DType dtype = b.dtype(is_real);
  const std::int64_t rows = b.a_few() + (b.choice.chance(20) ? 20 : 0), width = b.choice.of(widths);
  const std::int64_t heads = b.a_few();
  const ValueId x = b.viewed_leaf({dtype, {rows, heads, width}});
  RopeAttrs attrs;
  if (b.choice.chance(50)) attrs.base = 1e6;
  if (b.choice.chance(30)) attrs.scale = 0.125;
  if (b.choice.chance(30)) attrs.rotated_pairs = std::max<std::int64_t>(width / 4, 1);
  std::vector<ValueId> operands{x, b.indices({rows}, 0, 1000)};
  if (b.choice.chance(30)) operands.push_back(b.leaf({DType::f32, {width / 2}}, Values::positive));
  return b.add(op, attrs, operands);
}

bool attention(Builder& b, Op op) {
  constexpr std::int64_t widths[] = {8, 16, 24, 64}, capacities[] = {1, 16, 33, 40, 150};
  constexpr DType caches[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0};
  const DType dtype = b.dtype(is_real);
  const DType drawn = b.choice.of(caches), cache = b.in_body() && drawn == DType::q8_0 ? DType::f16
                                                   : dtype == DType::f64               ? DType::f64
                                                                                       : drawn;
  const std::int64_t block = info(cache).block_elements;
  const std::int64_t width = (b.choice.of(widths) + block - 1) / block * block, capacity = b.choice.of(capacities);
  const std::int64_t kv_heads = b.choice.between(1, 2), heads = kv_heads * b.choice.between(1, 3);
  const std::int64_t rows = b.a_few() + (b.choice.chance(15) ? 30 : 0);
  const bool windowed = b.choice.chance(40);
  const std::int64_t length = b.values.between(0, b.choice.chance(30) ? 3 * capacity : capacity);
  const ValueId q = b.leaf({dtype, {rows, heads, width}}, Values::moderate);
  // Every row must be finite, also those that hold nothing yet.
  const ValueId k = b.leaf({cache, {capacity, kv_heads, width}}, Values::moderate);
  const ValueId v = b.leaf({cache, {capacity, kv_heads, width}}, Values::moderate);
  const ValueId positions = b.indices({rows}, std::max<std::int64_t>(0, length - rows), length);
  AttentionAttrs attrs{0.25, windowed ? b.choice.between(1, 40) : 0};
  return b.add(op, attrs, {q, k, v, positions, b.indices({}, length, length)});
}

bool altup_predict(Builder& b, Op op) {
  const DType dtype = b.dtype(is_real);
  const std::int64_t planes = b.a_few(), rows = b.a_few(), width = b.size();
  const ValueId x = b.viewed_leaf({dtype, {planes, rows, width}});
  return b.add(op, AltupAttrs{}, {x, b.viewed_leaf({dtype, {rows, planes * planes}})});
}

bool altup_correct(Builder& b, Op op) {
  const DType dtype = b.dtype(is_real);
  const std::int64_t planes = b.a_few(), rows = b.a_few(), width = b.size();
  const ValueId x = b.viewed_leaf({dtype, {planes, rows, width}}), activated = b.viewed_leaf({dtype, {rows, width}});
  const ValueId coefficients = b.viewed_leaf({dtype, {rows, planes}});
  return b.add(op, AltupAttrs{b.choice.between(0, planes - 1)}, {x, activated, coefficients});
}

}  // namespace lazuli::fuzz::grow
