// SPDX-License-Identifier: MIT
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/graph/operations.h>

#include <algorithm>

namespace lazuli {
namespace {

struct Call {
  const Graph& graph;
  const GraphNode& node;

  const Type& operand(std::size_t position) const { return graph.type(node.inputs[position]); }
  std::int64_t results() const { return node.type().elements(); }
};

std::int64_t nothing(const Call&) { return 0; }
// So many for each element of the result.
template <int count>
std::int64_t each(const Call& call) {
  return count * call.results();
}
// One for each element that is read.
std::int64_t read(const Call& call) { return call.operand(0).elements(); }
// One for each element of an update.
std::int64_t updates(const Call& call) { return call.operand(2).elements(); }
std::int64_t product(const Call& call) { return 2 * call.results() * call.operand(0).shape.back(); }
std::int64_t rms_norm(const Call& call) { return (call.node.inputs.size() == 2 ? 4 : 3) * call.results(); }
std::int64_t layer_norm(const Call& call) {
  return (5 + static_cast<std::int64_t>(call.node.inputs.size())) * call.results();
}
std::int64_t attention(const Call& call) {
  const Shape& q = call.operand(0).shape;
  const std::int64_t queries = q[0] * q[1], keys = call.operand(1).shape[0];
  return queries * keys * (4 * q[2] + 5);  // scores, softmax, values
}
std::int64_t altup_predict(const Call& call) { return (2 * call.operand(0).shape[0] + 1) * call.results(); }
std::int64_t altup_correct(const Call& call) { return 2 * call.results() + call.operand(1).elements(); }
std::int64_t custom(const Call& call) {
  std::vector<Type> operands;
  for (const ValueId input : call.node.inputs) operands.push_back(call.graph.type(input));
  return custom_operations(call.node.as<CustomAttrs>().op, operands, call.node.types);
}

// As if no window reached into the padding; between dilated elements of the input nothing is multiplied.
std::int64_t convolution(const Call& call) {
  const Shape& weight = call.operand(1).shape;
  std::int64_t zeros = 1;
  for (const std::int64_t dilation : call.node.as<ConvolutionAttrs>().input_dilation) zeros *= dilation;
  const std::int64_t columns = element_count(Shape(weight.begin() + 1, weight.end()));
  return 2 * call.results() * columns / zeros;
}
std::int64_t pool(const Call& call) { return call.results() * element_count(call.node.as<PoolAttrs>().kernel); }
// Along one axis after the other: a multiply-add for each element that is weighed.
std::int64_t interpolate(const Call& call) {
  const auto& [size, order, slope, offset, denominator] = call.node.as<InterpolateAttrs>();
  return order == 0 ? 0 : 2 * (order + 1) * call.results() * static_cast<std::int64_t>(size.size());
}

// Loops can be as long as a number: no more than this is counted of one, so that sums of several stay numbers.
constexpr std::int64_t most_operations = std::int64_t{1} << 52;

std::int64_t operations_in(const Graph& body) {
  std::int64_t total = 0;
  for (const GraphNode& inner : body.nodes) total = std::min(total + count_operations(body, inner), most_operations);
  return total;
}
std::int64_t scan(const Call& call) {
  const auto& attrs = call.node.as<ScanAttrs>();
  const std::int64_t once = operations_in(*attrs.body);
  return once == 0 || attrs.length <= most_operations / once ? attrs.length * once : most_operations;
}
// Of one iteration: how many there will be depends on data.
std::int64_t while_loop(const Call& call) {
  const auto& attrs = call.node.as<WhileAttrs>();
  return operations_in(*attrs.condition) + operations_in(*attrs.body);
}
std::int64_t cond(const Call& call) {
  const auto& attrs = call.node.as<CondAttrs>();
  return std::max(operations_in(*attrs.then_body), operations_in(*attrs.else_body));
}

using Cost = std::int64_t (*)(const Call&);
constexpr Cost costs[] = {
#define LAZULI_OP(name, min, max, attrs, shape, flags, rows, cost, ...) cost,
#include <lazuli/graph/ops.def>
};

std::int64_t operations_of(const Graph& graph, const GraphNode& node) {
  return costs[static_cast<std::size_t>(node.op)]({graph, node});
}

}  // namespace

std::int64_t count_operations(const Graph& graph, const GraphNode& node) {
  if (!node.body) return operations_of(graph, node);
  std::int64_t total = 0;
  for (const GraphNode& inner : node.body->nodes) total += operations_of(*node.body, inner);
  return total;
}

}  // namespace lazuli
