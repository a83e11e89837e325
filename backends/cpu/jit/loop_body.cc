// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/graph/base/error.h>

#include <algorithm>

namespace lazuli::cpu {

using jit::LoopBody;
using jit::LoopStage;

namespace {

std::int64_t last_size(const Type& type) { return type.shape.empty() ? 1 : type.shape.back(); }

bool is_last_axis(const Attrs& attrs, const Type& operand) {
  const auto* reduce = std::get_if<ReduceAttrs>(&attrs);
  return reduce && reduce->keep_dims && !operand.shape.empty() &&
         reduce->axes == Dims{static_cast<std::int64_t>(operand.shape.size()) - 1};
}

// As the op's shape rule says of single numbers.
bool elementwise_types_fit(Op op, const Attrs& attrs, std::span<const Type> operands, DType result) {
  std::vector<Type> numbers;
  for (const Type& type : operands) numbers.push_back({type.dtype, {}});
  try {
    return infer_types(op, attrs, numbers)[0].dtype == result;
  } catch (const Error&) {
    return false;
  }
}

// Sizes of the last axis: the largest is the number of columns; 1 when there is nothing to tell columns from rows.
std::int64_t body_columns(const Graph& graph) {
  std::int64_t columns = 1;
  for (const GraphNode& node : graph.nodes) columns = std::max(columns, last_size(node.type()));
  return columns;
}

void check_nodes(const Graph& graph) {
  for (const GraphNode& node : graph.nodes) {
    std::vector<Type> operands;
    for (const ValueId input : node.inputs) operands.push_back(graph.type(input));
    if (node.types.size() != 1 || !LoopCompiler::can_contain(node.op, node.attrs, operands, node.type())) {
      std::string types;
      for (const Type& type : operands) types += (types.empty() ? "" : ", ") + to_string(type);
      throw CompileError(
          fmt::format("loop kernel: {}{} of ({}) cannot stand in a body; expected an elementwise op, a "
                      "scalar, broadcast_to or a last-axis reduction with keep_dims of plain types",
                      to_string(node.op), to_string(node.attrs), types));
    }
  }
}

void count_operands(LoopBody& body, std::span<const ColumnAccess> access) {
  for (const GraphNode& node : body.graph->nodes)
    if (node.op == Op::input) body.inputs = std::max(body.inputs, static_cast<int>(node.as<InputAttrs>().index) + 1);
  const std::size_t expected = static_cast<std::size_t>(body.inputs) + body.graph->outputs.size();
  if (access.size() != expected)
    throw CompileError(
        fmt::format("loop kernel: {} column accesses for a body of {} inputs and {} outputs; expected {}",
                    access.size(), body.inputs, body.graph->outputs.size(), expected));
  body.access.assign(access.begin(), access.end());
}

void mark_live(LoopBody& body) {
  const Graph& graph = *body.graph;
  body.live.assign(graph.nodes.size(), false);
  for (const ValueId output : graph.outputs) body.live[static_cast<std::size_t>(output.node)] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;)
    if (body.live[i])
      for (const ValueId input : graph.nodes[i].inputs) body.live[static_cast<std::size_t>(input.node)] = true;
}

// Where every size is 1, shapes do not tell full from narrow; then inputs that move along the columns are full, so
// that one kernel serves such arrays whether the caller calls their elements rows or columns.
void classify(LoopBody& body) {
  const Graph& graph = *body.graph;
  const std::int64_t columns = body_columns(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode& node = graph.nodes[i];
    bool any_full = false, all_uniform = true;
    int level = 0;
    for (const ValueId input : node.inputs) {
      const auto operand = static_cast<std::size_t>(input.node);
      any_full = any_full || body.full[operand];
      all_uniform = all_uniform && body.uniform[operand];
      level = std::max(level, body.level[operand]);
    }
    const bool moves =
        node.op == Op::input &&
        body.access[static_cast<std::size_t>(body.operand_of_input(static_cast<int>(i)))] != ColumnAccess::broadcast;
    const bool reduces = is_reduction(node.op);
    body.full.push_back(columns > 1 ? last_size(node.type()) == columns : !reduces && (any_full || moves));
    body.uniform.push_back(node.op == Op::input ? !(moves && body.full.back()) : reduces || all_uniform);
    body.level.push_back(level + (reduces && any_full ? 1 : 0));
  }
  for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
    const int node = graph.outputs[o].node;
    if (columns > 1 && body.output_access(static_cast<int>(o)) == ColumnAccess::broadcast &&
        !body.uniform[static_cast<std::size_t>(node)])
      throw CompileError(
          fmt::format("loop kernel: output {}, {} of {}, differs from column to column but has broadcast access", o,
                      to_string(body.node(node).op), to_string(body.node(node).type())));
  }
}

