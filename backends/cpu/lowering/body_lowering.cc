// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/body_lowering.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

std::size_t index_of(const GraphNode& input) { return static_cast<std::size_t>(input.as<InputAttrs>().index); }

// The body with the constants and numbers around it that it sees.
Graph with_leaves(const ProgramBuilder& around, Graph body, const std::vector<BodyInput>& inputs) {
  body.phase = around.graph().phase;
  for (GraphNode& node : body.nodes) {
    if (node.op != Op::input) continue;
    const std::optional<ValueId>& value = inputs[index_of(node)].value;
    if (!value) continue;
    const GraphNode& leaf = around.graph().node(*value);
    if (leaf.op != Op::constant && leaf.op != Op::scalar) continue;
    node.op = leaf.op;
    node.attrs = leaf.attrs;
    node.constant = leaf.constant;
    node.label = leaf.label;
  }
  return body;
}

// What fusions decide in a body is told of the node it belongs to.
VerdictSink sink_of(const ProgramBuilder& around, std::int32_t id) {
  VerdictSink sink = around.tools().verdicts;
  if (!sink.note) return sink;
  sink.note = [note = sink.note, id, scope = around.node(id).scope, from = around.node(id).from](Verdict verdict) {
    verdict.node = id;
    verdict.from = from;
    if (!verdict.scope) verdict.scope = scope;
    note(std::move(verdict));
  };
  return sink;
}

std::vector<int> carries_among(const std::vector<BodyInput>& inputs) {
  std::vector<int> carries;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].is_carry) carries.push_back(static_cast<int>(i));
  return carries;
}

// The bound buffer that output `output` is written to.
int output_buffer(ProgramBuilder& builder, std::size_t output) {
  const std::vector<BufferInfo>& buffers = builder.program().buffers;
  for (auto buffer = static_cast<int>(buffers.size()); buffer-- > 0 && builder.owns(buffer);) {
    const BufferInfo& info = buffers[static_cast<std::size_t>(buffer)];
    if (info.kind == BufferKind::output && info.index == static_cast<int>(output)) return buffer;
  }
  fail_internal("output {} of a body was written nowhere", output);
}

}  // namespace

LoweredBody lower_body(ProgramBuilder& around, std::int32_t id, const Graph& body, const std::vector<BodyInput>& inputs,
                       BodyRuns runs) {
  const Graph graph = with_leaves(around, body, inputs);
  const std::vector<int> carries = carries_among(inputs);
  const VerdictSink verdicts = sink_of(around, id);
  const Tools& outer = around.tools();
  const Tools tools{outer.loops, outer.workers, outer.isa, outer.precision, outer.fusion, outer.split_bytes, verdicts};
  ProgramBuilder builder(graph, carries, tools, around);
  LoweredBody lowered{Body({}), {}, std::vector<int>(inputs.size(), -1), {}, std::vector<bool>(inputs.size())};
  for (std::size_t node = 0; node < graph.nodes.size(); ++node) {
    const GraphNode& input = graph.nodes[node];
    if (input.op != Op::input) continue;
    const std::size_t index = index_of(input);
    const ValueId value{static_cast<std::int32_t>(node), 0};
    if (inputs[index].around) {
      builder.set_view(value, *inputs[index].around);
      continue;
    }
    const int buffer = builder.add_buffer(BufferKind::input, input.type(), fmt::format("%{} {}", id, input.label));
    builder.buffer(buffer).index = static_cast<int>(index);
    builder.set_view(value, View{inputs[index].layout, buffer, input.type().dtype});
    lowered.inputs[index] = buffer;
  }
  lower_graph(builder, runs == BodyRuns::in_a_loop ? &lowered.before : nullptr);
  Lowered& program = builder.program();
  for (const int written : program.written_inputs) lowered.written[static_cast<std::size_t>(written)] = true;
  for (std::size_t output = 0; output < graph.outputs.size(); ++output)
    lowered.outputs.push_back(program.outputs[output].donated_input >= 0 ? lowered.inputs[output]
                                                                         : output_buffer(builder, output));
  for (std::size_t buffer = 0; buffer < program.buffers.size(); ++buffer) {
    BufferInfo& info = program.buffers[buffer];
    const bool is_bound = info.kind == BufferKind::input || info.kind == BufferKind::output;
    if (is_bound && builder.owns(static_cast<int>(buffer))) info.kind = BufferKind::bound;
  }
  lowered.body = Body(std::move(program.steps));
  builder.end_body();
  return lowered;
}

}  // namespace lazuli::cpu
