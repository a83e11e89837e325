// SPDX-License-Identifier: MIT
#include <lazuli/passes/common_subexpressions.h>

#include <algorithm>
#include <unordered_map>

namespace lazuli {
namespace {

// A node with its operands in the new graph; those of a commutative op in ascending order.
struct Expression {
  const GraphNode* node;
  std::vector<ValueId> inputs;
  std::string attrs;  // as bytes: 0 and -0 differ
  std::size_t hash;
};

std::vector<ValueId> ordered(Op op, std::vector<ValueId> inputs) {
  if (is_commutative(op) && inputs[1] < inputs[0]) std::swap(inputs[0], inputs[1]);
  return inputs;
}

Expression express(const GraphNode& node, std::vector<ValueId> inputs) {
  constexpr std::size_t spread = 0x9e3779b97f4a7c15u;
  Expression expression{&node, ordered(node.op, std::move(inputs)), {}, 0};
  append_key(node.attrs, expression.attrs);
  std::size_t hash = std::hash<std::string>{}(expression.attrs) * 64 + static_cast<std::size_t>(node.op);
  for (ValueId input : expression.inputs) {
    const auto value = static_cast<std::size_t>(input.node) * 8 + static_cast<std::size_t>(input.output);
    hash = (hash ^ value) * spread;
  }
  if (node.constant) hash = (hash ^ node.constant->id()) * spread;
  expression.hash = hash ^ (hash >> 32);
  return expression;
}

// `known` is a node of the new graph. Constants and fused nodes declare their types.
bool computes(const GraphNode& known, const Expression& expression) {
  const GraphNode& node = *expression.node;
  if (known.op != node.op || ordered(known.op, known.inputs) != expression.inputs || known.types != node.types)
    return false;
  if (known.constant != node.constant || (known.body == nullptr) != (node.body == nullptr)) return false;
  std::string attrs;
  append_key(known.attrs, attrs);
  return attrs == expression.attrs &&
         (known.body == node.body || structural_key(*known.body) == structural_key(*node.body));
}

// Inputs differ even where their types agree; a constant read from text has no data to compare.
bool is_unique(const GraphNode& node) { return node.op == Op::input || (node.op == Op::constant && !node.constant); }

}  // namespace

Graph common_subexpressions(Graph graph, PassContext&) {
  GraphRewriter rewriter(graph);
  std::unordered_multimap<std::size_t, std::int32_t> known;
  known.reserve(graph.nodes.size());
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph.nodes.size()); ++id) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
    if (is_unique(node)) {
      rewriter.copy(id);
      continue;
    }
    std::vector<ValueId> inputs;
    for (ValueId input : node.inputs) inputs.push_back(rewriter.mapped(input));
    const Expression expression = express(node, std::move(inputs));
    std::vector<GraphNode>& nodes = rewriter.result().nodes;
    const auto [begin, end] = known.equal_range(expression.hash);
    const auto found = std::find_if(begin, end, [&](const auto& entry) {
      return computes(nodes[static_cast<std::size_t>(entry.second)], expression);
    });
    if (found == end) {
      known.emplace(expression.hash, rewriter.copy(id).node);
      continue;
    }
    GraphNode& first = nodes[static_cast<std::size_t>(found->second)];
    first.from = merge_sources(first.from, node.from);
    for (std::int32_t output = 0; output < static_cast<std::int32_t>(node.types.size()); ++output)
      rewriter.map({id, output}, {found->second, output});
  }
  return rewriter.finish();
}

}  // namespace lazuli