bool is_uniform_store(const LoopBody& body, int output) {
  return body.uniform[static_cast<std::size_t>(body.output_node(output))] &&
         body.output_access(output) == ColumnAccess::broadcast;
}

// What is computed for each vector of columns, where `given` is there already.
std::vector<int> vectors_of(const LoopBody& body, const LoopStage& stage, int given) {
  std::vector<bool> needed(body.graph->nodes.size());
  for (const int reduction : stage.reductions)
    needed[static_cast<std::size_t>(body.node(reduction).inputs[0].node)] = true;
  for (const int output : stage.stores) needed[static_cast<std::size_t>(body.output_node(output))] = true;
  std::vector<int> vectors;
  for (std::size_t i = needed.size(); i-- > 0;) {
    if (!needed[i] || body.uniform[i]) continue;
    vectors.push_back(static_cast<int>(i));
    if (static_cast<int>(i) == given) continue;
    for (const ValueId input : body.graph->nodes[i].inputs) needed[static_cast<std::size_t>(input.node)] = true;
  }
  std::reverse(vectors.begin(), vectors.end());
  return vectors;
}

// Such as the exponentials of a softmax, which are added up in one stage and divided by the sum in the next.
bool is_worth_keeping(Op op) {
  return op == Op::exp || op == Op::exp2 || op == Op::expm1 || op == Op::tanh || op == Op::sigmoid || op == Op::erf ||
         op == Op::pow;
}

void keep_one_value(LoopBody& body) {
  if (body.stages.size() < 2 || body.stages.back().stores.size() != 1) return;
  const int output = body.stages.back().stores[0];
  if (body.output_access(output) != ColumnAccess::contiguous) return;
  const auto has = [](const std::vector<int>& nodes, int node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  };
  const auto reads_columns = [&](const std::vector<int>& nodes) {
    return std::any_of(nodes.begin(), nodes.end(), [&](int node) { return body.node(node).op == Op::input; });
  };
  for (const int node : body.stages.back().vectors) {
    const int first = body.level[static_cast<std::size_t>(node)];
    if (!is_worth_keeping(body.node(node).op) || first + 1 >= static_cast<int>(body.stages.size()) ||
        body.node(node).type().dtype != body.node(body.output_node(output)).type().dtype ||
        !has(body.stages[static_cast<std::size_t>(first)].vectors, node))
      continue;
    std::vector<std::vector<int>> later;
    for (std::size_t stage = static_cast<std::size_t>(first) + 1; stage < body.stages.size(); ++stage)
      later.push_back(vectors_of(body, body.stages[stage], node));
    if (std::any_of(later.begin(), later.end(), reads_columns)) continue;
    for (std::size_t i = 0; i < later.size(); ++i)
      body.stages[static_cast<std::size_t>(first) + 1 + i].vectors = std::move(later[i]);
    body.kept = {node, output, first};
    return;
  }
}

