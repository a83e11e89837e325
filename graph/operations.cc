#include <lazuli/graph/operations.h>

#include <vector>

namespace lazuli {
namespace {

std::int64_t operations_of(const Graph& graph, const GraphNode& node) {
  if (is_leaf(node.op) || is_view(node.op)) return 0;
  const std::int64_t results = node.type().elements();
  const Type& first = graph.type(node.inputs[0]);
  switch (node.op) {
    case Op::linear:
    case Op::matmul:
    case Op::expert_linear:
      return 2 * results * first.shape.back();
    case Op::argmax:
    case Op::top_k:
      return first.elements();
    case Op::gelu_tanh:
      return 9 * results;  // x x x a, + x, c, tanh, + 1, x, 0.5
    case Op::softcap:
      return 3 * results;
    case Op::softmax:
      return 5 * results;  // maximum, difference, exp, sum, quotient
    case Op::rms_norm:
      return (node.inputs.size() == 2 ? 4 : 3) * results;
    case Op::rope:
      return 3 * results;
    case Op::attention: {
      const std::int64_t queries = first.shape[0] * first.shape[1], keys = graph.type(node.inputs[1]).shape[0];
      return queries * keys * (4 * first.shape[2] + 5);  // scores, softmax, values
    }
    case Op::altup_predict:
      return (2 * first.shape[0] + 1) * results;
    case Op::altup_correct:
      return 2 * results + graph.type(node.inputs[1]).elements();
    default:
      break;
  }
  if (is_reduction(node.op)) return first.elements();
  return is_elementwise(node.op) ? results : 0;
}

}  // namespace

std::int64_t count_operations(const Graph& graph, const GraphNode& node) {
  if (!node.body) return operations_of(graph, node);
  std::int64_t total = 0;
  for (const GraphNode& inner : node.body->nodes) total += operations_of(*node.body, inner);
  return total;
}

}  // namespace lazuli
