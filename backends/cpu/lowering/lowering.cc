#include <fmt/format.h>
#include <lazuli/backends/cpu/host/shared_work.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/backends/cpu/program/chain.h>
#include <lazuli/backends/cpu/program/scheduled_graph.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/operations.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <limits>

namespace lazuli::cpu {
namespace {

StepKind kind_of(Op op) {
  if (is_product(op)) return StepKind::matmul;
  return op == Op::attention ? StepKind::attention : StepKind::other;
}

}  // namespace

Lowering::Lowering(const Graph& graph, std::span<const bool> donated, const Tools& tools)
    : graph_(graph), donated_(donated), tools_(tools) {}

Lowered Lowering::lower() {
  result_.outputs.resize(graph_.outputs.size());
  plan_products();
  plan_epilogues();
  find_roots();
  // A value that is a result of the graph, and no view of other memory, is computed where the caller wants it.
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const GraphNode& producer = graph_.node(graph_.outputs[i]);
    if (!is_view(producer.op) && !is_leaf(producer.op))
      output_index_.try_emplace(graph_.outputs[i], static_cast<int>(i));
  }
  for (std::size_t id = 0; id < graph_.nodes.size(); ++id) lower_node(static_cast<std::int32_t>(id));
  finish_outputs();
  for (Step& step : result_.steps) step.split = step.split && step.bytes >= tools_.split_bytes;
  if (tools_.fusion.enabled("row_chain"))
    chain_rows(result_, tools_.executor.size(), tools_.verdicts);
  else if (result_.steps.size() > 1)
    note("row_chain", {}, tools_.verdicts.reason_off("row_chain"));
  share_long_steps();
  describe_schedule(graph_, result_);
  return std::move(result_);
}

// Equal shares of what the memory bounds take unequal times, as caches happen to hold one or the other.
void Lowering::share_long_steps() {
  constexpr std::int64_t least_bytes = 1024 * 1024;
  for (Step& step : result_.steps)
    if (step.split && step.piece == 0 && step.kind == StepKind::other && step.bytes >= least_bytes)
      step.piece = piece_of(step.units, step.bytes);
}

void Lowering::find_roots() {
  constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();
  root_.resize(graph_.nodes.size());
  last_read_.assign(graph_.nodes.size(), -1);
  for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
    const GraphNode& current = graph_.nodes[id];
    const bool shares = is_view(current.op);
    root_[id] = shares ? root_[static_cast<std::size_t>(current.inputs[0].node)] : static_cast<std::int32_t>(id);
    if (shares) continue;
    // A linear in an epilogue's chain reads when the chain runs.
    const std::int64_t when = epilogue_of_[id] >= 0 ? epilogue_of_[id] : static_cast<std::int64_t>(id);
    for (ValueId input : current.inputs) {
      std::int64_t& last = last_read_[static_cast<std::size_t>(root_[static_cast<std::size_t>(input.node)])];
      last = std::max(last, when);
    }
  }
  for (ValueId output : graph_.outputs)
    last_read_[static_cast<std::size_t>(root_[static_cast<std::size_t>(output.node)])] = forever;
}

std::int64_t Lowering::last_reader_of_root(ValueId value) const {
  return last_read_[static_cast<std::size_t>(root_[static_cast<std::size_t>(value.node)])];
}

void Lowering::lower_node(std::int32_t id) {
  const GraphNode& current = node(id);
  if (lowered_[static_cast<std::size_t>(id)] || epilogue_of_[static_cast<std::size_t>(id)] >= 0) return;
  if (epilogues_.contains(id)) return lower_epilogue(id);
  if (is_leaf(current.op)) return lower_leaf(id);
  if (is_view(current.op)) return lower_view(id);
  if (is_elementwise(current.op) || current.op == Op::fused || current.op == Op::rms_norm) return lower_loop(id);
  if (is_reduction(current.op)) return lower_reduction(id);
  switch (current.op) {
    case Op::softmax:
      return lower_softmax(id);
    case Op::linear:
      return lower_linear(id);
    case Op::expert_linear:
      return lower_expert_linear(id);
    case Op::matmul:
      return lower_matmul(id);
    case Op::concatenate:
      return lower_concatenate(id);
    case Op::slice_update:
      return lower_slice_update(id);
    case Op::take:
      return lower_take(id);
    case Op::gather:
      return lower_gather(id);
    case Op::rope:
      return lower_rope(id);
    case Op::attention:
      return lower_attention(id);
    case Op::argmax:
      return lower_argmax(id);
    case Op::top_k:
      return lower_top_k(id);
    default:
      reject(id, "the cpu backend has no kernel for it");
  }
}

