// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/attention_steps.h>
#include <lazuli/backends/cpu/lowering/control_steps.h>
#include <lazuli/backends/cpu/lowering/convolution_steps.h>
#include <lazuli/backends/cpu/lowering/cumulative_steps.h>
#include <lazuli/backends/cpu/lowering/custom_steps.h>
#include <lazuli/backends/cpu/lowering/donation.h>
#include <lazuli/backends/cpu/lowering/expert_steps.h>
#include <lazuli/backends/cpu/lowering/invariant_steps.h>
#include <lazuli/backends/cpu/lowering/linear_epilogue.h>
#include <lazuli/backends/cpu/lowering/linear_plan.h>
#include <lazuli/backends/cpu/lowering/linear_steps.h>
#include <lazuli/backends/cpu/lowering/long_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/backends/cpu/lowering/move_steps.h>
#include <lazuli/backends/cpu/lowering/pad_steps.h>
#include <lazuli/backends/cpu/lowering/pool_steps.h>
#include <lazuli/backends/cpu/lowering/quantisation_steps.h>
#include <lazuli/backends/cpu/lowering/rope_steps.h>
#include <lazuli/backends/cpu/lowering/run_sizes.h>
#include <lazuli/backends/cpu/lowering/scatter_steps.h>
#include <lazuli/backends/cpu/lowering/selection_steps.h>
#include <lazuli/backends/cpu/lowering/sort_steps.h>
#include <lazuli/backends/cpu/program/chain.h>
#include <lazuli/backends/cpu/program/scheduled_graph.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/passes/fusion_choice.h>

