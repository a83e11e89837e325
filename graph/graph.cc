// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/snapshot_within.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace lazuli {

std::string_view to_string(Phase phase) {
  constexpr std::string_view names[] = {"any", "prefill", "decode"};
  return names[static_cast<std::size_t>(phase)];
}

std::string_view GraphNode::name() const {
  if (const auto* custom = std::get_if<CustomAttrs>(&attrs)) return custom->op.name();
  return op == Op::fused ? std::string_view(as<FusedAttrs>().name) : to_string(op);
}

Source GraphNode::source(std::int32_t id) const {
  const auto* custom = std::get_if<CustomAttrs>(&attrs);
  return {id, op, custom ? custom->op.name_number() : std::uint16_t{0}};
}

std::string_view Source::name() const { return op == Op::custom ? custom_name(custom_number) : to_string(op); }

std::vector<ValueId> Graph::inputs() const {
  std::vector<ValueId> result;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].op != Op::input) continue;
    const auto index = static_cast<std::size_t>(nodes[i].as<InputAttrs>().index);
    if (result.size() <= index) result.resize(index + 1);
    result[index] = {static_cast<std::int32_t>(i), 0};
  }
  return result;
}

ValueId Graph::add(GraphNode node) {
  nodes.push_back(std::move(node));
  return {static_cast<std::int32_t>(nodes.size()) - 1, 0};
}

namespace {

// Post-order over nodes without values, with an explicit stack.
class Snapshot {
 public:
  Snapshot(std::vector<Array>* leaves, FunctionRef<bool(const Node&)> is_outside)
      : leaves_(leaves), is_outside_(is_outside) {}

  Graph take(std::span<const Array> outputs) {
    if (leaves_)  // leaves given beforehand keep their order, whether they are needed or not
      for (const Array& leaf : *leaves_) add_given(leaf);
    for (const Array& output : outputs) {
      if (!output.defined()) fail("an empty array was asked for");
      visit(*output.node());
      graph_.outputs.push_back(value_of(output));
    }
    return std::move(graph_);
  }

 private:
  struct Frame {
    const Array* array;
    std::size_t next;
  };

  void visit(const Node& root) {
    if (ids_.contains(&root)) return;
    std::vector<std::pair<const Node*, std::size_t>> stack{{&root, 0}};
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      const bool leaf = node->evaluated() || node->inputs.empty() || is_outside_(*node);
      if (!leaf && next < node->inputs.size()) {
        const Node* input = node->inputs[next++].node().get();
        if (!ids_.contains(input)) stack.emplace_back(input, 0);
        continue;
      }
      add(*node);
      stack.pop_back();
    }
  }

  void add(const Node& node) {
    if (ids_.contains(&node)) return;
    const bool evaluated = node.evaluated() && node.op != Op::constant;
    if (evaluated || node.op == Op::input || is_outside_(node)) {
      if (node.types->size() > 1)
        add_evaluated_outputs(node);
      else
        add_input(node);
      return;
    }
    GraphNode copy;
    copy.op = node.op;
    copy.attrs = node.attrs;
    copy.types = *node.types;
    copy.scope = node.scope;
    copy.label = node.label;
    copy.built_at = node.built_at;
    if (node.op == Op::constant) copy.constant = node.results()[0].buffer;
    copy.inputs.reserve(node.inputs.size());
    for (const Array& input : node.inputs) copy.inputs.push_back(value_of(input));
    append(node, std::move(copy));
  }

  // Of a node of several outputs all are given.
  void add_given(const Array& leaf) {
    const Node& node = *leaf.node();
    if (node.types->size() == 1) return add_input(node);
    std::vector<ValueId>& values = split_[&node];
    values.resize(node.types->size());
    values[static_cast<std::size_t>(leaf.output())] = add_output_input(node, static_cast<std::size_t>(leaf.output()));
    ids_.emplace(&node, values[static_cast<std::size_t>(leaf.output())].node);
  }

  ValueId add_output_input(const Node& node, std::size_t output) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{input_count_++};
    input.types = {(*node.types)[output]};
    input.scope = node.scope;
    input.from = {{static_cast<std::int32_t>(graph_.nodes.size()), Op::input}};
    return graph_.add(std::move(input));
  }

  void add_input(const Node& node) {
    if (ids_.contains(&node)) return;
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{input_count_++};
    input.types = {(*node.types)[0]};
    input.scope = node.scope;
    input.label = node.label;
    input.built_at = node.built_at;
    if (leaves_ && static_cast<std::size_t>(input_count_) > leaves_->size())
      leaves_->push_back(Array(const_cast<Node&>(node).shared_from_this(), 0));
    append(node, std::move(input));
  }

  // An evaluated node of several outputs becomes several inputs.
  void add_evaluated_outputs(const Node& node) {
    std::vector<ValueId> values;
    for (std::size_t output = 0; output < node.types->size(); ++output) {
      if (leaves_) leaves_->push_back(Array(const_cast<Node&>(node).shared_from_this(), static_cast<int>(output)));
      values.push_back(add_output_input(node, output));
    }
    ids_.emplace(&node, values[0].node);
    split_.emplace(&node, std::move(values));
  }

  void append(const Node& node, GraphNode copy) {
    const auto id = static_cast<std::int32_t>(graph_.nodes.size());
    copy.from = {copy.source(id)};
    graph_.add(std::move(copy));
    ids_.emplace(&node, id);
  }

  ValueId value_of(const Array& array) const {
    const auto split = split_.find(array.node().get());
    if (split != split_.end()) return split->second[static_cast<std::size_t>(array.output())];
    return {ids_.at(array.node().get()), array.output()};
  }

  Graph graph_;
  std::vector<Array>* leaves_;
  FunctionRef<bool(const Node&)> is_outside_;
  std::int64_t input_count_ = 0;
  std::unordered_map<const Node*, std::int32_t> ids_;
  std::unordered_map<const Node*, std::vector<ValueId>> split_;
};

}  // namespace

