// SPDX-License-Identifier: MIT
// What each composite means in other ops. Run backwards, these spellings are the patterns that raising looks for, so
// that the order of operations matters. What is a number of the composite is the same number of its parts; all others
// are literals. 16-bit operands are computed in f32 and rounded once at the end, f64 ones in f64.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/graph/decompose/interpolate.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/ops/ops.h>

#include <limits>
#include <numbers>

namespace lazuli {
namespace {

// Quantised rows are whole blocks, which take dequantises.
Array as_computed(const Array& x, DType dtype) {
  return cast(is_quantised(x.dtype()) ? take_rows(x, iota(x.size(0), DType::i32)) : x, dtype);
}

// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³)))
Array gelu_tanh_by_parts(const Array& x) {
  constexpr double sqrt_2_over_pi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const Array inner = x + ((x * x) * x) * 0.044715;
  return (x * 0.5) * (tanh(inner * sqrt_2_over_pi) + 1.0);
}

Array gelu_by_parts(const Array& x) { return (x * 0.5) * (erf(x * (1 / std::numbers::sqrt2)) + 1.0); }

Array softplus_by_parts(const Array& x) { return maximum(x, 0.0) + log1p(exp(-abs(x))); }

Array softcap_by_parts(const Array& x, const SoftcapAttrs& attrs) {
  return tanh(x / scalar(attrs.cap, x.dtype())) * scalar(attrs.cap, x.dtype());
}

// Of an empty axis nothing is left to compute, and no maximum to subtract.
Array softmax_by_parts(const Array& x, const AxisAttrs& attrs) {
  if (x.size(static_cast<int>(attrs.axis)) == 0) return x;
  const Array exponentials = exp(x - max(x, {attrs.axis}, /*keep_dims=*/true));
  const Array total = sum(exponentials, {attrs.axis}, /*keep_dims=*/true);
  // A division of every element takes as long as its exponential. 16-bit types would round the reciprocal.
  return x.dtype() == DType::f32 ? exponentials * (1.0 / total) : exponentials / total;
}

Array log_softmax_by_parts(const Array& x, const AxisAttrs& attrs) {
  if (x.size(static_cast<int>(attrs.axis)) == 0) return x;
  const Array shifted = x - max(x, {attrs.axis}, /*keep_dims=*/true);
  return shifted - log(sum(exp(shifted), {attrs.axis}, /*keep_dims=*/true));
}

Array layer_norm_by_parts(const std::vector<Array>& x, const LayerNormAttrs& attrs) {
  const Array centred = x[0] - mean(x[0], {-1}, /*keep_dims=*/true);
  const Array variance = mean(centred * centred, {-1}, /*keep_dims=*/true);
  const Array normalised = centred * rsqrt(variance + scalar(attrs.epsilon, variance.dtype()));
  const Array scaled = x.size() > 1 ? normalised * x[1] : normalised;
  return x.size() > 2 ? scaled + x[2] : scaled;
}

Array rms_norm_by_parts(const Array& x, const RmsNormAttrs& attrs) {
  return x * rsqrt(mean(x * x, {-1}, /*keep_dims=*/true) + scalar(attrs.epsilon, x.dtype()));
}

// theta[t, j] = position[t] · scale · base^(-2j / d) / factor[j], as [T, 1, pairs]. Positions are exact in f32 to 2^24.
Array rope_angles(const Array& positions, const Array* factors, const RopeAttrs& attrs, std::int64_t pairs,
                  std::int64_t width, DType dtype) {
  Array frequencies = pow(scalar(attrs.base, dtype), iota(pairs, dtype) * (-2.0 / static_cast<double>(width)));
  if (factors) frequencies = frequencies / slice_axis(*factors, 0, 0, pairs);
  Array scaled = cast(positions, dtype);
  if (attrs.scale != 1) scaled = scaled * scalar(attrs.scale, dtype);  // one with a slot may be any number
  return reshape(scaled, {-1, 1, 1}) * frequencies;
}

Array rope_by_parts(const Array& x, const Array& positions, const Array* factors, const RopeAttrs& attrs) {
  const std::int64_t width = x.size(2), half = width / 2;
  const std::int64_t pairs = attrs.rotated_pairs == 0 ? half : attrs.rotated_pairs;
  const Array angles = rope_angles(positions, factors, attrs, pairs, width, x.dtype());
  const Array cosine = cos(angles), sine = sin(angles);
  const Array low = slice_axis(x, 2, 0, pairs), high = slice_axis(x, 2, half, half + pairs);
  const Array turned_low = low * cosine - high * sine;
  const Array turned_high = high * cosine + low * sine;
  if (pairs == half) return concatenate({turned_low, turned_high}, 2);
  return concatenate({turned_low, slice_axis(x, 2, pairs, half), turned_high, slice_axis(x, 2, half + pairs, width)},
                     2);
}

// bool [T, capacity]: does row t see what cache row s holds? Row s holds the last position before `length` that is s
// modulo the capacity, or nothing yet, which comes out as a negative position.
Array visible_keys(const Array& positions, const Array& length, std::int64_t capacity, std::int64_t window) {
  const auto size = static_cast<int>(capacity);
  const Array row = iota(capacity, DType::i32);
  const Array key = row + (length - 1 - row) / size * size;  // integers divide toward negative infinity
  const Array query = expand_dims(positions, 1);
  const Array visible = logical_and(greater_equal(key, 0), less_equal(key, query));
  return window > 0 ? logical_and(visible, greater(key, query - static_cast<int>(window))) : visible;
}

double lowest(DType dtype) {
  return dtype == DType::f64 ? std::numeric_limits<double>::lowest() : std::numeric_limits<float>::lowest();
}

// softmax over the last axis, with zeros in rows that see nothing.
Array masked_softmax(const Array& scores, const Array& visible) {
  const Array masked = select(visible, scores, -std::numeric_limits<float>::infinity());
  // A row without keys has the maximum -inf; from a finite one its exponentials are all 0 instead of NaN. In every
  // other row the largest term is exp(0), so that its sum is at least 1 and the second maximum changes nothing.
  const Array largest = maximum(max(masked, {-1}, /*keep_dims=*/true), lowest(scores.dtype()));
  const Array exponentials = exp(masked - largest);
  return exponentials / maximum(sum(exponentials, {-1}, /*keep_dims=*/true), 1.0);
}

// The query heads that share a kv head become rows of one matrix product. Every row of v must be finite, also those
// that hold nothing yet: they meet a weight of 0.
Array attention_by_parts(const Array& q, const Array& k, const Array& v, const Array& positions, const Array& length,
                         const AttentionAttrs& attrs) {
  const std::int64_t rows = q.size(0), heads = q.size(1), width = q.size(2);
  const std::int64_t capacity = k.size(0), kv_heads = k.size(1), group = heads / kv_heads;
  const Array grouped = transpose(reshape(q, {rows, kv_heads, group, width}), {1, 2, 0, 3});
  const Array queries = reshape(grouped, {kv_heads, group * rows, width});
  const Array scores = matmul(queries, transpose(k, {1, 2, 0})) * scalar(attrs.scale, q.dtype());
  const Array weights = masked_softmax(reshape(scores, {kv_heads, group, rows, capacity}),
                                       visible_keys(positions, length, capacity, attrs.window));
  const Array mixed = matmul(reshape(weights, {kv_heads, group * rows, capacity}), transpose(v, {1, 0, 2}));
  return reshape(transpose(reshape(mixed, {kv_heads, group, rows, width}), {2, 0, 1, 3}), {rows, heads, width});
}

// Coefficient `position` of every row, [..., 1].
Array coefficient(const Array& coefficients, std::int64_t position) {
  return slice_axis(coefficients, -1, position, position + 1);
}

// pred_j = x_j + (((c_{Pj} x_0 + c_{Pj+1} x_1) + c_{Pj+2} x_2) + …)
Array altup_predict_by_parts(const Array& planes, const Array& coefficients) {
  const std::vector<Array> x = unstack(planes, 0);
  const auto count = static_cast<std::int64_t>(x.size());
  std::vector<Array> predicted;
  for (std::int64_t j = 0; j < count; ++j) {
    Array mixed = coefficient(coefficients, j * count) * x[0];
    for (std::int64_t i = 1; i < count; ++i)
      mixed = mixed + coefficient(coefficients, j * count + i) * x[static_cast<std::size_t>(i)];
    predicted.push_back(x[static_cast<std::size_t>(j)] + mixed);
  }
  return stack(predicted);
}

// corr_j = pred_j + (c_j + 1) (activated - pred_active)
Array altup_correct_by_parts(const Array& planes, const Array& activated, const Array& coefficients,
                             const AltupAttrs& attrs) {
  const std::vector<Array> predicted = unstack(planes, 0);
  const Array innovation = activated - predicted[static_cast<std::size_t>(attrs.active)];
  std::vector<Array> corrected;
  for (std::size_t j = 0; j < predicted.size(); ++j)
    corrected.push_back(predicted[j] + (coefficient(coefficients, static_cast<std::int64_t>(j)) + 1.0) * innovation);
  return stack(corrected);
}

// Operands arrive as f32 or f64, except indices; so does the result leave.
Array by_parts(Op op, const Attrs& attrs, const std::vector<Array>& x) {
  switch (op) {
    case Op::gelu:
      return gelu_by_parts(x[0]);
    case Op::gelu_tanh:
      return gelu_tanh_by_parts(x[0]);
    case Op::silu:
      return x[0] * sigmoid(x[0]);
    case Op::softplus:
      return softplus_by_parts(x[0]);
    case Op::mish:
      return x[0] * tanh(softplus_by_parts(x[0]));
    case Op::softcap:
      return softcap_by_parts(x[0], std::get<SoftcapAttrs>(attrs));
    case Op::softmax:
      return softmax_by_parts(x[0], std::get<AxisAttrs>(attrs));
    case Op::log_softmax:
      return log_softmax_by_parts(x[0], std::get<AxisAttrs>(attrs));
    case Op::layer_norm:
      return layer_norm_by_parts(x, std::get<LayerNormAttrs>(attrs));
    case Op::rms_norm: {
      const Array normalised = rms_norm_by_parts(x[0], std::get<RmsNormAttrs>(attrs));
      return x.size() == 2 ? normalised * x[1] : normalised;
    }
    case Op::rope:
      return rope_by_parts(x[0], x[1], x.size() == 3 ? &x[2] : nullptr, std::get<RopeAttrs>(attrs));
    case Op::attention:
      return attention_by_parts(x[0], x[1], x[2], x[3], x[4], std::get<AttentionAttrs>(attrs));
    case Op::altup_predict:
      return altup_predict_by_parts(x[0], x[1]);
    case Op::altup_correct:
      return altup_correct_by_parts(x[0], x[1], x[2], std::get<AltupAttrs>(attrs));
    case Op::interpolate:
      return interpolate_by_parts(x[0], std::get<InterpolateAttrs>(attrs));
    default:
      fail_internal("{} has no decomposition", to_string(op));
  }
}

}  // namespace

Graph decomposition(Op op, const Attrs& attrs, std::span<const Type> operands) {
  if (const auto* custom = std::get_if<CustomAttrs>(&attrs)) {
    std::optional<Graph> definition = custom_definition(custom->op, operands);
    if (!definition) fail_internal("{} has no decomposition", custom->op.name());
    return *std::move(definition);
  }
  std::vector<Array> leaves, values;
  const DType computed = operands[0].dtype == DType::f64 ? DType::f64 : DType::f32;
  for (const Type& type : operands) {
    leaves.push_back(placeholder(type));
    values.push_back(is_real(type.dtype) || is_quantised(type.dtype) ? as_computed(leaves.back(), computed)
                                                                     : leaves.back());
  }
  const DType result = infer_types(op, attrs, operands)[0].dtype;
  const Array output = cast(by_parts(op, attrs, values), result);
  return snapshot(std::span(&output, 1), &leaves);  // leaves first: input i is operand i
}

}  // namespace lazuli
