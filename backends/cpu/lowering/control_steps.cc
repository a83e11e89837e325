// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/body_lowering.h>
#include <lazuli/backends/cpu/lowering/control_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/program/loops.h>

#include <algorithm>
#include <memory>

namespace lazuli::cpu {
namespace {

void add_once(std::vector<int>& list, int buffer) {
  if (std::find(list.begin(), list.end(), buffer) == list.end()) list.push_back(buffer);
}

// Where each result of the node is to lie.
std::vector<int> result_buffers(ProgramBuilder& builder, std::int32_t id) {
  std::vector<int> buffers;
  for (std::size_t i = 0; i < builder.node(id).types.size(); ++i)
    buffers.push_back(builder.result_view(id, static_cast<std::int32_t>(i)).buffer);
  return buffers;
}

// Operands from the first on, each as it is, what the bodies make of it being their matter.
void capture(const ProgramBuilder& builder, std::int32_t id, std::size_t first, std::vector<BodyInput>& inputs) {
  const GraphNode& current = builder.node(id);
  for (std::size_t i = first; i < current.inputs.size(); ++i)
    inputs.push_back(BodyInput::captured(builder.operand(id, i), current.inputs[i]));
}

// The step of node `id`. `scratch` are buffers that it uses besides its operands and `results`.
void add_control_step(ProgramBuilder& builder, std::int32_t id, std::shared_ptr<ControlFlow> control,
                      std::vector<int> reads, const std::vector<int>& results, const std::vector<int>& scratch) {
  const GraphNode& current = builder.node(id);
  std::vector<KernelUse> kernels{std::string(current.name())};
  for (const Body& body : control->bodies)
    for_each_step(body.steps, [&](const Step& step) {
      for (const KernelUse& kernel : step.kernels) add_kernel(kernels, kernel);
      for (const int buffer : step.reads)
        if (builder.buffer(buffer).kind == BufferKind::constant) add_once(reads, buffer);
    });
  Step& step = builder.add_step(id, current.name(), kernels[0], std::move(reads), results);
  step.kernels = std::move(kernels);
  step.writes.insert(step.writes.end(), scratch.begin(), scratch.end());
  step.split = control->is_split();
  step.control = std::move(control);
}

// What the step reads of the memory around it. A constant is read in the form that the body's kernels have it in.
std::vector<int> operand_buffers(const ProgramBuilder& builder, std::int32_t id, std::size_t first) {
  std::vector<int> buffers;
  const GraphNode& current = builder.node(id);
  for (std::size_t i = first; i < current.inputs.size(); ++i) {
    const Op op = builder.graph().node(current.inputs[i]).op;
    if (op != Op::constant && op != Op::scalar) add_once(buffers, builder.operand(id, i).buffer);
  }
  return buffers;
}

// Steps that serve all iterations come first; what they make is an operand of the loop.
void add_steps_before(ProgramBuilder& builder, std::vector<Step> steps, std::vector<int>& reads) {
  for (Step& step : steps) {
    for (std::size_t i = 0; i < step.results; ++i) add_once(reads, step.writes[i]);
    builder.program().steps.push_back(std::move(step));
  }
}

std::vector<View> carry_operands(ProgramBuilder& builder, std::int32_t id, std::size_t carries) {
  std::vector<View> operands;
  for (std::size_t i = 0; i < carries; ++i) operands.push_back(contiguous_input(builder, id, i));
  return operands;
}

// Memory for a carry that goes back and forth.
void add_spare(ProgramBuilder& builder, std::int32_t id, std::size_t i, Carry& carry, std::vector<int>& scratch) {
  if (carry.in_place() || carry.stack >= 0) return;
  carry.spare = builder.add_scratch(carry.bytes, fmt::format("%{} carry {}", id, i));
  scratch.push_back(carry.spare);
}

std::vector<Carry> carries_of(ProgramBuilder& builder, std::int32_t id, const LoweredBody& body,
                              const std::vector<View>& starts, const std::vector<int>& results,
                              const std::vector<int>& stacks, std::vector<int>& scratch) {
  std::vector<Carry> carries;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    Carry& carry = carries.emplace_back();
    carry.start = starts[i];
    carry.in = body.inputs[i];
    carry.out = body.outputs[i];
    carry.result = results[i];
    carry.stack = stacks[i];
    carry.is_written = body.written[i];
    carry.bytes = byte_size(starts[i].dtype, starts[i].elements());
    add_spare(builder, id, i, carry, scratch);
  }
  return carries;
}

// What a scan's body gives, and where it goes.
struct ScanOutputs {
  Graph body;                     // without the elements of ys that are carries
  std::vector<int> stacks;        // for each carry: memory of the ys that hold its states; -1: none
  std::vector<std::size_t> kept;  // outputs of the node, for each that is left
};

ScanOutputs outputs_of(const Graph& body, std::size_t carries, const std::vector<int>& results) {
  ScanOutputs outputs{body, std::vector<int>(carries, -1), {}};
  outputs.body.outputs.clear();
  for (std::size_t i = 0; i < body.outputs.size(); ++i) {
    const auto end = body.outputs.begin() + static_cast<std::ptrdiff_t>(carries);
    const auto same =
        static_cast<std::size_t>(std::find(body.outputs.begin(), end, body.outputs[i]) - body.outputs.begin());
    const Op op = body.node(body.outputs[i]).op;
    const bool is_state = i >= carries && same < carries && outputs.stacks[same] < 0 && !is_leaf(op) && !is_view(op);
    if (is_state) {
      outputs.stacks[same] = results[i];
      continue;
    }
    outputs.body.outputs.push_back(body.outputs[i]);
    outputs.kept.push_back(i);
  }
  return outputs;
}

// One element along axis 0.
StridedLayout element_layout(const View& whole) {
  StridedLayout layout = whole;
  layout.shape.erase(layout.shape.begin());
  layout.strides.erase(layout.strides.begin());
  layout.offset = 0;
  return layout;
}

Sequence sequence_of(View whole, int element) {
  const std::int64_t stride = byte_size(whole.dtype, whole.strides[0]);
  return {std::move(whole), stride, element};
}

}  // namespace