namespace lazuli::cpu {
namespace {

void lower_input(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& input = builder.node(id);
  const int buffer = builder.add_buffer(BufferKind::input, input.type(), input.label);
  builder.buffer(buffer).index = static_cast<int>(input.as<InputAttrs>().index);
  builder.set_view({id, 0}, whole_buffer(buffer, input.type()));
}

void lower_constant(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& constant = builder.node(id);
  if (!constant.constant) builder.reject(id, "the constant has no data");
  const int buffer = builder.add_constant(constant.constant, constant.type(), constant.label);
  builder.set_view({id, 0}, whole_buffer(buffer, constant.type()));
}

void lower_scalar(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& scalar = builder.node(id);
  const auto& [number, dtype] = scalar.as<ScalarAttrs>();
  BufferRef data = Buffer::allocate(8);
  const auto store = [=, number = number, dtype = dtype](std::span<const double> values) {
    store_scalar(value_of(number, values), dtype, data->data());
  };
  number.is_literal() ? store({}) : builder.on_numbers(store);
  const int buffer = builder.add_constant(std::move(data), scalar.type(), scalar.label);
  builder.set_view({id, 0}, whole_buffer(buffer, scalar.type()));
}

void lower_view(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = builder.operand(id, 0);
  std::optional<View> result = apply_view(current.op, current.attrs, source);
  if (!result) result = apply_view(current.op, current.attrs, copy_to_contiguous(builder, source, id));
  builder.set_view({id, 0}, std::move(*result));
}

using LowerOp = void (*)(ProgramBuilder& builder, std::int32_t id);

// What lowers an op by itself; null: no kernel takes it.
LowerOp lowering_of(Op op) {
  switch (op) {
    case Op::input:
      return lower_input;
    case Op::constant:
      return lower_constant;
    case Op::scalar:
      return lower_scalar;
    case Op::fused:
    case Op::rms_norm:
    case Op::layer_norm:
      return lower_loop;
    case Op::softmax:
    case Op::log_softmax:
      return lower_softmax;
    case Op::linear:
      return lower_linear;
    case Op::expert_linear:
      return lower_expert_linear;
    case Op::matmul:
      return lower_matmul;
    case Op::concatenate:
      return lower_concatenate;
    case Op::slice_update:
      return lower_slice_update;
    case Op::take:
      return lower_take;
    case Op::gather:
      return lower_gather;
    case Op::pad:
      return lower_pad;
    case Op::gather_nd:
      return lower_gather_nd;
    case Op::scatter:
      return lower_scatter;
    case Op::scatter_nd:
      return lower_scatter_nd;
    case Op::quantise:
      return lower_quantise;
    case Op::dequantise:
      return lower_dequantise;
    case Op::rope:
      return lower_rope;
    case Op::attention:
      return lower_attention;
    case Op::argmax:
    case Op::argmin:
      return lower_extreme;
    case Op::cumsum:
    case Op::cumprod:
    case Op::cummax:
    case Op::cummin:
      return lower_cumulative;
    case Op::sort:
    case Op::argsort:
      return lower_sort;
    case Op::top_k:
      return lower_top_k;
    case Op::convolution:
      return lower_convolution;
    case Op::max_pool:
      return lower_max_pool;
    case Op::mean_pool:
      return lower_mean_pool;
    case Op::adaptive_max_pool:
      return lower_adaptive_max_pool;
    case Op::adaptive_mean_pool:
      return lower_adaptive_mean_pool;
    case Op::custom:
      return lower_custom;
    case Op::scan:
      return lower_scan;
    case Op::while_loop:
      return lower_while_loop;
    case Op::cond:
      return lower_cond;
    default:
      if (is_leaf(op)) return lower_generator;
      if (is_view(op)) return lower_view;
      if (is_elementwise(op)) return lower_loop;
      if (is_reduction(op)) return lower_reduction;
      return nullptr;
  }
}

void lower_node(ProgramBuilder& builder, std::int32_t id) {
  const auto& plan = builder.state<LinearPlan>();
  if (plan.runs_elsewhere(id)) return;
  if (const auto chain = plan.epilogues.find(id); chain != plan.epilogues.end())
    return lower_epilogue(builder, id, chain->second);
  const LowerOp lower = lowering_of(builder.node(id).op);
  if (lower == nullptr) builder.reject(id, "the cpu backend has no kernel for it");
  lower(builder, id);
}

// Results that are not yet where the caller wants them are copied there.
void place_outputs(ProgramBuilder& builder) {
  const std::vector<ValueId>& outputs = builder.graph().outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Type& type = builder.type(outputs[i]);
    const View source = builder.view(outputs[i]);
    const BufferInfo& memory = builder.buffer(source.buffer);
    builder.program().outputs[i].bytes = type.bytes();
    const bool is_there =
        builder.owns(source.buffer) && memory.kind == BufferKind::output && memory.index == static_cast<int>(i);
    if ((is_there && builder.is_whole(source)) || take_as_result(builder, source, i)) continue;
    const int copy = builder.add_buffer(BufferKind::output, type, fmt::format("result {}", i));
    builder.buffer(copy).index = static_cast<int>(i);
    const std::size_t first_step = builder.program().steps.size();
    lower_copy(builder, outputs[i].node, source, whole_buffer(copy, type));
    follow_sizes(builder, outputs[i].node, first_step);
  }
}

void join_rows(ProgramBuilder& builder) {
  const Tools& tools = builder.tools();
  if (tools.fusion.enabled("row_chain")) {
    move_preparations_up(builder.program().steps);
    chain_rows(builder.program(), builder.workers(), tools.verdicts);
  } else if (builder.program().steps.size() > 1) {
    builder.note("row_chain", {}, tools.verdicts.reason_off("row_chain"));
  }
}

}  // namespace

void lower_graph(ProgramBuilder& builder, std::vector<Step>* invariant) {
  plan_linears(builder);
  const std::vector<GraphNode>& nodes = builder.graph().nodes;
  for (std::size_t index = 0; index < nodes.size(); ++index) {
    const auto id = static_cast<std::int32_t>(index);
    const bool is_placed = builder.is_body() && nodes[index].op == Op::input;
    if (is_placed) continue;
    const std::size_t first_step = builder.program().steps.size();
    lower_node(builder, id);
    follow_sizes(builder, id, first_step);
  }
  place_outputs(builder);
  for (Step& step : builder.program().steps)
    step.split = step.split && (step.control || step.bytes >= builder.tools().split_bytes);
  if (invariant != nullptr) *invariant = take_invariant_steps(builder);
  join_rows(builder);
}

Lowered lower(const Graph& graph, std::span<const int> donated, const Tools& tools) {
  ProgramBuilder builder(graph, donated, tools);
  lower_graph(builder);
  Lowered& program = builder.program();
  leave_out_absent_rows(program);
  let_long_steps_be_stolen(program.steps, builder.workers());
  describe_schedule(graph, program);
  return std::move(program);
}

}  // namespace lazuli::cpu
