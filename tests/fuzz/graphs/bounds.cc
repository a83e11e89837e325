// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/tests/fuzz/graphs/bounds.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lazuli::fuzz {
namespace {

using Numbers = std::vector<double>;

constexpr double anything = std::numeric_limits<double>::infinity();
constexpr double few_ulps = 1e-6;        // of functions, relative, absolute below 1
constexpr double of_sums = 2e-6;         // of sums of any length, relative to the sum of magnitudes
constexpr double of_products = 0x1p-23;  // of each term of a product, likewise
constexpr double of_f64 = 1e-8;          // what is left of these where all is computed in f64: 2^-53 against 2^-24
constexpr double of_int8 = 0.005;        // activations in 8 bits, of a row's largest
constexpr double no_activation = 1e-33;  // a row of smaller ones than this times 0.005 may be zeros in 8 bits
constexpr double longest = 1e18;         // squares of larger numbers are infinite in f32

enum class Kind : std::uint8_t {
  exact,
  value,  // exact, but for the sign of a zero among zeros of both: which of equals wins is not promised
  function,
  sum,
  product,
  factors,
  softmax,
  rms_norm,
  layer_norm,
  rope,
  attention,
  correct,
  mixed,
  none
};

Kind kind_of(const GraphNode& node) {
  switch (node.op) {
    case Op::max:
    case Op::min:
    case Op::max_pool:
    case Op::adaptive_max_pool:
      return is_real(node.type().dtype) ? Kind::value : Kind::exact;
    case Op::sum:
      return is_real(node.type().dtype) ? Kind::sum : Kind::exact;
    case Op::mean:
    case Op::mean_pool:
    case Op::adaptive_mean_pool:
      return Kind::sum;
    case Op::prod:
      return is_real(node.type().dtype) ? Kind::factors : Kind::exact;
    case Op::matmul:
    case Op::linear:
    case Op::expert_linear:
    case Op::convolution:
    case Op::altup_predict:
      return Kind::product;
    case Op::softmax:
    case Op::log_softmax:
      return Kind::softmax;
    case Op::rms_norm:
      return Kind::rms_norm;
    case Op::layer_norm:
      return Kind::layer_norm;
    case Op::rope:
      return Kind::rope;
    case Op::attention:
      return Kind::attention;
    case Op::altup_correct:
      return Kind::correct;
    case Op::interpolate:
      return node.as<InterpolateAttrs>().order == 0 ? Kind::exact : Kind::mixed;
    case Op::fused:
    case Op::scan:
    case Op::while_loop:
    case Op::cond: {
      const std::vector<NamedBody> bodies = bodies_of(node);
      const bool exact = std::all_of(bodies.begin(), bodies.end(), [](const NamedBody& body) {
        return std::all_of(body.graph->nodes.begin(), body.graph->nodes.end(), is_exact);
      });
      return exact ? Kind::exact : Kind::none;
    }
    case Op::custom:
      return node.name() == "snake" ? Kind::function : Kind::exact;
    case Op::exp:
    case Op::exp2:
    case Op::expm1:
    case Op::log:
    case Op::log2:
    case Op::log10:
    case Op::log1p:
    case Op::tanh:
    case Op::sigmoid:
    case Op::erf:
    case Op::sin:
    case Op::cos:
    case Op::tan:
    case Op::asin:
    case Op::acos:
    case Op::atan:
    case Op::sinh:
    case Op::cosh:
    case Op::asinh:
    case Op::acosh:
    case Op::atanh:
    case Op::pow:
    case Op::atan2:
    case Op::gelu:
    case Op::gelu_tanh:
    case Op::silu:
    case Op::softplus:
    case Op::mish:
    case Op::softcap:
      return Kind::function;
    default:
      return Kind::exact;
  }
}

double largest_of(const Numbers& numbers) {
  double largest = 0;
  for (const double number : numbers)
    if (std::isfinite(number)) largest = std::max(largest, std::fabs(number));
  return largest;
}
bool all_finite(const Numbers& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double number) { return std::isfinite(number); });
}

// One rounding of the result's type, on the other side where what is rounded differs in its last bit; and its smallest.
double rounding_of(DType dtype, double value) {
  const double size = std::isfinite(value) ? std::fabs(value) : 0;
  if (dtype == DType::bf16) return size * 0x1p-7 + 0x1p-132;
  if (dtype == DType::f16) return size * 0x1p-10 + 0x1p-23;
  return dtype == DType::f64 ? 0x1p-1070 : 0x1p-147;
}