// Everything written along the columns is written in the last stage, but for the kept value: an output may lie in the
// memory of an input with the same access, and earlier stages must leave what later ones read again.
void plan_stages(LoopBody& body) {
  const Graph& graph = *body.graph;
  int stages = 0;
  std::vector<int> stores;
  for (int o = 0; o < static_cast<int>(graph.outputs.size()); ++o)
    if (!is_uniform_store(body, o)) {
      stores.push_back(o);
      stages = std::max(stages, body.level[static_cast<std::size_t>(body.output_node(o))] + 1);
    }
  auto ends_stage = [&](std::size_t i) {
    return body.live[i] && is_reduction(graph.nodes[i].op) &&
           body.full[static_cast<std::size_t>(graph.nodes[i].inputs[0].node)];
  };
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (ends_stage(i)) stages = std::max(stages, body.level[i]);
  body.stages.resize(static_cast<std::size_t>(stages));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (ends_stage(i))
      body.stages[static_cast<std::size_t>(body.level[i] - 1)].reductions.push_back(static_cast<int>(i));
  if (!stores.empty()) body.stages.back().stores = std::move(stores);

  for (LoopStage& stage : body.stages) stage.vectors = vectors_of(body, stage, -1);
  keep_one_value(body);
}

bool is_run_time_number(const GraphNode& node) {
  return node.op == Op::scalar && !node.as<ScalarAttrs>().value.is_literal();
}

template <class T>
void append(std::string& key, T value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_node(std::string& key, const LoopBody& body, std::size_t i) {
  const GraphNode& node = body.graph->nodes[i];
  append(key, node.op);
  append(key, node.type().dtype);
  append(key, static_cast<char>(body.live[i] | body.full[i] << 1 | body.uniform[i] << 2));
  for (const ValueId input : node.inputs) append(key, input.node);
  const bool from_run = is_run_time_number(node);
  if (node.op == Op::scalar) append(key, from_run);
  // Not those of broadcasts and reductions: their shapes and axes are no part of the code.
  if ((is_leaf(node.op) || is_elementwise(node.op)) && !from_run) append_key(node.attrs, key);
}

}  // namespace

bool LoopCompiler::can_contain(Op op, const Attrs& attrs, std::span<const Type> operands, const Type& result) {
  if (is_quantised(result.dtype)) return false;
  for (const Type& type : operands)
    if (is_quantised(type.dtype)) return false;
  const OpInfo& op_info = info(op);
  const int count = static_cast<int>(operands.size());
  if (count < op_info.min_operands || count > op_info.max_operands || attrs.index() != op_info.attrs_index)
    return false;

  if (op == Op::input) return true;
  if (op == Op::scalar) return std::get<ScalarAttrs>(attrs).dtype == result.dtype;
  if (op == Op::broadcast_to)
    return operands[0].dtype == result.dtype &&
           (last_size(operands[0]) == 1 || last_size(operands[0]) == last_size(result));
  if (is_reduction(op))
    return operands[0].dtype == result.dtype && is_last_axis(attrs, operands[0]) && last_size(result) == 1 &&
           (result.dtype == DType::bool_) == (op == Op::any || op == Op::all) &&
           (op != Op::mean || is_real(result.dtype));
  return is_elementwise(op) && elementwise_types_fit(op, attrs, operands, result.dtype);
}

namespace jit {

int LoopBody::operand_of_input(int node_index) const {
  return static_cast<int>(node(node_index).as<InputAttrs>().index);
}

LoopBody analyse(const Graph& graph, std::span<const ColumnAccess> access) {
  LoopBody body;
  body.graph = &graph;
  check_nodes(graph);
  count_operands(body, access);
  mark_live(body);
  classify(body);
  plan_stages(body);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    append_node(body.key, body, i);
    if (is_run_time_number(graph.nodes[i])) body.numbers.push_back(static_cast<int>(i));
  }
  for (const ValueId output : graph.outputs) append(body.key, output.node);
  for (const ColumnAccess mode : body.access) append(body.key, mode);
  return body;
}

}  // namespace jit
}  // namespace lazuli::cpu
