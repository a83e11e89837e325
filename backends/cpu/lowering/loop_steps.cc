// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/column_reduction_steps.h>
#include <lazuli/backends/cpu/lowering/loop_call.h>
#include <lazuli/backends/cpu/lowering/loop_core.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/graph/numbers.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

std::vector<ColumnAccess> column_access(const LoopSpace& space) {
  std::vector<ColumnAccess> access;
  for (std::size_t operand = 0; operand < space.strides.size(); ++operand) {
    const std::int64_t stride = space.column_stride(operand);
    access.push_back(stride == 0   ? ColumnAccess::broadcast
                     : stride == 1 ? ColumnAccess::contiguous
                                   : ColumnAccess::strided);
  }
  return access;
}

Graph single_op_body(const GraphNode& node, std::span<const Type> operands) {
  Graph body;
  GraphNode op;
  op.op = node.op;
  op.attrs = node.attrs;
  op.types = node.types;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(i)};
    input.types = {operands[i]};
    op.inputs.push_back(body.add(std::move(input)));
  }
  body.outputs = {body.add(std::move(op))};
  return body;
}

// Their buffers, each once.
std::vector<int> buffers_of(std::span<const View> operands) {
  std::vector<int> buffers;
  for (const View& operand : operands)
    if (std::find(buffers.begin(), buffers.end(), operand.buffer) == buffers.end()) buffers.push_back(operand.buffer);
  return buffers;
}

// The buffers of which a range of the loop's rows touches its own range and nothing else. One operand may look at its
// own rows of a buffer, and another at all of it.
std::vector<int> own_buffers(const ProgramBuilder& builder, const LoopCall& call) {
  std::vector<int> own, others;
  for (std::size_t i = 0; i < call.operands().size(); ++i) {
    const int buffer = call.operands()[i].buffer;
    (call.follows_rows(i, builder.buffer(buffer)) ? own : others).push_back(buffer);
  }
  std::erase_if(own, [&](int buffer) { return std::find(others.begin(), others.end(), buffer) != others.end(); });
  return own;
}

// The numbers of a loop, which follow those of each run.
RunNumbers run_numbers(ProgramBuilder& builder, const Graph& body) {
  std::vector<ScalarAttrs> scalars = loop_numbers(body);
  auto numbers = std::make_shared<std::vector<std::uint64_t>>(scalars.size());
  if (!scalars.empty())
    builder.on_numbers([numbers, scalars = std::move(scalars)](std::span<const double> values) {
      for (std::size_t i = 0; i < scalars.size(); ++i)
        (*numbers)[i] = loop_number(value_of(scalars[i].value, values), scalars[i].dtype);
    });
  return numbers;
}

struct CompiledLoop {
  KernelUse kernel;
  LoopCall call;
};

// `keep_columns`: the last axis stays the columns, whatever it could be joined with.
CompiledLoop compile_loop(ProgramBuilder& builder, std::int32_t id, LoopCore& core, bool keep_columns) {
  if (core.operands.size() > LoopCall::max_operands)
    builder.reject(id, fmt::format("{} operands and results in one fused body; expected at most {}",
                                   core.operands.size(), LoopCall::max_operands));
  // Sizes of 1 keep the columns of a reduction: its operands are full there or not at all.
  LoopSpace space = make_loop_space(core.shape, core.operands, core.reduces || keep_columns);
  mark_full_and_narrow(core, space);
  const LoopKernel& kernel = builder.tools().loops.compile(core.body, column_access(space), builder.node(id).name());
  return {{kernel.name, kernel.isa},
          {kernel.function, core.operands, std::move(space), run_numbers(builder, core.body)}};
}

