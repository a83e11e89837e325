// SPDX-License-Identifier: MIT
// Composites over rows and planes, each by its formula and not by its decomposition: the two check each other.
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lazuli::reference {

namespace {

// Each element of an axis by `value`(x - largest, sum of exp(x - largest)).
template <class Value>
void for_each_exponent(const Call& call, Value value) {
  const Tensor &x = call.operand(0), &result = call.result();
  const AroundAxis around(x.shape(), call.as<AxisAttrs>().axis);
  for (std::int64_t o = 0; o < around.outer; ++o)
    for (std::int64_t i = 0; i < around.inner; ++i) {
      double largest = -std::numeric_limits<double>::infinity(), total = 0;
      for (std::int64_t j = 0; j < around.size; ++j) largest = std::max(largest, x.real(around.element(o, j, i)));
      for (std::int64_t j = 0; j < around.size; ++j) total += std::exp(x.real(around.element(o, j, i)) - largest);
      for (std::int64_t j = 0; j < around.size; ++j) {
        const std::int64_t element = around.element(o, j, i);
        result.set_real(element, value(x.real(element) - largest, total));
      }
    }
}

}  // namespace

void softmax(const Call& call) {
  for_each_exponent(call, [](double exponent, double total) { return std::exp(exponent) / total; });
}

void log_softmax(const Call& call) {
  for_each_exponent(call, [](double exponent, double total) { return exponent - std::log(total); });
}

void layer_norm(const Call& call) {
  const Tensor &x = call.operand(0), &result = call.result();
  const std::int64_t width = x.shape().back(), rows = x.elements() / width;
  for (std::int64_t row = 0; row < rows; ++row) {
    double total = 0, squares = 0;
    for (std::int64_t i = 0; i < width; ++i) total += x.real(row * width + i);
    const double mean = total / static_cast<double>(width);
    for (std::int64_t i = 0; i < width; ++i) squares += std::pow(x.real(row * width + i) - mean, 2);
    const double variance = squares / static_cast<double>(width);
    const double scale = 1.0 / std::sqrt(variance + call.as<LayerNormAttrs>().epsilon.value);
    for (std::int64_t i = 0; i < width; ++i) {
      const double weight = call.operands.size() > 1 ? call.operand(1).real(i) : 1.0;
      const double bias = call.operands.size() > 2 ? call.operand(2).real(i) : 0.0;
      result.set_real(row * width + i, (x.real(row * width + i) - mean) * scale * weight + bias);
    }
  }
}

void rms_norm(const Call& call) {
  const Tensor &x = call.operand(0), &result = call.result();
  const std::int64_t width = x.shape().back(), rows = width == 0 ? 0 : x.elements() / width;
  for (std::int64_t row = 0; row < rows; ++row) {
    double squares = 0;
    for (std::int64_t i = 0; i < width; ++i) squares += x.real(row * width + i) * x.real(row * width + i);
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + call.as<RmsNormAttrs>().epsilon.value);
    for (std::int64_t i = 0; i < width; ++i) {
      const double weight = call.operands.size() == 2 ? call.operand(1).real(i) : 1.0;
      result.set_real(row * width + i, x.real(row * width + i) * scale * weight);
    }
  }
}

void rope(const Call& call) {
  const Tensor &x = call.operand(0), &positions = call.operand(1), &result = call.result();
  const auto& attrs = call.as<RopeAttrs>();
  const std::int64_t rows = x.size(0), heads = x.size(1), width = x.size(2), half = width / 2;
  const std::int64_t pairs = attrs.rotated_pairs == 0 ? half : attrs.rotated_pairs;
  for (std::int64_t vector = 0; vector < rows * heads; ++vector)
    for (std::int64_t j = 0; j < half; ++j) {
      double angle = 0;
      if (j < pairs) {
        const auto position = static_cast<double>(positions.integer(vector / heads));
        const double exponent = -2.0 * static_cast<double>(j) / static_cast<double>(width);
        angle = position * attrs.scale.value * std::pow(attrs.base.value, exponent);
        if (call.operands.size() == 3) angle /= call.operand(2).real(j);
      }
      const std::int64_t low = vector * width + j, high = low + half;
      const double cosine = std::cos(angle), sine = std::sin(angle);
      result.set_real(low, x.real(low) * cosine - x.real(high) * sine);
      result.set_real(high, x.real(high) * cosine + x.real(low) * sine);
    }
}

// pred_j = x_j + sum over i of c_{P j + i} x_i
void altup_predict(const Call& call) {
  const Tensor &x = call.operand(0), &coefficients = call.operand(1);
  const std::int64_t planes = x.size(0), width = x.shape().back();
  const std::int64_t plane = planes == 0 ? 0 : x.elements() / planes;
  for (std::int64_t element = 0; element < plane; ++element) {
    const std::int64_t first_coefficient = element / width * planes * planes;
    for (std::int64_t j = 0; j < planes; ++j) {
      double predicted = x.real(j * plane + element);
      for (std::int64_t i = 0; i < planes; ++i)
        predicted += coefficients.real(first_coefficient + j * planes + i) * x.real(i * plane + element);
      call.result().set_real(j * plane + element, predicted);
    }
  }
}

// corr_j = pred_j + (1 + c_j) (activated - pred_active)
void altup_correct(const Call& call) {
  const Tensor &predicted = call.operand(0), &activated = call.operand(1), &coefficients = call.operand(2);
  const std::int64_t planes = predicted.size(0), width = predicted.shape().back(), plane = activated.elements();
  const std::int64_t active = call.as<AltupAttrs>().active;
  for (std::int64_t element = 0; element < plane; ++element) {
    const double innovation = activated.real(element) - predicted.real(active * plane + element);
    for (std::int64_t j = 0; j < planes; ++j) {
      const double coefficient = 1.0 + coefficients.real(element / width * planes + j);
      call.result().set_real(j * plane + element, predicted.real(j * plane + element) + coefficient * innovation);
    }
  }
}

}  // namespace lazuli::reference
