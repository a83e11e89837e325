#include <lazuli/passes/decompose.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>

namespace lazuli {
namespace {

bool has_own_rule(const Graph& graph, const GraphNode& node, const PassContext& context) {
  if (node.op != Op::altup_predict && node.op != Op::altup_correct) return false;
  return context.is_enabled(node.name()) &&
         context.can_run(Op::fused, FusedAttrs{std::string(node.name())}, operand_types(graph, node));
}

bool must_go(const Graph& graph, const GraphNode& node, const PassContext& context) {
  if (!is_composite(node.op) || has_own_rule(graph, node, context)) return false;
  return !context.is_enabled("composites") || !context.can_run(node.op, node.attrs, operand_types(graph, node));
}

}  // namespace

Graph decompose(Graph graph, PassContext& context) {
  // A definition may use composites in turn; each round takes one level of them.
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const bool done = std::none_of(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const GraphNode& node) { return must_go(graph, node, context); });
    if (done) break;
    GraphRewriter rewriter(graph);
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph.nodes.size()); ++id) {
      const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
      if (!must_go(graph, node, context)) {
        rewriter.copy(id);
        continue;
      }
      const Graph definition = decomposition(node.op, node.attrs, operand_types(graph, node));
      std::vector<ValueId> operands;
      for (ValueId input : node.inputs) operands.push_back(rewriter.mapped(input));
      const auto values = inline_graph(rewriter.result(), definition, operands, node.scope, node.from);
      for (std::size_t output = 0; output < values.size(); ++output)
        rewriter.map({id, static_cast<std::int32_t>(output)}, values[output]);
    }
    graph = rewriter.finish();
  }
  return graph;
}

}  // namespace lazuli
