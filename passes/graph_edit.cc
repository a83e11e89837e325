// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <map>

namespace lazuli {

Scope::Ref common_scope(const Scope::Ref& a, const Scope::Ref& b) {
  if (a == b) return a;
  if (!a || !b) return nullptr;
  if (*a == *b) return a;
  const std::string_view common = common_path(*a, *b);
  return common.empty() ? nullptr : std::make_shared<const std::string>(common);
}

std::vector<Type> operand_types(const Graph& graph, const GraphNode& node) {
  std::vector<Type> types;
  types.reserve(node.inputs.size());
  for (ValueId input : node.inputs) types.push_back(graph.type(input));
  return types;
}

std::optional<Number> scalar_value(const Graph& graph, ValueId value) {
  constexpr int longest_chain = 8;
  for (int step = 0; step < longest_chain; ++step) {
    const GraphNode& node = graph.node(value);
    if (node.op == Op::scalar) return node.as<ScalarAttrs>().value;
    const bool transparent = node.op == Op::broadcast_to || node.op == Op::reshape || is_no_op(graph, node);
    if (!transparent) return std::nullopt;
    value = node.inputs[0];
  }
  return std::nullopt;
}

bool is_no_op(const Graph& graph, const GraphNode& node) {
  switch (node.op) {
    case Op::cast:
    case Op::reshape:
    case Op::broadcast_to:
      return graph.type(node.inputs[0]) == node.type();
    case Op::slice: {
      const auto& steps = node.as<SliceAttrs>().step;
      return graph.type(node.inputs[0]) == node.type() &&
             std::all_of(steps.begin(), steps.end(), [](std::int64_t step) { return step == 1; });
    }
    case Op::transpose:
      return std::is_sorted(node.as<TransposeAttrs>().permutation.begin(), node.as<TransposeAttrs>().permutation.end());
    default:
      return false;
  }
}

std::span<const std::int64_t> significant_sizes(const Shape& shape) {
  const auto first = std::find_if(shape.begin(), shape.end(), [](std::int64_t size) { return size != 1; });
  return {first, shape.end()};
}

ValueId add_node(Graph& graph, Op op, Attrs attrs, std::vector<ValueId> inputs, const Scope::Ref& scope,
                 const std::vector<Source>& from) {
  GraphNode node;
  node.op = op;
  node.attrs = std::move(attrs);
  node.inputs = std::move(inputs);
  node.types = infer_types(op, node.attrs, operand_types(graph, node));
  node.scope = scope;
  node.from = from;
  return graph.add(std::move(node));
}

std::vector<ValueId> append_graph(Graph& graph, const Graph& part, std::span<const ValueId> operands,
                                  const Scope::Ref& scope, const std::vector<Source>& from) {
  std::vector<std::int32_t> moved(part.nodes.size(), -1);
  const auto value_of = [&](ValueId value) {
    const GraphNode& node = part.node(value);
    if (node.op == Op::input) return operands[static_cast<std::size_t>(node.as<InputAttrs>().index)];
    return ValueId{moved[static_cast<std::size_t>(value.node)], value.output};
  };
  for (std::size_t i = 0; i < part.nodes.size(); ++i) {
    if (part.nodes[i].op == Op::input) continue;
    GraphNode node = part.nodes[i];
    for (ValueId& input : node.inputs) input = value_of(input);
    node.scope = scope;
    node.from = from;
    moved[i] = graph.add(std::move(node)).node;
  }
  std::vector<ValueId> outputs;
  for (ValueId output : part.outputs) outputs.push_back(value_of(output));
  return outputs;
}

Graph spell_out(const Graph& graph, FunctionRef<bool(const GraphNode&)> chosen) {
  GraphRewriter rewriter(graph);
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph.nodes.size()); ++id) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
    if (!chosen(node)) {
      rewriter.copy(id);
      continue;
    }
    const Graph definition = decomposition(node.op, node.attrs, operand_types(graph, node));
    std::vector<ValueId> operands;
    for (ValueId input : node.inputs) operands.push_back(rewriter.mapped(input));
    const auto values = append_graph(rewriter.result(), definition, operands, node.scope, node.from);
    for (std::size_t output = 0; output < values.size(); ++output)
      rewriter.map({id, static_cast<std::int32_t>(output)}, values[output]);
  }
  return rewriter.finish();
}

