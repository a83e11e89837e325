// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/program_builder.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/operations.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

StepKind kind_of(Op op) {
  if (is_product(op)) return StepKind::matmul;
  return op == Op::attention ? StepKind::attention : StepKind::other;
}

}  // namespace

ProgramBuilder::ProgramBuilder(const Graph& graph, std::span<const int> donated, const Tools& tools)
    : graph_(graph), donated_(donated), tools_(tools), dimensions_(dimensions_of(graph)) {
  for (const NamedSize& dimension : dimensions_) program_.bounds.push_back(dimension.bound);
  program_.outputs.resize(graph_.outputs.size());
  // A value that is a result of the graph, and no view of other memory, is computed where the caller wants it.
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const GraphNode& producer = graph_.node(graph_.outputs[i]);
    if (!lazuli::is_view(producer.op) && !is_leaf(producer.op))
      output_index_.try_emplace(graph_.outputs[i], static_cast<int>(i));
  }
}

ProgramBuilder::ProgramBuilder(const Graph& body, std::span<const int> donated, const Tools& tools,
                               ProgramBuilder& around)
    : ProgramBuilder(body, donated, tools) {
  around_ = &around;
  program_.buffers = std::move(around.program_.buffers);
  program_.weights = std::move(around.program_.weights);
  program_.number_uses = std::move(around.program_.number_uses);
  first_own_buffer_ = static_cast<int>(program_.buffers.size());
  // Nor need the elements of a result be copied in each iteration only because they have another shape there.
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    ValueId value = graph_.outputs[i];
    while (graph_.node(value).op == Op::reshape) value = graph_.node(value).inputs[0];
    const Op op = graph_.node(value).op;
    if (!lazuli::is_view(op) && !is_leaf(op)) output_index_.try_emplace(value, static_cast<int>(i));
  }
}

void ProgramBuilder::end_body() {
  around_->program_.buffers = std::move(program_.buffers);
  around_->program_.weights = std::move(program_.weights);
  around_->program_.number_uses = std::move(program_.number_uses);
}

Extent ProgramBuilder::extent(const Type& type, std::int64_t count) const {
  const int dimension = dimension_of(type, dimensions_);
  return {count, dimension, dimension < 0 ? 1 : bound_of(type)};
}

int ProgramBuilder::add_buffer(BufferKind kind, Type type, std::string name) {
  BufferInfo buffer;
  buffer.dimension = dimension_of(type, dimensions_);
  buffer.kind = kind;
  buffer.bytes = type.bytes();
  buffer.type = std::move(type);
  buffer.name = std::move(name);
  program_.buffers.push_back(std::move(buffer));
  return static_cast<int>(program_.buffers.size()) - 1;
}

int ProgramBuilder::add_scratch(std::int64_t bytes, std::string name) {
  const int index = add_buffer(BufferKind::arena, {DType::u8, {bytes}}, std::move(name));
  buffer(index).in_between = true;
  return index;
}

int ProgramBuilder::add_constant(BufferRef data, Type type, std::string name) {
  const int index = add_buffer(BufferKind::constant, std::move(type), std::move(name));
  buffer(index).constant = std::move(data);
  return index;
}

ProgramBuilder::PackedConstant ProgramBuilder::add_packed(const GraphNode& constant) {
  const int index = add_constant(nullptr, constant.type(), constant.label);
  WeightRequest request{constant, WeightForm::packed, index, std::make_unique<PackedWeightView>(), nullptr};
  program_.weights.push_back(std::move(request));
  return {index, program_.weights.back().packed.get()};
}

View ProgramBuilder::add_dequantised(const GraphNode& constant) {
  const Type type{DType::f32, constant.type().shape};
  const int index = add_constant(nullptr, type, constant.label);
  program_.weights.push_back({constant, WeightForm::dequantised, index, nullptr, nullptr});
  return whole_buffer(index, type);
}

View ProgramBuilder::new_array(Type type, std::string name) {
  const int index = add_buffer(BufferKind::arena, type, std::move(name));
  buffer(index).in_between = true;
  return whole_buffer(index, type);
}

