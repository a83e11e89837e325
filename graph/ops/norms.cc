// SPDX-License-Identifier: MIT
// Norms over rows, channels and groups of channels.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/widened.h>

#include <string_view>
#include <utility>

namespace lazuli {
namespace {

void require_channels(std::string_view op, const Array& x, const std::vector<std::pair<const char*, Array>>& operands) {
  if (!is_real(x.dtype()) || x.rank() < 1)
    fail("{}: x is {}, expected a real dtype and at least one axis{}", op, to_string(x.type()),
         Scope::where(Scope::current()));
  const Type expected{x.dtype(), {x.shape().back()}};
  for (const auto& [name, operand] : operands)
    if (operand.type() != expected)
      fail("{}: {} is {}, x is {}; expected {}{}", op, name, to_string(operand.type()), to_string(x.type()),
           to_string(expected), Scope::where(Scope::current()));
}

// [N, ..., C] as rows of one group each, normalised, and back.
Array normalised_groups(std::string_view op, const Array& x, std::int64_t groups, double epsilon) {
  const std::int64_t channels = x.shape().back();
  if (x.rank() < 2 || x.type().elements() == 0 || groups < 1 || channels % groups != 0)
    fail("{}: x is {}, groups are {}; expected x [N, ..., C] of at least one element and a divisor of C{}", op,
         to_string(x.type()), groups, Scope::where(Scope::current()));
  const std::int64_t batch = x.size(0), size = channels / groups, positions = x.type().elements() / batch / channels;
  const Array grouped = transpose(reshape(widened(x), {batch, positions, groups, size}), {0, 2, 1, 3});
  const Array rows = layer_norm(reshape(grouped, {batch, groups, positions * size}), epsilon);
  return reshape(transpose(reshape(rows, {batch, groups, positions, size}), {0, 2, 1, 3}), x.shape());
}

Array scaled(const Array& x, const Array& weight, const Array& bias) { return x * widened(weight) + widened(bias); }

}  // namespace

Array log_softmax(const Array& x, std::int64_t axis) {
  return make_array(Op::log_softmax, AxisAttrs{normalise_axis(axis, x.shape().size(), "log_softmax")}, {x});
}

Array layer_norm(const Array& x, double epsilon) { return make_array(Op::layer_norm, LayerNormAttrs{epsilon}, {x}); }
Array layer_norm(const Array& x, const Array& weight, double epsilon) {
  return make_array(Op::layer_norm, LayerNormAttrs{epsilon}, {x, weight});
}
Array layer_norm(const Array& x, const Array& weight, const Array& bias, double epsilon) {
  return make_array(Op::layer_norm, LayerNormAttrs{epsilon}, {x, weight, bias});
}

Array batch_norm(const Array& x, const Array& mean, const Array& variance, double epsilon) {
  require_channels("batch_norm", x, {{"mean", mean}, {"variance", variance}});
  return cast((widened(x) - widened(mean)) * rsqrt(widened(variance) + epsilon), x.dtype());
}
Array batch_norm(const Array& x, const Array& mean, const Array& variance, const Array& weight, const Array& bias,
                 double epsilon) {
  require_channels("batch_norm", x, {{"mean", mean}, {"variance", variance}, {"weight", weight}, {"bias", bias}});
  const Array normalised = (widened(x) - widened(mean)) * rsqrt(widened(variance) + epsilon);
  return cast(scaled(normalised, weight, bias), x.dtype());
}

Array group_norm(const Array& x, std::int64_t groups, double epsilon) {
  require_channels("group_norm", x, {});
  return cast(normalised_groups("group_norm", x, groups, epsilon), x.dtype());
}
Array group_norm(const Array& x, const Array& weight, const Array& bias, std::int64_t groups, double epsilon) {
  require_channels("group_norm", x, {{"weight", weight}, {"bias", bias}});
  return cast(scaled(normalised_groups("group_norm", x, groups, epsilon), weight, bias), x.dtype());
}

Array instance_norm(const Array& x, double epsilon) {
  require_channels("instance_norm", x, {});
  return cast(normalised_groups("instance_norm", x, x.shape().back(), epsilon), x.dtype());
}
Array instance_norm(const Array& x, const Array& weight, const Array& bias, double epsilon) {
  require_channels("instance_norm", x, {{"weight", weight}, {"bias", bias}});
  return cast(scaled(normalised_groups("instance_norm", x, x.shape().back(), epsilon), weight, bias), x.dtype());
}

}  // namespace lazuli