void Lowering::note(std::string_view fusion, const std::vector<std::int32_t>& nodes, std::string reason) const {
  if (!tools_.verdicts.note) return;
  Verdict verdict{std::string(fusion), reason.empty(), std::move(reason)};
  for (const std::int32_t id : nodes) {
    verdict.scope = verdict.node < 0 ? node(id).scope : common_scope(verdict.scope, node(id).scope);
    verdict.node = std::max(verdict.node, id);
    verdict.from = merge_sources(verdict.from, node(id).from);
  }
  tools_.verdicts.note(std::move(verdict));
}

void Lowering::reject(std::int32_t id, const std::string& why) const {
  const GraphNode& current = node(id);
  std::string operands;
  for (ValueId input : current.inputs) operands += (operands.empty() ? "" : ", ") + to_string(graph_.type(input));
  throw CompileError(
      fmt::format("cpu: %{} {}({}): {}{}", id, current.name(), operands, why, Scope::where(current.scope)));
}

void Lowering::lower_leaf(std::int32_t id) {
  const GraphNode& current = node(id);
  const Type& type = current.types[0];
  if (current.op == Op::input) {
    const int buffer = add_buffer(BufferKind::input, type, current.label);
    result_.buffers[static_cast<std::size_t>(buffer)].index = static_cast<int>(current.as<InputAttrs>().index);
    set_view({id, 0}, whole_buffer(buffer, type));
  } else if (current.op == Op::constant || current.op == Op::scalar) {
    if (current.op == Op::constant && !current.constant) reject(id, "the constant has no data");
    set_view({id, 0}, whole_buffer(add_constant(constant_data({id, 0}), type, current.label), type));
  } else {
    lower_generator(id);
  }
}

void Lowering::lower_view(std::int32_t id) {
  const GraphNode& current = node(id);
  const View& source = view(current.inputs[0]);
  std::optional<View> result = apply_view(current.op, current.attrs, source);
  if (!result) result = apply_view(current.op, current.attrs, copy_to_contiguous(source, id));
  set_view({id, 0}, std::move(*result));
}

int Lowering::add_buffer(BufferKind kind, Type type, std::string name) {
  BufferInfo buffer;
  buffer.kind = kind;
  buffer.bytes = type.bytes();
  buffer.type = std::move(type);
  buffer.name = std::move(name);
  result_.buffers.push_back(std::move(buffer));
  return static_cast<int>(result_.buffers.size()) - 1;
}

int Lowering::add_scratch(std::int64_t bytes, std::string name) {
  return add_buffer(BufferKind::arena, {DType::u8, {bytes}}, std::move(name));
}

int Lowering::add_constant(BufferRef data, Type type, std::string name) {
  const int buffer = add_buffer(BufferKind::constant, std::move(type), std::move(name));
  result_.buffers[static_cast<std::size_t>(buffer)].constant = std::move(data);
  return buffer;
}

View Lowering::new_array(Type type, std::string name) {
  return whole_buffer(add_buffer(BufferKind::arena, type, std::move(name)), type);
}

View Lowering::result_view(std::int32_t id, std::int32_t output) {
  const Type& type = node(id).types[static_cast<std::size_t>(output)];
  const auto found = output_index_.find({id, output});
  const bool is_output = found != output_index_.end();
  const int buffer =
      add_buffer(is_output ? BufferKind::output : BufferKind::arena, type, fmt::format("%{} {}", id, node(id).name()));
  if (is_output) {
    result_.buffers[static_cast<std::size_t>(buffer)].index = found->second;
    result_.outputs[static_cast<std::size_t>(found->second)].bytes = type.bytes();
  }
  View result = whole_buffer(buffer, type);
  set_view({id, output}, result);
  return result;
}

const View& Lowering::view(ValueId value) const {
  const auto found = views_.find(value);
  if (found == views_.end()) fail_internal("value %{}.{} is read before it is lowered", value.node, value.output);
  return found->second;
}

View Lowering::copy_to_contiguous(const View& source, std::int32_t id) {
  const View copy = new_array({source.dtype, source.shape}, fmt::format("%{} contiguous", id));
  lower_copy(id, source, copy);
  return copy;
}

