// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/scheduled_graph.h>

#include <map>
#include <utility>

namespace lazuli::cpu {
namespace {

class Schedule {
 public:
  explicit Schedule(Lowered& program) : program_(program), producer_(program.buffers.size()) {}

  void add(Step& step) {
    GraphNode node = step.described;
    for (int buffer : step.reads) node.inputs.push_back(producer(buffer));
    for (std::size_t i = 0; i < step.results; ++i) node.types.push_back(info(step.writes[i]).type);
    step.node = program_.scheduled.add(std::move(node)).node;
    for (std::size_t i = 0; i < step.results; ++i)
      producer_[static_cast<std::size_t>(step.writes[i])] = {step.node, static_cast<std::int32_t>(i)};
  }

  // The value a buffer holds. Inputs and constants enter the graph when a step first reads them.
  ValueId producer(int buffer) {
    ValueId& value = producer_[static_cast<std::size_t>(buffer)];
    if (value.node >= 0) return value;
    GraphNode leaf;
    leaf.op = info(buffer).kind == BufferKind::input ? Op::input : Op::constant;
    if (leaf.op == Op::input)
      leaf.attrs = InputAttrs{info(buffer).index};
    else
      leaf.attrs = NoAttrs{};
    leaf.types = {info(buffer).type};
    leaf.label = info(buffer).name;
    value = program_.scheduled.add(std::move(leaf));
    return value;
  }

 private:
  const BufferInfo& info(int buffer) const { return program_.buffers[static_cast<std::size_t>(buffer)]; }

  Lowered& program_;
  std::vector<ValueId> producer_;  // of each buffer: the value it was written as last, if any
};

}  // namespace

void describe_schedule(const Graph& source, Lowered& program) {
  program.scheduled.phase = source.phase;
  program.scheduled.scheduled = true;
  Schedule schedule(program);
  for (Step& step : program.steps) schedule.add(step);
  program.scheduled.output_names = source.output_names;
  std::map<std::pair<BufferKind, int>, int> buffer_of;  // the caller's memory
  for (std::size_t buffer = 0; buffer < program.buffers.size(); ++buffer) {
    const BufferInfo& info = program.buffers[buffer];
    buffer_of.try_emplace({info.kind, info.index}, static_cast<int>(buffer));
  }
  for (std::size_t i = 0; i < program.outputs.size(); ++i) {
    const int donated = program.outputs[i].donated_input;
    const std::pair<BufferKind, int> memory =
        donated >= 0 ? std::pair(BufferKind::input, donated) : std::pair(BufferKind::output, static_cast<int>(i));
    program.scheduled.outputs.push_back(schedule.producer(buffer_of.at(memory)));
  }
}

}  // namespace lazuli::cpu
