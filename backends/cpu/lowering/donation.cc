// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/donation.h>
#include <lazuli/backends/cpu/lowering/linear_plan.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>

#include <algorithm>
#include <limits>

namespace lazuli::cpu {
namespace {

// When the memory of values is read last.
struct LastReads {
  std::vector<std::int32_t> root;  // of each node: the node whose memory its value lies in
  std::vector<std::int64_t> last;  // of each root: the last node that reads its memory; for ever, for results

  std::int64_t of(ValueId value) const { return last[static_cast<std::size_t>(root_of(value))]; }
  std::int32_t root_of(ValueId value) const { return root[static_cast<std::size_t>(value.node)]; }
};

LastReads find_last_reads(ProgramBuilder& builder) {
  constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();
  const Graph& graph = builder.graph();
  const auto& plan = builder.state<LinearPlan>();
  LastReads reads;
  reads.root.resize(graph.nodes.size());
  reads.last.assign(graph.nodes.size(), -1);
  for (std::size_t index = 0; index < graph.nodes.size(); ++index) {
    const auto id = static_cast<std::int32_t>(index);
    const GraphNode& current = graph.nodes[index];
    const bool shares = is_view(current.op);
    reads.root[index] = shares ? reads.root_of(current.inputs[0]) : id;
    if (shares) continue;
    for (ValueId input : current.inputs) {
      std::int64_t& last = reads.last[static_cast<std::size_t>(reads.root_of(input))];
      last = std::max<std::int64_t>(last, plan.runs_at(id));
    }
  }
  for (ValueId output : graph.outputs) reads.last[static_cast<std::size_t>(reads.root_of(output))] = forever;
  return reads;
}

const LastReads& last_reads(ProgramBuilder& builder) {
  auto& reads = builder.state<LastReads>();
  if (reads.root.empty()) reads = find_last_reads(builder);
  return reads;
}

bool is_donated_input(const ProgramBuilder& builder, int index) {
  const BufferInfo& buffer = builder.buffer(index);
  return builder.owns(index) && buffer.kind == BufferKind::input && builder.is_donated(buffer.index);
}

}  // namespace

bool take_over(ProgramBuilder& builder, std::int32_t id, std::size_t index, std::initializer_list<int> also_read) {
  const ValueId value = builder.node(id).inputs[index];
  const View& base = builder.view(value);
  const BufferInfo& memory = builder.buffer(base.buffer);
  const bool is_ours =
      (memory.kind == BufferKind::arena && builder.owns(base.buffer)) || is_donated_input(builder, base.buffer);
  const bool read_by_itself = std::find(also_read.begin(), also_read.end(), base.buffer) != also_read.end();
  if (!is_ours || !builder.is_whole(base) || read_by_itself || last_reads(builder).of(value) != id) return false;
  if (memory.kind == BufferKind::input) builder.program().written_inputs.push_back(memory.index);
  forget_forms_of(builder, base.buffer);
  return true;
}

bool take_as_result(ProgramBuilder& builder, const View& view, std::size_t output) {
  const BufferInfo& memory = builder.buffer(view.buffer);
  if (!is_donated_input(builder, view.buffer) || !builder.is_whole(view)) return false;
  // What a body carries on stays where it is or moves to memory of its own: two carries never change places.
  if (builder.is_body() && memory.index != static_cast<int>(output)) return false;
  std::vector<OutputPlacement>& outputs = builder.program().outputs;
  const bool taken = std::any_of(outputs.begin(), outputs.end(),
                                 [&](const OutputPlacement& other) { return other.donated_input == memory.index; });
  if (taken) return false;
  outputs[output].donated_input = memory.index;
  return true;
}

}  // namespace lazuli::cpu
