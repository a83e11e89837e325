// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/fuzz/graphs/bounds.h>
#include <lazuli/tests/fuzz/graphs/by_node.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <limits>

namespace lazuli::fuzz {
namespace {

bool is_given(const GraphNode& node) { return node.op == Op::input || node.op == Op::constant; }

// Every value that is computed is an output, in order.
RandomGraph with_all_outputs(const RandomGraph& graph) {
  RandomGraph all = graph;
  all.graph.outputs.clear();
  for (std::size_t i = 0; i < graph.graph.nodes.size(); ++i) {
    const GraphNode& node = graph.graph.nodes[i];
    for (std::size_t output = 0; !is_given(node) && output < node.types.size(); ++output)
      all.graph.outputs.push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(output)});
  }
  return all;
}

// A node with inputs for operands, as a graph.
Graph alone(const GraphNode& node, const std::vector<Type>& operands) {
  Graph graph;
  GraphNode copy = node;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(i)};
    input.types = {operands[i]};
    copy.inputs[i] = graph.add(std::move(input));
  }
  ValueId value = graph.add(std::move(copy));
  for (; static_cast<std::size_t>(value.output) < node.types.size(); ++value.output) graph.outputs.push_back(value);
  return graph;
}

double largest_number(DType dtype) {
  if (dtype == DType::f16) return 65504;
  return dtype == DType::f64 ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
}

bool is_near(DType dtype, double expected, double found, double allowed) {
  if (std::isinf(allowed) || expected == found) return true;
  if (std::isnan(expected) || std::isnan(found)) return std::isnan(expected) && std::isnan(found);
  if (std::isfinite(expected) && std::isfinite(found)) return std::fabs(expected - found) <= allowed;
  // On the two sides of the largest number.
  return allowed > 0 && std::signbit(expected) == std::signbit(found) &&
         std::min(std::fabs(expected), std::fabs(found)) > 0.99 * largest_number(dtype);
}

// In `fast` precision, weights in blocks meet activations of 8 bits where they are constants.
bool rounds_activations(const Graph& graph, const GraphNode& node, Precision precision) {
  if (precision != Precision::fast || (node.op != Op::linear && node.op != Op::expert_linear)) return false;
  return is_quantised(graph.type(node.inputs[1]).dtype);
}

class Check {
 public:
  Check(const RandomGraph& all, const std::vector<BufferRef>& results, const Variant& variant)
      : graph_(all.graph), variant_(variant), values_(all.graph.nodes.size()) {
    std::size_t output = 0;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const GraphNode& node = graph_.nodes[i];
      if (node.op == Op::input) values_[i] = {all.inputs[static_cast<std::size_t>(node.as<InputAttrs>().index)]};
      if (node.op == Op::constant) values_[i] = {node.constant};
      for (std::size_t each = 0; !is_given(node) && each < node.types.size(); ++each)
        values_[i].push_back(results[output++]);
    }
  }

  std::optional<std::string> run() const {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      if (!is_given(graph_.nodes[i]))
        if (std::optional<std::string> difference = difference_of(i)) return difference;
    return std::nullopt;
  }

 private:
  std::optional<std::string> difference_of(std::size_t i) const {
    const GraphNode& node = graph_.nodes[i];
    Operands operands;
    for (const ValueId input : node.inputs) {
      operands.types.push_back(graph_.type(input));
      operands.buffers.push_back(values_[static_cast<std::size_t>(input.node)][static_cast<std::size_t>(input.output)]);
    }
    const Graph single = alone(node, operands.types);
    const std::vector<BufferRef> expected = test::run_reference(single, operands.buffers);
    if (is_exact(node)) {
      const std::optional<Difference> difference = first_difference(node.types, expected, values_[i]);
      if (!difference) return std::nullopt;
      return text_of(single, to_string(*difference));
    }
    return inexact_difference(single, node, operands, expected, values_[i]);
  }

  std::optional<std::string> inexact_difference(const Graph& single, const GraphNode& node, const Operands& operands,
                                                const std::vector<BufferRef>& expected,
                                                const std::vector<BufferRef>& found) const {
    const std::vector<double> left = test::values_of(node.type(), *expected[0]);
    const std::vector<double> right = test::values_of(node.type(), *found[0]);
    const bool rounds = rounds_activations(graph_, node, variant_.precision);
    const auto allowed = allowed_errors(node, operands, left, rounds);
    if (!allowed) return std::nullopt;
    for (std::size_t k = 0; k < left.size(); ++k) {
      // A block of 8 bits that holds an infinity is NaN.
      if (rounds && !std::isfinite(left[k]) && !std::isfinite(right[k])) continue;
      if (!is_near(node.type().dtype, left[k], right[k], (*allowed)[k]))
        return text_of(single, fmt::format("element {}: expected {:.9g}, found {:.9g}, allowed error {:.3g}", k,
                                           left[k], right[k], (*allowed)[k]));
    }
    return std::nullopt;
  }

  std::string text_of(const Graph& single, const std::string& difference) const {
    return fmt::format("{}: the reference has another result for\n{}{}", to_string(variant_), to_text(single),
                       difference);
  }

  const Graph& graph_;
  const Variant& variant_;
  std::vector<std::vector<BufferRef>> values_;
};

}  // namespace

std::optional<std::string> difference_from_reference(Sessions& sessions, const RandomGraph& graph,
                                                     const Variant& variant) {
  const RandomGraph all = with_all_outputs(graph);
  if (all.graph.outputs.empty()) return std::nullopt;
  const Outcome outcome = sessions.run(all, variant);
  if (!outcome.error.empty()) return fmt::format("{}: {}", to_string(variant), outcome.error);
  return Check(all, outcome.results, variant).run();
}

}  // namespace lazuli::fuzz