// The step of a loop, and the loop; null where there are no elements.
std::shared_ptr<const LoopCall> add_loop_step(ProgramBuilder& builder, std::int32_t id, LoopCore core,
                                              bool keep_columns) {
  auto [kernel, loop] = compile_loop(builder, id, core, keep_columns);
  if (loop.elements() == 0) return nullptr;
  if (!core.reduces) loop.divide_columns();
  const auto call = std::make_shared<const LoopCall>(std::move(loop));
  const std::span<const View> operands = call->operands();
  const std::size_t inputs = operands.size() - core.body.outputs.size();
  Step& step = builder.add_step(id, builder.node(id).name(), std::move(kernel), buffers_of(operands.first(inputs)),
                                buffers_of(operands.subspan(inputs)));
  step.units = call->units();
  step.split = step.units > 1 && worth_splitting(call->bytes(), step.operations);
  step.rows = core.shape.size() > 1 ? core.shape[0] : 0;
  step.run = [call](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    call->run_units(memory, begin, end);
  };
  const bool flattened = !core.reduces && call->rows() == 1;
  step.by_rows = [call, flattened, own = own_buffers(builder, *call)](std::int64_t extent) {
    return divide_rows(call, flattened, own, extent);
  };
  return call;
}

// The step of a reduction over a named axis: its columns are the rows of the run. No chain takes it, as the loop has
// another size in each.
void add_reduction_over_rows(ProgramBuilder& builder, std::int32_t id, LoopCore core, const View& source,
                             const View& target) {
  auto [kernel, loop] = compile_loop(builder, id, core, true);
  if (loop.elements() == 0) return;
  const auto call = std::make_shared<const LoopCall>(std::move(loop));
  const Extent rows = builder.extent(builder.type(builder.node(id).inputs[0]), call->columns());
  Run by_columns = [call, rows](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    call->run(memory, begin, end, 0, memory.now(rows));
  };
  if (add_column_reduction(builder, id, source, target, rows, by_columns)) {
    add_kernel(builder.program().steps.back().kernels, kernel);
    return;
  }
  Step& step = builder.add_step(id, builder.node(id).name(), std::move(kernel), {source.buffer}, {target.buffer});
  step.units = call->rows();
  step.split = step.units > 1 && worth_splitting(call->bytes(), step.operations);
  step.run = std::move(by_columns);
}

}  // namespace

void add_loop(ProgramBuilder& builder, std::int32_t id, const Graph& body, std::span<const View> operands,
              std::span<const View> results) {
  add_loop_step(builder, id, make_loop_core(body, operands, results), false);
}

Division add_column_loop(ProgramBuilder& builder, std::int32_t id, const Graph& body, std::span<const View> operands,
                         std::span<const View> results) {
  const auto call = add_loop_step(builder, id, make_loop_core(body, operands, results), true);
  if (!call) return {};
  const Extent rows = builder.extent(id, call->rows());
  return {call->columns(), 1, {}, [call, rows](Memory& memory, std::int64_t begin, std::int64_t end, int) {
            call->run(memory, 0, memory.now(rows), begin, end);
          }};
}

Graph loop_body(const ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  if (current.op == Op::fused) {
    if (!current.body) builder.reject(id, "a fused node without a body");
    return *current.body;
  }
  std::vector<Type> types;
  for (ValueId input : current.inputs) types.push_back(builder.type(input));
  if (is_rowwise(current.op)) return decomposition(current.op, current.attrs, types);
  Graph body = single_op_body(current, types);
  for (std::size_t i = 0; i < current.inputs.size(); ++i) {
    const GraphNode& operand = builder.graph().node(current.inputs[i]);
    if (operand.op != Op::scalar) continue;
    body.nodes[i].op = Op::scalar;
    body.nodes[i].attrs = operand.attrs;
  }
  return body;
}

void lower_loop(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  std::vector<View> operands, results;
  for (ValueId input : current.inputs) operands.push_back(builder.view(input));
  for (std::size_t output = 0; output < current.types.size(); ++output)
    results.push_back(builder.result_view(id, static_cast<std::int32_t>(output)));
  add_loop(builder, id, loop_body(builder, id), operands, results);
}

void lower_copy(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target) {
  if (is_quantised(source.dtype)) return lower_copy(builder, id, as_bytes(source), as_bytes(target));
  Graph body;
  GraphNode input, cast;
  input.op = Op::input;
  input.attrs = InputAttrs{0};
  input.types = {{source.dtype, source.shape}};
  cast.inputs = {body.add(std::move(input))};
  cast.op = Op::cast;
  cast.attrs = CastAttrs{target.dtype};
  cast.types = {{target.dtype, target.shape}};
  body.outputs = {body.add(std::move(cast))};
  if (!add_loop_step(builder, id, make_loop_core(body, {&source, 1}, {&target, 1}), false)) return;
  GraphNode& described = builder.program().steps.back().described;
  described.op = Op::fused;
  described.attrs = FusedAttrs{"copy"};
  described.body = nullptr;
}