void lower_scan(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto& attrs = current.as<ScanAttrs>();
  const auto carried = static_cast<std::size_t>(attrs.carries), sequences = static_cast<std::size_t>(attrs.sequences);
  const std::vector<View> starts = carry_operands(builder, id, carried);
  const std::vector<int> results = result_buffers(builder, id);
  if (attrs.length == 0) {
    for (std::size_t i = 0; i < carried; ++i)
      lower_copy(builder, id, starts[i], builder.view({id, static_cast<std::int32_t>(i)}));
    return;
  }
  const ScanOutputs outputs = outputs_of(*attrs.body, carried, results);
  std::vector<BodyInput> inputs;
  for (std::size_t i = 0; i < carried; ++i)
    inputs.push_back(outputs.stacks[i] < 0 ? BodyInput::carry(starts[i].shape)
                                           : BodyInput::element(contiguous_layout(starts[i].shape)));
  for (std::size_t i = carried; i < carried + sequences; ++i)
    inputs.push_back(BodyInput::element(element_layout(builder.operand(id, i))));
  capture(builder, id, carried + sequences, inputs);
  LoweredBody body = lower_body(builder, id, outputs.body, inputs, BodyRuns::in_a_loop);
  std::vector<int> scratch;
  std::vector<Carry> carries = carries_of(builder, id, body, starts, results, outputs.stacks, scratch);
  std::vector<Sequence> along;
  for (std::size_t i = carried; i < carried + sequences; ++i)
    along.push_back(sequence_of(builder.operand(id, i), body.inputs[i]));
  for (std::size_t i = carried; i < outputs.kept.size(); ++i)
    along.push_back(sequence_of(builder.view({id, static_cast<std::int32_t>(outputs.kept[i])}), body.outputs[i]));
  std::vector<int> reads;
  for (const View& start : starts) add_once(reads, start.buffer);
  for (std::size_t i = carried; i < carried + sequences; ++i) add_once(reads, builder.operand(id, i).buffer);
  for (const int buffer : operand_buffers(builder, id, carried + sequences)) add_once(reads, buffer);
  add_steps_before(builder, std::move(body.before), reads);
  auto loop = std::make_shared<ScanLoop>(std::move(body.body), std::move(carries), std::move(along), attrs.length,
                                         attrs.reverse);
  add_control_step(builder, id, std::move(loop), std::move(reads), results, scratch);
}

void lower_while_loop(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto& attrs = current.as<WhileAttrs>();
  const auto carried = static_cast<std::size_t>(attrs.carries);
  const std::vector<View> starts = carry_operands(builder, id, carried);
  const std::vector<int> results = result_buffers(builder, id);
  std::vector<BodyInput> inputs;
  for (std::size_t i = 0; i < carried; ++i) inputs.push_back(BodyInput::carry(starts[i].shape));
  capture(builder, id, carried, inputs);
  LoweredBody body = lower_body(builder, id, *attrs.body, inputs, BodyRuns::in_a_loop);
  for (std::size_t i = 0; i < carried; ++i)
    inputs[i] = BodyInput::seen(whole_buffer(body.inputs[i], builder.type(current.inputs[i])));
  LoweredBody condition = lower_body(builder, id, *attrs.condition, inputs, BodyRuns::in_a_loop);
  const int decision = condition.outputs[0];
  builder.buffer(decision).kind = BufferKind::arena;
  std::vector<int> scratch{decision};
  const std::vector<int> no_stacks(carried, -1);
  std::vector<Carry> carries = carries_of(builder, id, body, starts, results, no_stacks, scratch);
  std::vector<int> reads;
  for (const View& start : starts) add_once(reads, start.buffer);
  for (const int buffer : operand_buffers(builder, id, carried)) add_once(reads, buffer);
  add_steps_before(builder, std::move(condition.before), reads);
  add_steps_before(builder, std::move(body.before), reads);
  auto loop =
      std::make_shared<WhileLoop>(std::move(condition.body), std::move(body.body), std::move(carries), decision);
  add_control_step(builder, id, std::move(loop), std::move(reads), results, scratch);
}

void lower_cond(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto& attrs = current.as<CondAttrs>();
  const View predicate = builder.operand(id, 0);
  const std::vector<int> results = result_buffers(builder, id);
  std::vector<BodyInput> inputs;
  capture(builder, id, 1, inputs);
  LoweredBody then_body = lower_body(builder, id, *attrs.then_body, inputs, BodyRuns::once);
  LoweredBody else_body = lower_body(builder, id, *attrs.else_body, inputs, BodyRuns::once);
  std::vector<Branches::Outputs> outputs(2);
  for (std::size_t i = 0; i < results.size(); ++i) {
    outputs[0].emplace_back(then_body.outputs[i], results[i]);
    outputs[1].emplace_back(else_body.outputs[i], results[i]);
  }
  std::vector<int> reads{predicate.buffer};
  for (const int buffer : operand_buffers(builder, id, 1)) add_once(reads, buffer);
  auto branches =
      std::make_shared<Branches>(std::move(then_body.body), std::move(else_body.body), std::move(outputs), predicate);
  add_control_step(builder, id, std::move(branches), std::move(reads), results, {});
}

}  // namespace lazuli::cpu