View ProgramBuilder::result_view(std::int32_t id, std::int32_t output) {
  const Type& type = node(id).types[static_cast<std::size_t>(output)];
  const auto found = output_index_.find({id, output});
  const bool is_output = found != output_index_.end();
  const int index =
      add_buffer(is_output ? BufferKind::output : BufferKind::arena, type, fmt::format("%{} {}", id, node(id).name()));
  if (is_output) {
    buffer(index).index = found->second;
    program_.outputs[static_cast<std::size_t>(found->second)].bytes = type.bytes();
  }
  View result = whole_buffer(index, type);
  set_view({id, output}, result);
  return result;
}

bool ProgramBuilder::is_whole(const View& view) const {
  return view.offset == 0 && view.contiguous() && byte_size(view.dtype, view.elements()) == buffer(view.buffer).bytes;
}

const View& ProgramBuilder::view(ValueId value) const {
  const auto found = views_.find(value);
  if (found == views_.end()) fail_internal("value %{}.{} is read before it is lowered", value.node, value.output);
  return found->second;
}

Step& ProgramBuilder::add_step(std::int32_t id, std::string_view name, KernelUse kernel, std::vector<int> reads,
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
    for (int index : *list) step.bytes += buffer(index).bytes;
  for (int index : reads)
    if (buffer(index).kind == BufferKind::constant) step.weight_bytes += buffer(index).bytes;
  if (same_op) {
    step.operations = count_operations(graph_, source);
    step.kind = kind_of(source.op);
  }
  step.kernels.push_back(std::move(kernel));
  step.results = writes.size();
  step.reads = std::move(reads);
  step.writes = std::move(writes);
  program_.steps.push_back(std::move(step));
  return program_.steps.back();
}

void ProgramBuilder::divide_by_rows(Step& step, std::initializer_list<View> arrays, std::initializer_list<int> others,
                                    std::int64_t rows, std::int64_t rows_at_once) const {
  std::vector<int> own(others);
  for (const View& array : arrays)
    if (is_whole(array)) own.push_back(array.buffer);
  step.rows = rows;
  step.by_rows = [=, run = step.run, units = step.units](std::int64_t extent) -> std::optional<Division> {
    if (extent != rows) return std::nullopt;
    return Division{rows, rows_at_once, own, [=](Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
                      const std::int64_t last = end == rows ? units : (end + rows_at_once - 1) / rows_at_once;
                      run(memory, begin / rows_at_once, last, worker);
                    }};
  };
}

void ProgramBuilder::on_numbers(NumberUse use) {
  use({});
  program_.number_uses.push_back(std::move(use));
}

void ProgramBuilder::note(std::string_view fusion, const std::vector<std::int32_t>& nodes, std::string reason) const {
  if (!tools_.verdicts.note) return;
  Verdict verdict{std::string(fusion), reason.empty(), std::move(reason)};
  for (const std::int32_t id : nodes) {
    verdict.scope = verdict.node < 0 ? node(id).scope : common_scope(verdict.scope, node(id).scope);
    verdict.node = std::max(verdict.node, id);
    verdict.from = merge_sources(verdict.from, node(id).from);
  }
  tools_.verdicts.note(std::move(verdict));
}

void ProgramBuilder::reject(std::int32_t id, const std::string& why) const {
  const GraphNode& current = node(id);
  std::string operands;
  for (ValueId input : current.inputs) operands += (operands.empty() ? "" : ", ") + to_string(type(input));
  ErrorDetails details{.kind = ErrorKind::compile, .op = std::string(current.name()), .pass = "cpu"};
  if (!current.from.empty()) details.node = current.from.back().node;
  if (current.scope) details.scope = *current.scope;
  details.source = source_of(current.built_at);
  details.found = operands;
  throw CompileError(
      fmt::format("cpu: %{} {}({}): {}{}", id, current.name(), operands, why, Scope::where(current.scope)),
      std::move(details));
}

}  // namespace lazuli::cpu
