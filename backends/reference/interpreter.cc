// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>

namespace lazuli::reference {
namespace {

using Kernel = void (*)(const Call&);
constexpr Kernel kernels[] = {
#define LAZULI_OP(name, ...) name,
#include <lazuli/graph/ops.def>
};

// The values of one run. Memory of intermediates is freed after the last node that reads it.
class Interpreter {
 public:
  explicit Interpreter(const Graph& graph)
      : graph_(graph), values_(graph.nodes.size()), last_readers_(graph.nodes.size()) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      last_readers_[i] = i;
      for (ValueId input : graph.nodes[i].inputs) last_readers_[static_cast<std::size_t>(input.node)] = i;
    }
    for (ValueId output : graph.outputs) last_readers_[static_cast<std::size_t>(output.node)] = graph.nodes.size();
  }

  void run(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const StepObserver& observe) {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (is_bound(graph_.nodes[i].op)) {
        bind(i, inputs);
        continue;
      }
      compute(i);
      if (observe) observe();
      release_read_by(i);
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const Tensor& value = tensor(graph_.outputs[i]);
      std::copy_n(value.data, value.type->bytes(), outputs[i].data);
    }
  }

 private:
  struct Value {
    std::vector<Tensor> tensors;    // one per output of the node
    std::vector<BufferRef> memory;  // none for inputs and constants
  };

  const Tensor& tensor(ValueId id) const {
    return values_[static_cast<std::size_t>(id.node)].tensors[static_cast<std::size_t>(id.output)];
  }

  void bind(std::size_t i, std::span<const Tensor> inputs) {
    const GraphNode& node = graph_.nodes[i];
    if (node.op == Op::input) {
      values_[i].tensors = {inputs[static_cast<std::size_t>(node.as<InputAttrs>().index)]};
      return;
    }
    if (!node.constant) throw ExecutionError(fmt::format("constant: \"{}\" has no data{}", node.label, place(i)));
    values_[i].tensors = {Tensor{&node.types[0], node.constant->data()}};
  }

  void compute(std::size_t i) {
    const GraphNode& node = graph_.nodes[i];
    Value& value = values_[i];
    std::vector<Tensor> operands;
    for (ValueId input : node.inputs) operands.push_back(tensor(input));
    try {
      for (const Type& type : node.types) {
        value.memory.push_back(Buffer::allocate(static_cast<std::size_t>(type.bytes())));
        value.tensors.push_back({&type, value.memory.back()->data()});
      }
      kernels[static_cast<std::size_t>(node.op)](Call{node, operands, value.tensors});
    } catch (const InternalError&) {
      throw;
    } catch (const Error& error) {
      throw ExecutionError(fmt::format("{}: {}{}", node.name(), error.what(), place(i)),
                           details_of(node, error.details()));
    }
  }

  void release_read_by(std::size_t i) {
    if (last_readers_[i] == i) values_[i].memory.clear();
    for (ValueId input : graph_.nodes[i].inputs) {
      const auto read = static_cast<std::size_t>(input.node);
      if (last_readers_[read] == i) values_[read].memory.clear();
    }
  }

  // " (node %7 in embed)", with the number of the node's first value as to_text prints it.
  std::string place(std::size_t i) const {
    std::size_t value = 0;
    for (std::size_t before = 0; before < i; ++before) value += graph_.nodes[before].types.size();
    const Scope::Ref& scope = graph_.nodes[i].scope;
    return fmt::format(" (node %{}{})", value, scope ? " in " + *scope : std::string());
  }

  const Graph& graph_;
  std::vector<Value> values_;
  std::vector<std::size_t> last_readers_;
};

}  // namespace

ErrorDetails details_of(const GraphNode& node, ErrorDetails details) {
  if (details.kind < ErrorKind::execution) details.kind = ErrorKind::execution;
  details.op = node.name();
  details.node = node.from.empty() ? -1 : node.from.back().node;
  if (node.scope) details.scope = *node.scope;
  return details;
}

void interpret(const Graph& graph, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
               const StepObserver& observe) {
  Interpreter(graph).run(inputs, outputs, observe);
}

// Fused bodies hold ordinary ops, so that this nests once.
void fused(const Call& call) { interpret(*call.node.body, call.operands, call.results, {}); }

}  // namespace lazuli::reference
