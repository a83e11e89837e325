// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/linear_plan.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

bool is_elementwise_body(const GraphNode& node) {
  if (node.op != Op::fused) return is_elementwise(node.op);
  const auto fits = [](const GraphNode& inner) {
    return inner.op == Op::input || inner.op == Op::scalar || inner.op == Op::broadcast_to || is_elementwise(inner.op);
  };
  if (!node.body || !std::all_of(node.body->nodes.begin(), node.body->nodes.end(), fits)) return false;
  return std::all_of(node.body->nodes.begin(), node.body->nodes.end(), [&](const GraphNode& inner) {
    const Shape& shape = inner.type().shape;
    return shape.empty() || shape.back() == 1 || shape.back() == node.type().shape.back();
  });
}

bool is_last_axis(const GraphNode& node, const Type& operand) {
  return node.as<AxisAttrs>().axis + 1 == static_cast<std::int64_t>(operand.shape.size());
}

class EpiloguePlanner {
 public:
  EpiloguePlanner(const ProgramBuilder& builder, LinearPlan& plan)
      : builder_(builder), graph_(builder.graph()), plan_(plan), uses_(graph_), readers_(graph_.nodes.size()) {
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      for (ValueId input : graph_.nodes[id].inputs)
        readers_[static_cast<std::size_t>(input.node)].push_back(static_cast<std::int32_t>(id));
  }

  void run() {
    for (std::size_t index = 0; index < graph_.nodes.size(); ++index) {
      const auto id = static_cast<std::int32_t>(index);
      if (is_leaf(node(id).op) || is_view(node(id).op)) continue;
      Epilogue epilogue = find(id);
      if (epilogue.products.empty()) continue;
      if (node(id).op == Op::argmax) {
        epilogue.has_body = false;
        epilogue.argmax = id;
      } else {
        plan_tail(id, epilogue);
      }
      for (std::int32_t product : epilogue.products) plan_.epilogue_of[static_cast<std::size_t>(product)] = id;
      if (epilogue.argmax >= 0) plan_.lowered[static_cast<std::size_t>(epilogue.argmax)] = epilogue.argmax != id;
      plan_.epilogues.emplace(id, std::move(epilogue));
    }
  }

 private:
  const GraphNode& node(std::int32_t id) const { return builder_.node(id); }
  bool enabled(std::string_view fusion) const { return builder_.tools().fusion.enabled(fusion); }

  // "" where the linear `value` can run in the chain that ends in `reader`.
  std::string why_not(ValueId value, std::int32_t reader) const {
    const Type& type = graph_.type(value);
    const Shape& shape = node(reader).op == Op::argmax ? type.shape : node(reader).type().shape;
    if (!is_packed_linear(builder_, value.node)) return "the matmul's weight is not packed";
    if (uses_[value] != 1) return "the linear has a second reader";
    if (type.dtype != DType::f32) return fmt::format("the linear gives {}, expected f32", to_string(type));
    if (type.shape != shape)
      return fmt::format("the linear is {}, what reads it {}", to_string(type), to_string(node(reader).type()));
    if (plan_.epilogue_of[static_cast<std::size_t>(value.node)] >= 0)
      return "the linear already belongs to another chain";
    return {};
  }

  // Whether the node can follow matmuls in a chain over columns.
  bool is_chain_end(std::int32_t id) const {
    const GraphNode& reader = node(id);
    if (reader.types.empty() || reader.type().shape.empty()) return false;
    if (reader.op == Op::argmax) return is_last_axis(reader, graph_.type(reader.inputs[0]));
    return reader.type().shape.back() > 1 && is_elementwise_body(reader) &&
           std::all_of(reader.types.begin(), reader.types.end(),
                       [&](const Type& type) { return type.shape == reader.type().shape; });
  }

