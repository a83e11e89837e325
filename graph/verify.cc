// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/verify.h>

namespace lazuli {
namespace {

bool is_declared(Op op) { return op == Op::input || op == Op::constant || op == Op::fused; }

std::string list(const std::vector<Type>& types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + to_string(type);
  return text;
}

// Checks one graph. A body is checked by a verifier of its own, which knows the node it belongs to. Bodies of fused
// nodes hold neither fused nodes nor control flow; those of control flow may.
class Verifier {
 public:
  Verifier(const Graph& graph, std::string_view after) : graph_(graph), after_(after) {}
  Verifier(const Verifier& parent, std::size_t owner, const NamedBody& body)
      : graph_(*body.graph), after_(parent.after_), parent_(&parent), owner_(owner), name_(body.name) {}

  void verify() {
    if (graph_.scheduled) reject("the graph lists kernel launches; expected one that can run");
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) verify_node(id);
    verify_input_indices();
    verify_outputs();
  }

 private:
  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) const {
    throw CompileError(context() + ": " + fmt::format(text, std::forward<Args>(args)...),
                       {.kind = ErrorKind::compile, .pass = std::string(after_)});
  }
  template <class... Args>
  [[noreturn]] void reject_node(std::size_t id, fmt::format_string<Args...> text, Args&&... args) const {
    reject_node_with({}, id, fmt::format(text, std::forward<Args>(args)...));
  }
  // `details` holds what was expected and found, where that is data.
  [[noreturn]] void reject_node_with(ErrorDetails details, std::size_t id, const std::string& text) const {
    const GraphNode& node = graph_.nodes[id];
    const GraphNode& outer = outermost(id);  // of which `from` tells
    details.kind = ErrorKind::compile;
    details.op = name_of(node);
    details.pass = after_;
    details.node = outer.from.empty() ? -1 : outer.from.back().node;
    if (node.scope) details.scope = *node.scope;
    details.source = source_of(node.built_at);
    throw CompileError(fmt::format("{}: {}: {}{}", context(), describe(id), text, Scope::where(node.scope)),
                       std::move(details));
  }
  static std::string_view name_of(const GraphNode& node) {
    const bool has_name = (node.op == Op::fused && std::holds_alternative<FusedAttrs>(node.attrs)) ||
                          (node.op == Op::custom && std::holds_alternative<CustomAttrs>(node.attrs));
    return has_name ? node.name() : to_string(node.op);
  }

  const GraphNode& outermost(std::size_t id) const {
    return parent_ == nullptr ? graph_.nodes[id] : parent_->outermost(owner_);
  }
  bool is_in_fused() const { return parent_ != nullptr && parent_->graph_.nodes[owner_].op == Op::fused; }

  // Built only when something is wrong: describing every fused node beforehand would take quadratic time.
  std::string context() const {
    if (parent_ == nullptr) return fmt::format("after {}", after_);
    return fmt::format("{}: {} of {}{}", parent_->context(), name_, parent_->describe(owner_),
                       Scope::where(parent_->graph_.nodes[owner_].scope));
  }

  // "%12 mul : f32[4,8]", numbered as to_text numbers values.
  std::string describe(std::size_t id) const {
    std::size_t value = 0;
    for (std::size_t i = 0; i < id; ++i) value += graph_.nodes[i].types.size();
    const GraphNode& node = graph_.nodes[id];
    std::string text = fmt::format("%{} {}", value, name_of(node));
    return node.types.empty() ? text : fmt::format("{} : {}", text, list(node.types));
  }

  void verify_node(std::size_t id) {
    const GraphNode& node = graph_.nodes[id];
    const OpInfo& op = info(node.op);
    if (node.attrs.index() != op.attrs_index)
      reject_node(id, "holds the attributes of another op: {}", to_string(node.attrs));
    if (node.types.empty()) reject_node(id, "has no result");
    verify_operands(id, node, op);
    if (is_control_flow(node.op)) verify_control_flow(id, node);
    verify_types(id, node);
    verify_data(id, node);
    verify_sources(id, node);
    if (node.op == Op::fused)
      verify_body(id, node);
    else if (node.body)
      reject_node(id, "has a body, which only fused nodes may have");
  }

  // What bodies take and give is a matter of types, which are looked at behind this.
  void verify_control_flow(std::size_t id, const GraphNode& node) {
    if (is_in_fused()) reject_node(id, "stands inside a fused body, which holds no control flow");
    for (const NamedBody& body : bodies_of(node)) Verifier(*this, id, body).verify();
  }

