// SPDX-License-Identifier: MIT
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/passes/decompose.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>

namespace lazuli {
namespace {

// A composite without a kernel of its own, which the rule of its name fuses as it is.
bool has_own_rule(const Graph& graph, const GraphNode& node, const PassContext& context) {
  const auto own = [&](const Rule& rule) {
    return rule.name == node.name() && std::find(rule.roots.begin(), rule.roots.end(), node.op) != rule.roots.end();
  };
  if (std::none_of(named_rules().begin(), named_rules().end(), own)) return false;
  const std::vector<Type> operands = operand_types(graph, node);
  return !context.can_run(node.op, node.attrs, operands) && context.is_enabled(node.name()) &&
         context.can_run(Op::fused, FusedAttrs{std::string(node.name())}, operands);
}

bool must_go(const Graph& graph, const GraphNode& node, const PassContext& context) {
  const bool may_go = is_composite(node.op) || node.op == Op::custom;
  if (!may_go || has_own_rule(graph, node, context)) return false;
  const std::vector<Type> operands = operand_types(graph, node);
  // Its definition has the heads before the rows, where no named axis may stand.
  const auto is_named = [](const Type& type) { return static_cast<bool>(type.named); };
  if (node.op == Op::attention && std::any_of(operands.begin(), operands.end(), is_named)) return false;
  const bool wanted = !context.is_enabled("composites") || !context.can_run(node.op, node.attrs, operands);
  return wanted && (node.op != Op::custom || custom_definition(node.as<CustomAttrs>().op, operands));
}

}  // namespace

Graph decompose(Graph graph, PassContext& context) {
  // A definition may use composites in turn; each round takes one level of them.
  constexpr int max_rounds = 4;
  for (int round = 0; round < max_rounds; ++round) {
    const auto goes = [&](const GraphNode& node) { return must_go(graph, node, context); };
    if (std::none_of(graph.nodes.begin(), graph.nodes.end(), goes)) break;
    graph = spell_out(graph, goes);
  }
  return graph;
}

}  // namespace lazuli