double precision_of(DType dtype) { return dtype == DType::f64 ? of_f64 : 1; }

class Errors {
 public:
  Errors(const GraphNode& node, const Operands& operands, const Numbers& expected)
      : node_(node), operands_(operands), expected_(expected), scale_(precision_of(node.type().dtype)) {
    for (std::size_t i = 0; i < operands.types.size(); ++i)
      values_.push_back(test::values_of(operands.types[i], *operands.buffers[i]));
  }

  std::optional<Numbers> of(Kind kind, bool rounds_activations) const {
    switch (kind) {
      case Kind::function:
        return each(
            [&](std::size_t i) { return scale_ * 3 * few_ulps * std::max(1.0, std::fabs(finite(expected_[i]))); });
      case Kind::sum:
        return of_magnitudes(of_sums);
      case Kind::product:
        return of_product(rounds_activations);
      case Kind::factors:
        return of_factors();
      case Kind::softmax:
        return of_softmax();
      case Kind::rms_norm:
        return of_rms_norm();
      case Kind::layer_norm:
        return of_layer_norm();
      case Kind::rope:
        return bounded(2e-4 * largest_of(values_[0]));
      case Kind::attention:
        return of_attention();
      case Kind::correct: {
        const double moved = largest_of(values_[1]) + 2 * largest_of(values_[0]);
        return bounded(scale_ * 3 * few_ulps * (largest_of(values_[2]) + 2) * moved);
      }
      case Kind::mixed:
        return bounded(scale_ * 1e-5 * largest_of(values_[0]));
      default:
        return std::nullopt;
    }
  }

 private:
  static double finite(double value) { return std::isfinite(value) ? value : 0; }

  template <class Error>
  Numbers each(Error error) const {
    Numbers errors(expected_.size());
    for (std::size_t i = 0; i < errors.size(); ++i)
      errors[i] = error(i) + rounding_of(node_.type().dtype, expected_[i]);
    return errors;
  }

  // The same everywhere; operands that are no moderate numbers are left out.
  std::optional<Numbers> bounded(double error) const {
    for (const Numbers& operand : values_)
      if (!all_finite(operand) || largest_of(operand) > longest) return std::nullopt;
    return each([=](std::size_t) { return error; });
  }