  // The chain that ends in node `id`, without its tail; no products where there is none, which is noted if one of its
  // operands is a matmul.
  Epilogue find(std::int32_t id) const {
    const GraphNode& reader = node(id);
    Epilogue epilogue;
    std::vector<std::int32_t> left_out;
    std::string why;
    for (ValueId input : reader.inputs) {
      if (graph_.node(input).op != Op::linear) continue;
      const std::string reason =
          is_chain_end(id) ? why_not(input, id)
                           : fmt::format("the {} that reads it is not elementwise over its columns", reader.name());
      (reason.empty() ? epilogue.products : left_out).push_back(input.node);
      if (!reason.empty()) why = reason;
    }
    std::vector<std::int32_t> site = epilogue.products.empty() ? left_out : epilogue.products;
    if (site.empty()) return {};
    site.push_back(id);
    if (!epilogue.products.empty()) why = why_not_worth_it(epilogue);
    builder_.note("linear_epilogue", site, why);
    return why.empty() ? epilogue : Epilogue{};
  }

  // "" where the linears are better off in the chain than by themselves.
  std::string why_not_worth_it(const Epilogue& epilogue) const {
    if (belongs_to_merged_step(epilogue))
      return "for one row, running beside the other matmuls of its operand is worth more";
    if (epilogue.products.size() == 1 && is_narrow_linear(builder_, epilogue.products[0]))
      return "few outputs divide by rows";
    if (!enabled("linear_epilogue")) return builder_.tools().verdicts.reason_off("linear_epilogue");
    return {};
  }

  // For one row, running beside the other products of its x is worth more to a product than an epilogue.
  bool belongs_to_merged_step(const Epilogue& epilogue) const {
    const Type& type = node(epilogue.products[0]).type();
    if (type.elements() != type.shape.back() || !enabled("merged_linear")) return false;
    return std::any_of(epilogue.products.begin(), epilogue.products.end(), [&](std::int32_t product) {
      const std::vector<std::int32_t>& beside = plan_.readers_of_x.at(node(product).inputs[0]);
      return std::any_of(beside.begin(), beside.end(), [&](std::int32_t other) {
        return std::find(epilogue.products.begin(), epilogue.products.end(), other) == epilogue.products.end();
      });
    });
  }

  // Fills in what follows the body: the operand form of the matmuls that read its result, or its argmax.
  void plan_tail(std::int32_t id, Epilogue& epilogue) const {
    const GraphNode& body = node(id);
    const std::vector<std::int32_t>& reading = readers_[static_cast<std::size_t>(id)];
    if (body.types.size() != 1 || body.type().dtype != DType::f32 || reading.empty()) return;
    if (static_cast<std::size_t>(uses_[{id, 0}]) != reading.size()) return;  // a result of the graph as well
    if (reading.size() == 1 && node(reading[0]).op == Op::argmax && is_last_axis(node(reading[0]), body.type())) {
      epilogue.argmax = reading[0];
      return;
    }
    for (std::int32_t reader : reading) {
      if (!is_packed_linear(builder_, reader) || node(reader).inputs[0] != ValueId{id, 0}) return;
      const OperandForm form = operand_form(builder_, reader);
      if (form == OperandForm::real || form != operand_form(builder_, reading[0])) return;
    }
    epilogue.readers = reading;
  }

  const ProgramBuilder& builder_;
  const Graph& graph_;
  LinearPlan& plan_;
  UseCounts uses_;
  std::vector<std::vector<std::int32_t>> readers_;  // of each node
};

}  // namespace

void plan_linears(ProgramBuilder& builder) {
  const std::vector<GraphNode>& nodes = builder.graph().nodes;
  auto& plan = builder.state<LinearPlan>();
  plan.lowered.assign(nodes.size(), false);
  plan.epilogue_of.assign(nodes.size(), -1);
  for (std::size_t id = 0; id < nodes.size(); ++id)
    if (is_packed_linear(builder, static_cast<std::int32_t>(id)))
      plan.readers_of_x[nodes[id].inputs[0]].push_back(static_cast<std::int32_t>(id));
  if (builder.tools().fusion.enabled("linear_epilogue") || builder.tools().verdicts.note)
    EpiloguePlanner(builder, plan).run();
}

}  // namespace lazuli::cpu
