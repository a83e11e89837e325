// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/inline_graph.h>

#include <unordered_map>

namespace lazuli {
namespace {

class Inliner {
 public:
  std::vector<Array> build(const Graph& graph, const std::vector<Array>& arguments) {
    std::vector<std::vector<Array>> values;  // by node
    values.reserve(graph.nodes.size());
    const auto value_of = [&](ValueId value) -> const Array& {
      return values[static_cast<std::size_t>(value.node)][static_cast<std::size_t>(value.output)];
    };
    for (const GraphNode& node : graph.nodes) {
      std::vector<Array> operands;
      operands.reserve(node.inputs.size());
      for (const ValueId input : node.inputs) operands.push_back(value_of(input));
      values.push_back(build_node(node, std::move(operands), arguments));
    }
    std::vector<Array> outputs;
    outputs.reserve(graph.outputs.size());
    for (const ValueId output : graph.outputs) outputs.push_back(value_of(output));
    return outputs;
  }

 private:
  std::vector<Array> build_node(const GraphNode& node, std::vector<Array> operands,
                                const std::vector<Array>& arguments) {
    if (node.op == Op::input) return {arguments[static_cast<std::size_t>(node.as<InputAttrs>().index)]};
    if (node.op == Op::constant) return {Array::constant(node.constant, node.type(), node.label)};
    if (node.op == Op::fused) {
      // Nodes of a body have the scope of the fused node where they have none of their own.
      const Scope::Ref around = std::exchange(fused_scope_, node.scope);
      std::vector<Array> results = build(*node.body, operands);
      fused_scope_ = around;
      return results;
    }
    std::vector<Array> results = make_node(node.op, node.attrs, std::move(operands));
    results[0].node()->scope = scope_of(node.scope ? node.scope : fused_scope_);
    return results;
  }

  Scope::Ref scope_of(const Scope::Ref& own) {
    const Scope::Ref outer = Scope::current();
    if (!own || !outer) return own ? own : outer;
    Scope::Ref& joined = joined_[own->c_str()];
    if (!joined) joined = std::make_shared<const std::string>(*outer + '.' + *own);
    return joined;
  }

  Scope::Ref fused_scope_;
  std::unordered_map<const char*, Scope::Ref> joined_;  // nodes of one scope share one string
};

}  // namespace

void check_arguments(const Graph& graph, const std::vector<Array>& arguments) {
  const std::vector<ValueId> inputs = graph.inputs();
  if (arguments.size() != inputs.size()) fail("call: {} arguments given, expected {}", arguments.size(), inputs.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& label = graph.node(inputs[i]).label;
    const std::string name = label.empty() ? std::to_string(i) : fmt::format("{} '{}'", i, label);
    if (!arguments[i].defined())
      fail("call: argument {} is an empty array, expected {}", name, to_string(graph.type(inputs[i])));
    if (!accepts(graph.type(inputs[i]), arguments[i].type()))
      fail("call: argument {} is {}, expected {}", name, to_string(arguments[i].type()),
           to_string(graph.type(inputs[i])));
  }
}

namespace {

// Whether the arguments bring sizes of their own for names of the graph.
bool brings_sizes(const Graph& graph, const std::vector<Array>& arguments) {
  const std::vector<ValueId> inputs = graph.inputs();
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (graph.type(inputs[i]).named && arguments[i].type() != graph.type(inputs[i])) return true;
  return false;
}

// The graph for the sizes that plain arguments bring. Named ones stand for none.
Graph at_sizes_of(const Graph& graph, const std::vector<Array>& arguments) {
  std::vector<const Type*> declared;
  std::vector<std::int64_t> brought;
  for (const ValueId input : graph.inputs()) {
    const Type& given = arguments[declared.size()].type();
    declared.push_back(&graph.type(input));
    brought.push_back(size_brought(*declared.back(), given));
  }
  return with_sizes(graph, sizes_of_run(dimensions_of(graph), declared, brought, "call"));
}

}  // namespace

std::vector<Array> inline_graph(const Graph& graph, const std::vector<Array>& arguments) {
  check_arguments(graph, arguments);
  if (!brings_sizes(graph, arguments)) return Inliner().build(graph, arguments);
  const Graph sized = at_sizes_of(graph, arguments);
  check_arguments(sized, arguments);
  return Inliner().build(sized, arguments);
}

}  // namespace lazuli