  // The node on these operands, as f32 or f64, whatever they were.
  Numbers computed(const std::vector<Numbers>& operands) const {
    Graph graph;
    GraphNode node = node_;
    std::vector<BufferRef> inputs;
    const DType real = node.type().dtype == DType::f64 ? DType::f64 : DType::f32;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Type& given = operands_.types[i];
      const bool is_index = is_integer(given.dtype);
      GraphNode input;
      input.op = Op::input;
      input.attrs = InputAttrs{static_cast<std::int64_t>(i)};
      input.types = {{is_index ? given.dtype : real, given.shape}};
      inputs.push_back(test::buffer_of(input.types[0], operands[i]));
      node.inputs[i] = graph.add(std::move(input));
    }
    node.types[0].dtype = real;
    graph.outputs = {graph.add(std::move(node))};
    const std::vector<BufferRef> results = test::run_reference(graph, inputs);
    return test::values_of(graph.type(graph.outputs[0]), *results[0]);
  }

  std::vector<Numbers> magnitudes() const {
    std::vector<Numbers> sizes = values_;
    for (Numbers& operand : sizes)
      for (double& value : operand) value = std::isfinite(value) ? std::fabs(value) : 0;
    return sizes;
  }

  // Where a sum may have left the range, or has met what is no number, all that is known is what is no number.
  static double bound(double magnitude, double share, double limit = 1e37) {
    return magnitude < limit ? share * magnitude : anything;
  }

  Numbers of_magnitudes(double share) const {
    const Numbers sizes = computed(magnitudes());
    // A mean is divided by its terms when they have been added up.
    const double limit = 1e37 / static_cast<double>(values_[0].size() / std::max<std::size_t>(sizes.size(), 1) + 64);
    return each([&](std::size_t i) { return bound(sizes[i], scale_ * share, limit); });
  }

  std::int64_t terms() const {
    if (node_.op == Op::altup_predict) return operands_.types[0].shape[0] + 1;
    if (node_.op == Op::convolution) {
      const Shape& weight = operands_.types[1].shape;
      return weight[0] == 0 ? 0 : element_count(weight) / weight[0];
    }
    return operands_.types[0].shape.back();
  }

  Numbers of_product(bool rounds_activations) const {
    const Numbers sizes = computed(magnitudes());
    const double share = scale_ * of_products * static_cast<double>(terms() + 8);
    // Each term and each sum of subnormal numbers is rounded to a multiple of the smallest one.
    const double smallest = node_.type().dtype == DType::f64 ? 0x1p-1074 : 0x1p-149;
    const double below = smallest * static_cast<double>(terms());
    if (!rounds_activations) return each([&](std::size_t i) { return bound(sizes[i], share) + below; });
    std::vector<Numbers> rounded = magnitudes();
    const auto width = static_cast<std::size_t>(std::max<std::int64_t>(operands_.types[0].shape.back(), 1));
    for (auto row = rounded[0].begin(); row != rounded[0].end(); row += static_cast<std::ptrdiff_t>(width))
      std::fill_n(row, width, *std::max_element(row, row + static_cast<std::ptrdiff_t>(width)) + no_activation);
    const Numbers steps = computed(rounded);
    return each([&](std::size_t i) { return bound(sizes[i], share) + below + bound(steps[i], of_int8); });
  }

  std::optional<Numbers> of_factors() const {
    double range = 0;
    for (const double value : values_[0])
      if (std::isfinite(value) && value != 0) range += std::fabs(std::log2(std::fabs(value)));
    if (range > 100) return std::nullopt;
    const double share = scale_ * of_products * static_cast<double>(values_[0].size() + 4);
    return each([&](std::size_t i) { return share * std::fabs(finite(expected_[i])); });
  }

  Numbers of_softmax() const {
    const double range = largest_of(values_[0]);
    return each([&](std::size_t i) {
      return range > 1e6 ? anything
                         : scale_ * (3 * few_ulps + 4e-7 * range) * std::max(1.0, std::fabs(finite(expected_[i])));
    });
  }

  std::optional<Numbers> of_rms_norm() const {
    if (largest_of(values_[0]) > longest / 1e3) return std::nullopt;
    return each([&](std::size_t i) { return scale_ * 6 * few_ulps * std::fabs(finite(expected_[i])) + 1e-30; });
  }

  // The mean's rounding, magnified by what the row is divided by.
  std::optional<Numbers> of_layer_norm() const {
    const Numbers& x = values_[0];
    for (const Numbers& operand : values_)
      if (!all_finite(operand) || largest_of(operand) > longest / 1e3) return std::nullopt;
    const auto width = static_cast<std::size_t>(operands_.types[0].shape.back());
    const double weight = values_.size() > 1 ? largest_of(values_[1]) : 1,
                 bias = values_.size() > 2 ? largest_of(values_[2]) : 0;
    return each([&](std::size_t i) {
      const std::size_t row = i / width * width;
      double mean = 0, variance = 0, largest = 0;
      for (std::size_t k = row; k < row + width; ++k) {
        mean += x[k] / static_cast<double>(width);
        largest = std::max(largest, std::fabs(x[k]));
      }
      for (std::size_t k = row; k < row + width; ++k)
        variance += (x[k] - mean) * (x[k] - mean) / static_cast<double>(width);
      const double shift = scale_ * of_sums * largest,
                   root = std::sqrt(variance + node_.as<LayerNormAttrs>().epsilon.value);
      if (shift > 0.1 * root) return anything;
      const double normed = (largest + std::fabs(mean)) / root;
      return weight * (shift / root * (2 + normed * normed) + scale_ * 6 * few_ulps * (1 + normed)) +
             scale_ * few_ulps * (1 + bias);
    });
  }

  std::optional<Numbers> of_attention() const {
    const double width = static_cast<double>(operands_.types[0].shape.back());
    const double scores =
        node_.as<AttentionAttrs>().scale.value * largest_of(values_[0]) * largest_of(values_[1]) * width;
    if (scores > 1e4) return std::nullopt;
    return bounded(scale_ * (2e-5 + 2e-6 * scores) * largest_of(values_[2]));
  }

  const GraphNode& node_;
  const Operands& operands_;
  const Numbers& expected_;
  double scale_;
  std::vector<Numbers> values_;
};

}  // namespace

bool is_exact(const GraphNode& node) { return kind_of(node) == Kind::exact; }

std::optional<std::vector<double>> allowed_errors(const GraphNode& node, const Operands& operands,
                                                  const std::vector<double>& expected, bool rounds_activations) {
  const Kind kind = kind_of(node);
  if (kind == Kind::exact || kind == Kind::value) return Numbers(expected.size(), 0.0);
  if (kind == Kind::none) return std::nullopt;
  return Errors(node, operands, expected).of(kind, rounds_activations);
}

}  // namespace lazuli::fuzz