  void verify_operands(std::size_t id, const GraphNode& node, const OpInfo& op) {
    const auto count = static_cast<int>(node.inputs.size());
    if (count < op.min_operands || count > op.max_operands)
      reject_node_with({.expected = fmt::format("{} to {} operands", op.min_operands, op.max_operands),
                        .found = fmt::format("{} operands", count)},
                       id, fmt::format("has {} operands, expected {} to {}", count, op.min_operands, op.max_operands));
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId input = node.inputs[i];
      if (input.node < 0 || static_cast<std::size_t>(input.node) >= id)
        reject_node(id, "operand {} is node {}, expected one before it (0 to {})", i, input.node,
                    static_cast<std::int64_t>(id) - 1);
      if (const std::size_t outputs = graph_.node(input).types.size();
          input.output < 0 || static_cast<std::size_t>(input.output) >= outputs)
        reject_node(id, "operand {} is output {} of {}, which has {}", i, input.output,
                    describe(static_cast<std::size_t>(input.node)), outputs);
    }
  }

  void verify_types(std::size_t id, const GraphNode& node) {
    for (const Type& type : node.types) {
      for (std::int64_t size : type.shape)
        if (size < 0) reject_node(id, "has a negative size");
      const int block = info(type.dtype).block_elements;
      if (block > 1 && (type.shape.empty() || type.shape.back() % block != 0))
        reject_node(id, "last axis is not a multiple of the {} elements of a {} block", block, to_string(type.dtype));
      if (const std::string fault = named_axis_fault(type); !fault.empty()) reject_node(id, "{}", fault);
    }
    if (is_declared(node.op)) {
      if (node.op != Op::fused && node.types.size() != 1)
        reject_node(id, "has {} results, expected 1", node.types.size());
      return;
    }
    operands_.clear();
    for (ValueId input : node.inputs) operands_.push_back(graph_.type(input));
    std::vector<Type> inferred;
    try {
      inferred = infer_types(node.op, node.attrs, operands_);
    } catch (const Error& error) {
      reject_node_with(error.details(), id, error.what());
    }
    if (inferred != node.types)
      reject_node_with({.expected = list(inferred), .found = list(node.types)}, id,
                       fmt::format("its type does not follow from its operands, expected {}", list(inferred)));
  }

  void verify_data(std::size_t id, const GraphNode& node) {
    if (!node.constant) return;
    if (node.op != Op::constant) reject_node(id, "holds data, which only constants may hold");
    if (parent_ != nullptr && !is_in_fused()) reject_node(id, "is a constant inside a body, expected an operand");
    const std::int64_t expected = node.type().bytes();
    if (static_cast<std::int64_t>(node.constant->size()) != expected)
      reject_node_with(
          {.expected = fmt::format("{} bytes", expected), .found = fmt::format("{} bytes", node.constant->size())}, id,
          fmt::format("'{}' holds {} bytes, expected {}", node.label, node.constant->size(), expected));
  }

  void verify_sources(std::size_t id, const GraphNode& node) {
    for (std::size_t i = 1; i < node.from.size(); ++i)
      if (node.from[i].node <= node.from[i - 1].node)
        reject_node(id, "sources are not ascending: {} stands after {}", node.from[i].node, node.from[i - 1].node);
  }

  void verify_body(std::size_t id, const GraphNode& node) {
    if (is_in_fused()) reject_node(id, "stands inside a body; bodies hold no fused nodes");
    if (!node.body) reject_node(id, "has no body");
    Verifier(*this, id, {"body", node.body.get()}).verify();
    const std::vector<ValueId> inputs = node.body->inputs();  // dense: the line above checked it
    if (inputs.size() != node.inputs.size())
      reject_node(id, "has {} operands, its body {} inputs", node.inputs.size(), inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (const Type &given = graph_.type(node.inputs[i]), &wanted = node.body->type(inputs[i]); given != wanted)
        reject_node_with(
            {.expected = to_string(wanted), .found = to_string(given)}, id,
            fmt::format("operand {} is {}, input {} of its body {}", i, to_string(given), i, to_string(wanted)));
    std::vector<Type> results;
    for (ValueId output : node.body->outputs) results.push_back(node.body->type(output));
    if (results != node.types)
      reject_node_with({.expected = list(node.types), .found = results.empty() ? "nothing" : list(results)}, id,
                       fmt::format("its body returns {}", results.empty() ? "nothing" : list(results)));
  }

  void verify_input_indices() {
    std::vector<std::size_t> inputs;
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      if (graph_.nodes[id].op == Op::input) inputs.push_back(id);
    std::vector<bool> seen(inputs.size());
    for (std::size_t id : inputs) {
      const std::int64_t index = graph_.nodes[id].as<InputAttrs>().index;
      if (index < 0 || index >= static_cast<std::int64_t>(inputs.size()))
        reject_node(id, "index is {}, but there are {} inputs", index, inputs.size());
      if (seen[static_cast<std::size_t>(index)]) reject_node(id, "index {} is that of another input, too", index);
      seen[static_cast<std::size_t>(index)] = true;
    }
    for (std::size_t id : inputs)
      for (std::size_t other : inputs) {
        const Type &type = graph_.nodes[id].type(), &first = graph_.nodes[other].type();
        if (type.named && type.named.name == first.named.name && bound_of(type) != bound_of(first))
          reject_node(id, "bounds {} by {}, but input %{} by {}", *type.named.name, bound_of(type), other,
                      bound_of(first));
      }
  }

  void verify_outputs() {
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ValueId output = graph_.outputs[i];
      if (output.node < 0 || static_cast<std::size_t>(output.node) >= graph_.nodes.size())
        reject("graph output {} is node {}, but there are {} nodes", i, output.node, graph_.nodes.size());
      if (const std::size_t results = graph_.node(output).types.size();
          output.output < 0 || static_cast<std::size_t>(output.output) >= results)
        reject("graph output {} is output {} of {}, which has {}", i, output.output,
               describe(static_cast<std::size_t>(output.node)), results);
    }
    if (!graph_.output_names.empty() && graph_.output_names.size() != graph_.outputs.size())
      reject("the graph has {} outputs and {} output names", graph_.outputs.size(), graph_.output_names.size());
  }

  const Graph& graph_;
  std::string_view after_;
  const Verifier* parent_ = nullptr;  // of a body: the graph its node stands in
  std::size_t owner_ = 0;             // and that node
  std::string_view name_;
  std::vector<Type> operands_;
};

}  // namespace

void verify(const Graph& graph, std::string_view after) { Verifier(graph, after).verify(); }

}  // namespace lazuli