Graph snapshot(std::span<const Array> outputs, std::vector<Array>* leaves) {
  return snapshot_within(outputs, leaves, [](const Node&) { return false; });
}

Graph snapshot_within(std::span<const Array> outputs, std::vector<Array>* leaves,
                      FunctionRef<bool(const Node&)> is_outside) {
  const auto lock = lock_operands();
  return Snapshot(leaves, is_outside).take(outputs);
}

Graph graph_of(std::span<const Array> outputs) { return snapshot(outputs); }

UseCounts::UseCounts(const Graph& graph) {
  std::size_t total = 0;
  for (const GraphNode& node : graph.nodes) {
    first_.push_back(total);
    total += node.types.size();
  }
  counts_.assign(total, 0);
  auto count = [&](ValueId value) {
    ++counts_[first_[static_cast<std::size_t>(value.node)] + static_cast<std::size_t>(value.output)];
  };
  for (const GraphNode& node : graph.nodes)
    for (ValueId input : node.inputs) count(input);
  for (ValueId output : graph.outputs) count(output);
}

GraphRewriter::GraphRewriter(const Graph& source) : source_(source), map_(source.nodes.size()) {
  result_.phase = source.phase;
  result_.output_names = source.output_names;
  result_.nodes.reserve(source.nodes.size());
}

ValueId GraphRewriter::mapped(ValueId old_value) const {
  const auto& outputs = map_[static_cast<std::size_t>(old_value.node)];
  if (static_cast<std::size_t>(old_value.output) >= outputs.size() ||
      outputs[static_cast<std::size_t>(old_value.output)].node < 0)
    fail_internal("value %{}.{} was read before it was rewritten", old_value.node, old_value.output);
  return outputs[static_cast<std::size_t>(old_value.output)];
}

void GraphRewriter::map(ValueId old_value, ValueId new_value) {
  auto& outputs = map_[static_cast<std::size_t>(old_value.node)];
  outputs.resize(std::max(outputs.size(), source_.node(old_value).types.size()));
  outputs[static_cast<std::size_t>(old_value.output)] = new_value;
}

ValueId GraphRewriter::copy(std::int32_t old_node) {
  GraphNode node = source_.nodes[static_cast<std::size_t>(old_node)];
  for (ValueId& input : node.inputs) input = mapped(input);
  const auto outputs = static_cast<std::int32_t>(node.types.size());
  const ValueId added = add(std::move(node));
  for (std::int32_t output = 0; output < outputs; ++output) map({old_node, output}, {added.node, output});
  return added;
}

Graph GraphRewriter::finish() {
  for (ValueId output : source_.outputs) result_.outputs.push_back(mapped(output));
  return remove_dead(std::move(result_));
}

Graph remove_dead(Graph graph) {
  std::vector<bool> alive(graph.nodes.size());
  for (ValueId output : graph.outputs) alive[static_cast<std::size_t>(output.node)] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    if (graph.nodes[i].op == Op::input) alive[i] = true;
    if (alive[i])
      for (ValueId input : graph.nodes[i].inputs) alive[static_cast<std::size_t>(input.node)] = true;
  }
  std::vector<std::int32_t> moved(graph.nodes.size(), -1);
  std::int32_t kept = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!alive[i]) continue;
    moved[i] = kept;
    for (ValueId& input : graph.nodes[i].inputs) input.node = moved[static_cast<std::size_t>(input.node)];
    if (static_cast<std::size_t>(kept) != i) graph.nodes[static_cast<std::size_t>(kept)] = std::move(graph.nodes[i]);
    ++kept;
  }
  graph.nodes.resize(static_cast<std::size_t>(kept));
  for (ValueId& output : graph.outputs) output.node = moved[static_cast<std::size_t>(output.node)];
  return graph;
}

std::vector<Source> merge_sources(const std::vector<Source>& a, const std::vector<Source>& b) {
  std::vector<Source> merged;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(merged),
                 [](const Source& x, const Source& y) { return x.node < y.node; });
  return merged;
}

namespace {

template <class T>
void append_bytes(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_node_key(const GraphNode& node, NumberKey numbers, std::string& key) {
  key.push_back(static_cast<char>(node.op));
  append_key(node.attrs, key, numbers);
  append_bytes(key, static_cast<std::uint32_t>(node.inputs.size()));
  for (ValueId input : node.inputs) append_bytes(key, input);
  for (const Type& type : node.types) {
    key.push_back(static_cast<char>(type.dtype));
    constexpr std::uint32_t has_name = 1u << 31;
    append_bytes(key, static_cast<std::uint32_t>(type.shape.size()) | (type.named ? has_name : 0));
    for (std::int64_t size : type.shape) append_bytes(key, size);
    if (!type.named) continue;
    append_bytes(key, type.named.axis);
    key.append(*type.named.name).push_back('\0');
  }
  if (node.constant) append_bytes(key, node.constant->id());
  if (node.body) {
    const std::string body = structural_key(*node.body, numbers == NumberKey::none ? NumberKey::values : numbers);
    append_bytes(key, body.size());
    key += body;
  }
}

}  // namespace

std::string structural_key(const Graph& graph, NumberKey numbers) {
  std::string key;
  key.reserve(graph.nodes.size() * 64);
  key.push_back(static_cast<char>(graph.phase));
  for (const GraphNode& node : graph.nodes) append_node_key(node, numbers, key);
  for (ValueId output : graph.outputs) append_bytes(key, output);
  return key;
}

}  // namespace lazuli