View copy_to_contiguous(ProgramBuilder& builder, const View& source, std::int32_t id) {
  const View copy = builder.new_array({source.dtype, source.shape}, fmt::format("%{} contiguous", id));
  lower_copy(builder, id, source, copy);
  return copy;
}

View contiguous_input(ProgramBuilder& builder, std::int32_t id, std::size_t index) {
  const View source = builder.operand(id, index);
  return source.contiguous() ? source : copy_to_contiguous(builder, source, id);
}

View converted_input(ProgramBuilder& builder, std::int32_t id, std::size_t index, DType dtype) {
  const View source = builder.operand(id, index);
  if (source.dtype == dtype) return contiguous_input(builder, id, index);
  const View converted = builder.new_array({dtype, source.shape}, fmt::format("%{} {}", id, to_string(dtype)));
  lower_copy(builder, id, source, converted);
  return converted;
}

// A reduction along any axes: the operand seen with those axes last, as one.
void lower_reduction(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const Dims& axes = current.as<ReduceAttrs>().axes;
  View source = builder.view(current.inputs[0]);
  Dims permutation, kept;
  std::int64_t reduced = 1;
  for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(source.shape.size()); ++axis) {
    if (std::binary_search(axes.begin(), axes.end(), axis)) {
      reduced *= source.shape[static_cast<std::size_t>(axis)];
    } else {
      permutation.push_back(axis);
      kept.push_back(source.shape[static_cast<std::size_t>(axis)]);
    }
  }
  permutation.insert(permutation.end(), axes.begin(), axes.end());
  Shape shape = kept;
  shape.push_back(reduced);
  const View permuted = *apply_view(Op::transpose, TransposeAttrs{permutation}, source);
  std::optional<View> flat = apply_view(Op::reshape, ReshapeAttrs{shape}, permuted);
  if (!flat) flat = apply_view(Op::reshape, ReshapeAttrs{shape}, copy_to_contiguous(builder, permuted, id));

  GraphNode reduction = current;
  reduction.attrs = ReduceAttrs{{static_cast<std::int64_t>(kept.size())}, true};
  Shape narrow = kept;
  narrow.push_back(1);
  reduction.types = {{source.dtype, narrow}};
  const View target = *apply_view(Op::reshape, ReshapeAttrs{narrow}, builder.result_view(id));
  const NamedAxis& named = builder.type(current.inputs[0]).named;
  const bool over_rows = named && std::binary_search(axes.begin(), axes.end(), std::int64_t{named.axis});
  if (!over_rows && add_column_reduction(builder, id, *flat, target)) return;
  const Type type{flat->dtype, flat->shape};
  const Graph body = single_op_body(reduction, {&type, 1});
  if (over_rows)
    add_reduction_over_rows(builder, id, make_loop_core(body, {&*flat, 1}, {&target, 1}), *flat, target);
  else
    add_loop(builder, id, body, {&*flat, 1}, {&target, 1});
}

void lower_softmax(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = builder.view(current.inputs[0]);
  const auto axis = static_cast<std::size_t>(current.as<AxisAttrs>().axis);
  Dims permutation(source.shape.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<std::int64_t>(i);
  std::swap(permutation[axis], permutation.back());
  const View operand = *apply_view(Op::transpose, TransposeAttrs{permutation}, source);
  const View target = *apply_view(Op::transpose, TransposeAttrs{permutation}, builder.result_view(id));
  const Type type{operand.dtype, operand.shape};
  const AxisAttrs last{static_cast<std::int64_t>(permutation.size()) - 1};
  add_loop(builder, id, decomposition(current.op, last, {&type, 1}), {&operand, 1}, {&target, 1});
}

}  // namespace lazuli::cpu