View Lowering::contiguous_input(std::int32_t id, std::size_t operand) {
  const View& source = view(node(id).inputs[operand]);
  return source.contiguous() ? source : copy_to_contiguous(source, id);
}

View Lowering::converted_input(std::int32_t id, std::size_t operand, DType dtype) {
  const View& source = view(node(id).inputs[operand]);
  if (source.dtype == dtype) return contiguous_input(id, operand);
  const View converted = new_array({dtype, source.shape}, fmt::format("%{} {}", id, to_string(dtype)));
  lower_copy(id, source, converted);
  return converted;
}

Step& Lowering::add_step(std::int32_t id, std::string_view name, KernelUse kernel, std::vector<int> reads,
                         std::vector<int> writes) {
  const GraphNode& source = node(id);
  const bool same_op = name == source.name();
  Step step;
  step.described.op = same_op ? source.op : Op::fused;
  step.described.attrs = same_op ? source.attrs : Attrs(FusedAttrs{std::string(name)});
  step.described.scope = source.scope;
  step.described.from = source.from;
  step.described.body = same_op ? source.body : nullptr;
  for (const std::vector<int>* list : {&reads, &writes})
    for (int buffer : *list) step.bytes += result_.buffers[static_cast<std::size_t>(buffer)].bytes;
  for (int buffer : reads) {
    const BufferInfo& read = result_.buffers[static_cast<std::size_t>(buffer)];
    if (read.kind == BufferKind::constant) step.weight_bytes += read.bytes;
  }
  if (same_op) {
    step.operations = count_operations(graph_, source);
    step.kind = kind_of(source.op);
  }
  step.kernels.push_back(std::move(kernel));
  step.results = writes.size();
  step.reads = std::move(reads);
  step.writes = std::move(writes);
  result_.steps.push_back(std::move(step));
  return result_.steps.back();
}

void Lowering::divide_by_rows(Step& step, std::initializer_list<View> arrays, std::initializer_list<int> others,
                              std::int64_t rows, std::int64_t rows_at_once) const {
  std::vector<int> own(others);
  for (const View& array : arrays) {
    const BufferInfo& buffer = result_.buffers[static_cast<std::size_t>(array.buffer)];
    const bool whole =
        array.offset == 0 && array.contiguous() && byte_size(array.dtype, array.elements()) == buffer.bytes;
    if (whole) own.push_back(array.buffer);
  }
  step.rows = rows;
  step.by_rows = [=, run = step.run, units = step.units](std::int64_t extent) -> std::optional<Division> {
    if (extent != rows) return std::nullopt;
    return Division{rows, rows_at_once, own, [=](Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
                      run(memory, begin / rows_at_once, end == rows ? units : end / rows_at_once, worker);
                    }};
  };
}

BufferRef Lowering::constant_data(ValueId value) const {
  const GraphNode& current = graph_.node(value);
  if (current.op == Op::constant) return current.constant;
  const auto& [number, dtype] = current.as<ScalarAttrs>();
  BufferRef data = Buffer::allocate(8);
  store_scalar(number, dtype, data->data());
  return data;
}

void Lowering::finish_outputs() {
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const ValueId value = graph_.outputs[i];
    OutputPlacement& placement = result_.outputs[i];
    const Type& type = graph_.type(value);
    const View& source = view(value);
    const BufferInfo& buffer = result_.buffers[static_cast<std::size_t>(source.buffer)];
    placement.bytes = type.bytes();
    const bool whole = source.offset == 0 && source.contiguous() && buffer.bytes == type.bytes();
    if (whole && buffer.kind == BufferKind::output && buffer.index == static_cast<int>(i)) continue;
    if (whole && buffer.kind == BufferKind::input && donated_[static_cast<std::size_t>(buffer.index)]) {
      const bool taken = std::any_of(result_.outputs.begin(), result_.outputs.end(),
                                     [&](const OutputPlacement& other) { return other.donated_input == buffer.index; });
      if (!taken) {
        placement.donated_input = buffer.index;
        continue;
      }
    }
    const int copy = add_buffer(BufferKind::output, type, fmt::format("result {}", i));
    result_.buffers[static_cast<std::size_t>(copy)].index = static_cast<int>(i);
    lower_copy(value.node, source, whole_buffer(copy, type));
  }
}

}  // namespace lazuli::cpu