std::vector<int> inner_reads(const Graph& graph, std::span<const std::int32_t> nodes) {
  std::vector<int> reads(nodes.size());
  for (std::int32_t id : nodes)
    for (ValueId input : graph.nodes[static_cast<std::size_t>(id)].inputs) {
      const auto at = std::lower_bound(nodes.begin(), nodes.end(), input.node);
      if (at != nodes.end() && *at == input.node) ++reads[static_cast<std::size_t>(at - nodes.begin())];
    }
  return reads;
}

void sort_unique(std::vector<std::int32_t>& nodes) {
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
}

namespace {

class RegionCutter {
 public:
  RegionCutter(const Graph& graph, std::span<const std::int32_t> nodes) : graph_(graph), nodes_(nodes) {}

  void add_operand(ValueId value) {
    if (values_.contains(value)) return;
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(region_.operands.size())};
    input.types = {graph_.type(value)};
    values_.emplace(value, region_.body.add(std::move(input)));
    region_.operands.push_back(value);
  }

  Region cut(std::span<const ValueId> results) {
    find_operands();
    for (std::int32_t id : nodes_) copy(id);
    for (ValueId result : results) region_.body.outputs.push_back(values_.at(result));
    return std::move(region_);
  }

 private:
  bool inside(ValueId value) const { return std::binary_search(nodes_.begin(), nodes_.end(), value.node); }

  // Inputs come first in a body, whatever node reads them first.
  void find_operands() {
    for (std::int32_t id : nodes_)
      for (ValueId input : graph_.nodes[static_cast<std::size_t>(id)].inputs)
        if (!inside(input) && graph_.node(input).op != Op::scalar) add_operand(input);
  }

  ValueId value(ValueId old_value) {
    const auto found = values_.find(old_value);
    if (found != values_.end()) return found->second;
    copy(old_value.node);  // a scalar
    return values_.at(old_value);
  }

  void copy(std::int32_t id) {
    const GraphNode& node = graph_.nodes[static_cast<std::size_t>(id)];
    if (values_.contains({id, 0})) return;
    std::vector<ValueId> inputs;
    for (ValueId input : node.inputs) inputs.push_back(value(input));
    if (is_no_op(graph_, node)) {
      values_.emplace(ValueId{id, 0}, inputs[0]);
      return;
    }
    if (is_composite(node.op) && !is_elementwise(node.op)) {
      const Graph spelled_out = decomposition(node.op, node.attrs, operand_types(graph_, node));
      values_.emplace(ValueId{id, 0}, append_graph(region_.body, spelled_out, inputs)[0]);
      return;
    }
    GraphNode copied;
    copied.op = node.op;
    copied.attrs = node.attrs;
    copied.inputs = std::move(inputs);
    copied.types = node.types;
    copied.body = node.body;
    const ValueId added = region_.body.add(std::move(copied));
    for (std::int32_t output = 0; output < static_cast<std::int32_t>(node.types.size()); ++output)
      values_.emplace(ValueId{id, output}, ValueId{added.node, output});
  }

  const Graph& graph_;
  std::span<const std::int32_t> nodes_;
  Region region_;
  std::map<ValueId, ValueId> values_;
};

}  // namespace

Region cut_region(const Graph& graph, std::span<const std::int32_t> nodes, std::span<const ValueId> results,
                  std::span<const ValueId> operands) {
  RegionCutter cutter(graph, nodes);
  for (ValueId operand : operands) cutter.add_operand(operand);
  return cutter.cut(results);
}

std::shared_ptr<const Graph> BodyPool::share(Graph body) {
  std::string key = structural_key(body, NumberKey::values_and_slots);
  const auto found = bodies_.find(key);
  if (found != bodies_.end()) return found->second;
  return bodies_.emplace(std::move(key), std::make_shared<const Graph>(std::move(body))).first->second;
}

GraphNode make_fused(std::string name, std::vector<ValueId> operands, std::shared_ptr<const Graph> body) {
  GraphNode node;
  node.op = Op::fused;
  node.attrs = FusedAttrs{std::move(name)};
  node.inputs = std::move(operands);
  for (ValueId output : body->outputs) node.types.push_back(body->type(output));
  node.body = std::move(body);
  return node;
}

}  // namespace lazuli
