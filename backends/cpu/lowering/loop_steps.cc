// Elementwise ops, reductions, fused bodies and copies: everything the loop compiler generates code for.
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/loop_space.h>
#include <lazuli/backends/cpu/lowering/lowering.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Below this many elements a second thread costs more than it brings.
constexpr std::int64_t elements_worth_splitting = 16 * 1024;
// Columns of one call where rows alone do not divide the work.
constexpr std::int64_t columns_per_unit = 4096;

// A body without views: what is left to compute, over operands that are windows onto memory.
struct Core {
  Graph body;
  std::vector<View> operands;  // body inputs, then body outputs
};

// Takes the views at the edges of a body away: views of operands become operand windows, a concatenation of results
// becomes windows of the result.
class CoreBuilder {
 public:
  CoreBuilder(const Graph& body, std::span<const View> operands, std::span<const View> results)
      : body_(body), operands_(operands), results_(results) {}

  Core build() {
    for (std::size_t id = 0; id < body_.nodes.size(); ++id) visit(static_cast<std::int32_t>(id));
    for (std::size_t output = 0; output < body_.outputs.size(); ++output)
      emit_output(body_.outputs[output], results_[output]);
    for (View& target : targets_) core_.operands.push_back(std::move(target));
    return std::move(core_);
  }

 private:
  const GraphNode& node(ValueId value) const { return body_.node(value); }

  void visit(std::int32_t id) {
    const ValueId value{id, 0};
    const GraphNode& current = node(value);
    if (current.op == Op::input) {
      windows_[value] = operands_[static_cast<std::size_t>(current.as<InputAttrs>().index)];
    } else if (is_view(current.op) && windows_.contains(current.inputs[0])) {
      const std::optional<View> window = apply_view(current.op, current.attrs, windows_.at(current.inputs[0]));
      if (!window) throw CompileError(fmt::format("cpu: %{} {} in a fused body needs a copy", id, current.name()));
      windows_[value] = *window;
    } else if (current.op == Op::reshape || current.op == Op::concatenate) {
      return;  // of computed values: results only, see emit_output
    } else {
      GraphNode copy = current;
      for (ValueId& input : copy.inputs) input = computed(input);
      values_[value] = core_.body.add(std::move(copy));
    }
  }

  // The core value of a body value; windows become core inputs when first read.
  ValueId computed(ValueId value) {
    const auto found = values_.find(value);
    if (found != values_.end()) return found->second;
    const auto window = windows_.find(value);
    if (window == windows_.end()) {
      if (node(value).op == Op::reshape) return computed(node(value).inputs[0]);
      throw CompileError(fmt::format("cpu: {} cannot stand inside a fused body", node(value).name()));
    }
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(core_.operands.size())};
    input.types = {{window->second.dtype, window->second.shape}};
    core_.operands.push_back(window->second);
    return values_[value] = core_.body.add(std::move(input));
  }

  void emit_output(ValueId root, const View& root_target) {
    std::vector<std::pair<ValueId, View>> pending{{root, root_target}};
    while (!pending.empty()) {
      auto [value, target] = std::move(pending.back());
      pending.pop_back();
      const GraphNode& current = node(value);
      const bool is_computed = !windows_.contains(value);
      if (is_computed && current.op == Op::concatenate) {
        const auto axis = static_cast<int>(current.as<AxisAttrs>().axis);
        std::int64_t begin = 0;
        for (ValueId part : current.inputs) {
          const std::int64_t size = body_.type(part).shape[static_cast<std::size_t>(axis)];
          pending.emplace_back(part, slice_view(target, axis, begin, begin + size));
          begin += size;
        }
      } else if (is_computed && current.op == Op::reshape) {
        const std::optional<View> reshaped =
            apply_view(Op::reshape, ReshapeAttrs{body_.type(current.inputs[0]).shape}, target);
        if (!reshaped) throw CompileError("cpu: a result of a fused body cannot be reshaped in place");
        pending.emplace_back(current.inputs[0], *reshaped);
      } else {
        core_.body.outputs.push_back(computed(value));
        targets_.push_back(std::move(target));
      }
    }
  }

  const Graph& body_;
  std::span<const View> operands_, results_;
  Core core_;
  std::vector<View> targets_;
  std::map<ValueId, View> windows_;
  std::map<ValueId, ValueId> values_;
};

bool has_reduction(const Graph& body) {
  return std::any_of(body.nodes.begin(), body.nodes.end(), [](const GraphNode& node) { return is_reduction(node.op); });
}

// The loop compiler sees only whether a value is full or narrow (loop_kernel.h): full types get 2 columns, narrow
// ones 1. Without reductions an operand is narrow when it does not move along the columns; with them its shape decides,
// since a reduction over a broadcast operand still counts every column.
void classify(Core& core, const LoopSpace& space, const Shape& shape, bool reduces) {
  const bool single_column = space.columns() == 1;
  std::vector<bool> full(core.body.nodes.size());
  for (std::size_t id = 0; id < core.body.nodes.size(); ++id) {
    GraphNode& node = core.body.nodes[id];
    if (node.op == Op::input) {
      const auto operand = static_cast<std::size_t>(node.as<InputAttrs>().index);
      full[id] = reduces ? !node.type().shape.empty() && node.type().shape.back() == shape.back()
                         : space.column_stride(operand) != 0;
    } else if (node.op == Op::broadcast_to) {
      full[id] = full[static_cast<std::size_t>(node.inputs[0].node)] ||
                 (reduces && !node.type().shape.empty() && node.type().shape.back() == shape.back());
      node.attrs = ReshapeAttrs{{full[id] && !single_column ? 2 : 1}};
    } else if (is_reduction(node.op)) {
      full[id] = false;
      node.attrs = ReduceAttrs{{0}, true};
    } else {
      for (ValueId input : node.inputs) full[id] = full[id] || full[static_cast<std::size_t>(input.node)];
    }
    if (single_column) full[id] = false;
    if (node.op != Op::scalar) node.types[0].shape = {full[id] ? 2 : 1};
  }
  // A narrow value stored into every column of a result has to be spread out first.
  for (std::size_t output = 0; output < core.body.outputs.size(); ++output) {
    ValueId& value = core.body.outputs[output];
    const std::size_t operand = core.operands.size() - core.body.outputs.size() + output;
    if (full[static_cast<std::size_t>(value.node)] || space.column_stride(operand) == 0) continue;
    GraphNode spread;
    spread.op = Op::broadcast_to;
    spread.attrs = ReshapeAttrs{{2}};
    spread.inputs = {value};
    spread.types = {{core.body.type(value).dtype, {2}}};
    value = core.body.add(std::move(spread));
    full.push_back(true);
  }
}

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

// Of one generated loop; the fusion passes stay far below.
constexpr std::size_t most_operands = 128;

// An operand before its buffer has an address.
struct PlacedOperand {
  LoopOperand strides;
  std::int64_t offset = 0;  // in bytes
  int buffer = -1;
  int element_bytes = 0;
};

// One call of a generated loop, and how it divides: by rows, or by pieces of its columns where there are few rows and
// no reduction runs along them.
struct LoopCall {
  LoopFunction function = nullptr;
  std::int64_t pieces = 1;      // of the columns
  std::int64_t inner_rows = 1;  // of one call of the function
  std::int64_t outer_sizes[loop_outer_dims] = {1, 1, 1};
  // What a run reads of each operand; everything else would be fetched from memory again for every layer.
  std::vector<PlacedOperand> placed;
  std::vector<View> operands;
  LoopSpace space;

  LoopCall(LoopFunction code, std::vector<View> views, LoopSpace iterated)
      : function(code), operands(std::move(views)), space(std::move(iterated)) {
    for (std::size_t axis = first_inner(); axis + 1 < space.sizes.size(); ++axis) {
      outer_sizes[inner_place(axis)] = space.sizes[axis];
      inner_rows *= space.sizes[axis];
    }
    for (std::size_t i = 0; i < operands.size(); ++i) placed.push_back(place(i));
  }

  std::int64_t rows() const { return space.rows(); }

  void operator()(const Memory& memory, std::int64_t begin, std::int64_t end) const {
    if (pieces == 1) return run(memory, begin, end, 0, space.columns());
    while (begin < end) {
      const std::int64_t row = begin / pieces, piece = begin % pieces;
      const std::int64_t stop = std::min(end, (row + 1) * pieces);
      run(memory, row, row + 1, piece * columns_per_unit,
          std::min(space.columns(), (piece + stop - begin) * columns_per_unit));
      begin = stop;
    }
  }

  void run(const Memory& memory, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
           std::int64_t column_end) const {
    constexpr std::size_t usual_operands = 16;  // setting up room for the most would take longer than a short loop
    if (placed.size() <= usual_operands)
      run_in_room_for<usual_operands>(memory, row_begin, row_end, column_begin, column_end);
    else
      run_in_room_for<most_operands>(memory, row_begin, row_end, column_begin, column_end);
  }

 private:
  // The outer axes that the function knows are the last ones; those before them are counted here.
  std::size_t first_inner() const {
    const std::size_t outer = space.sizes.size() - 1;
    return outer > loop_outer_dims ? outer - loop_outer_dims : 0;
  }
  std::size_t inner_place(std::size_t axis) const { return loop_outer_dims + 1 + axis - space.sizes.size(); }

  PlacedOperand place(std::size_t i) const {
    const Dims& strides = space.strides[i];
    PlacedOperand operand;
    operand.buffer = operands[i].buffer;
    operand.element_bytes = info(operands[i].dtype).block_bytes;
    operand.offset = operands[i].offset * operand.element_bytes;
    operand.strides.column_stride = strides.back();
    for (std::size_t axis = first_inner(); axis + 1 < strides.size(); ++axis)
      operand.strides.outer_strides[inner_place(axis)] = strides[axis];
    return operand;
  }

  template <std::size_t room>
  void run_in_room_for(const Memory& memory, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                       std::int64_t column_end) const {
    LoopOperand at[room];
    LoopArguments arguments;
    arguments.columns = column_end - column_begin;
    std::copy(std::begin(outer_sizes), std::end(outer_sizes), arguments.outer_sizes);
    arguments.operands = at;
    while (row_begin < row_end) {
      const std::int64_t block = row_begin / inner_rows;
      const std::int64_t stop = std::min(row_end, (block + 1) * inner_rows);
      for (std::size_t i = 0; i < placed.size(); ++i) {
        const PlacedOperand& operand = placed[i];
        const std::int64_t elements = column_begin * operand.strides.column_stride + outermost_offset(i, block);
        at[i] = operand.strides;
        at[i].base = memory.base(operand.buffer) + operand.offset + elements * operand.element_bytes;
        at[i].prefetch_distance = prefetch_distance(operand, arguments.columns);
      }
      function(&arguments, row_begin - block * inner_rows, stop - block * inner_rows);
      row_begin = stop;
    }
  }

  // To what is next after so many bytes of work: further along the row, or in a row to come where rows are pieces of
  // longer ones.
  std::int64_t prefetch_distance(const PlacedOperand& operand, std::int64_t columns) const {
    constexpr std::int64_t work_ahead = 2048;
    const std::int64_t piece = columns * operand.element_bytes;
    const std::int64_t row = operand.strides.outer_strides[loop_outer_dims - 1] * operand.element_bytes;
    if (outer_sizes[loop_outer_dims - 1] == 1 || row == 0 || row == piece) return work_ahead;
    return (work_ahead + piece - 1) / piece * row;
  }

  // Of the axes that are counted here, in elements.
  std::int64_t outermost_offset(std::size_t i, std::int64_t block) const {
    std::int64_t offset = 0;
    for (std::size_t axis = block == 0 ? 0 : first_inner(); axis-- > 0;) {
      offset += block % space.sizes[axis] * space.strides[i][axis];
      block /= space.sizes[axis];
    }
    return offset;
  }
};

// Whether parts of the loop's rows are parts of the operand's memory: it is a whole buffer, element after element,
// which holds one value for each element of the loop, or for each row.
bool is_own(const LoopCall& call, std::size_t i, const BufferInfo& buffer) {
  const View& operand = call.operands[i];
  const Dims& strides = call.space.strides[i];
  std::int64_t expected = 1;
  for (std::size_t axis = strides.size(); axis-- > 0;) {
    const bool narrow = axis + 1 == strides.size() && strides[axis] == 0;
    if (call.space.sizes[axis] == 1 || narrow) continue;
    if (strides[axis] != expected) return false;
    expected *= call.space.sizes[axis];
  }
  return operand.offset == 0 && byte_size(operand.dtype, expected) == buffer.bytes;
}

// The loop cut into equal parts of its rows, or of its columns where it has been flattened into one row.
std::optional<Division> divide_rows(const std::shared_ptr<const LoopCall>& call, bool flattened, std::vector<int> own,
                                    std::int64_t extent) {
  const std::int64_t size = flattened ? call->space.columns() : call->rows();
  if (size % extent != 0) return std::nullopt;
  const std::int64_t part = size / extent;
  return Division{extent, 1, std::move(own), [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
                    if (flattened)
                      call->run(memory, 0, 1, begin * part, end * part);
                    else
                      call->run(memory, begin * part, end * part, 0, call->space.columns());
                  }};
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

}  // namespace

void Lowering::add_loop(std::int32_t id, const Graph& body, std::span<const View> operands,
                        std::span<const View> results, Division* by_columns) {
  Core core = CoreBuilder(body, operands, results).build();
  if (core.operands.size() > most_operands)
    reject(id, fmt::format("{} operands and results in one fused body; expected at most {}", core.operands.size(),
                           most_operands));
  const bool reduces = has_reduction(core.body);
  Shape shape;
  for (const GraphNode& current : core.body.nodes) shape = broadcast_shapes(shape, current.type().shape, "fused");
  // Sizes of 1 keep the columns of a reduction: its operands are full there or not at all.
  LoopSpace space = make_loop_space(shape.empty() ? Shape{1} : shape, core.operands, reduces || by_columns);
  classify(core, space, shape.empty() ? Shape{1} : shape, reduces);
  const LoopKernel& kernel = tools_.loops.compile(core.body, column_access(space), node(id).name());
  LoopCall call(kernel.function, core.operands, std::move(space));
  const std::int64_t elements = element_count(call.space.sizes);
  if (!reduces && call.rows() < 64 && call.space.columns() > columns_per_unit)
    call.pieces = (call.space.columns() + columns_per_unit - 1) / columns_per_unit;

  std::vector<int> reads, writes;
  const std::size_t inputs = core.operands.size() - core.body.outputs.size();
  for (std::size_t i = 0; i < core.operands.size(); ++i) {
    std::vector<int>& list = i < inputs ? reads : writes;
    if (std::find(list.begin(), list.end(), core.operands[i].buffer) == list.end())
      list.push_back(core.operands[i].buffer);
  }
  if (elements == 0) return;
  Step& step = add_step(id, node(id).name(), {kernel.name, kernel.isa}, std::move(reads), std::move(writes));
  step.units = call.rows() * call.pieces;
  step.split = elements >= elements_worth_splitting && step.units > 1;
  step.rows = shape.size() > 1 ? shape[0] : 0;
  const auto shared = std::make_shared<const LoopCall>(std::move(call));
  step.run = [shared](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    (*shared)(memory, begin, end);
  };
  std::vector<int> own, others;
  for (std::size_t i = 0; i < shared->operands.size(); ++i) {
    const int buffer = shared->operands[i].buffer;
    (is_own(*shared, i, result_.buffers[static_cast<std::size_t>(buffer)]) ? own : others).push_back(buffer);
  }
  // One operand may look at its own rows of a buffer, and another at all of it.
  std::erase_if(own, [&](int buffer) { return std::find(others.begin(), others.end(), buffer) != others.end(); });
  const bool flattened = !reduces && shared->rows() == 1;
  step.by_rows = [=](std::int64_t extent) { return divide_rows(shared, flattened, own, extent); };
  if (by_columns)
    *by_columns = {shared->space.columns(), 1, {}, [shared](Memory& memory, std::int64_t begin, std::int64_t end, int) {
                     shared->run(memory, 0, shared->rows(), begin, end);
                   }};
}

// What the node computes, as a body of its operands. Scalars become part of the code.
Graph Lowering::loop_body(std::int32_t id) const {
  const GraphNode& current = node(id);
  if (current.op == Op::fused) {
    if (!current.body) reject(id, "a fused node without a body");
    return *current.body;
  }
  std::vector<Type> types;
  for (ValueId input : current.inputs) types.push_back(graph_.type(input));
  if (current.op == Op::rms_norm) return decomposition(current.op, current.attrs, types);
  Graph body = single_op_body(current, types);
  for (std::size_t i = 0; i < current.inputs.size(); ++i) {
    const GraphNode& operand = graph_.node(current.inputs[i]);
    if (operand.op != Op::scalar) continue;
    body.nodes[i].op = Op::scalar;
    body.nodes[i].attrs = operand.attrs;
  }
  return body;
}

void Lowering::lower_loop(std::int32_t id) {
  const GraphNode& current = node(id);
  std::vector<View> operands, results;
  for (ValueId input : current.inputs) operands.push_back(view(input));
  for (std::size_t output = 0; output < current.types.size(); ++output)
    results.push_back(result_view(id, static_cast<std::int32_t>(output)));
  lower_body(id, loop_body(id), operands, results);
}

void Lowering::lower_copy(std::int32_t id, const View& source, const View& target) {
  if (is_quantised(source.dtype)) return lower_copy(id, as_bytes(source), as_bytes(target));
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
  const std::size_t before = result_.steps.size();
  lower_body(id, body, {&source, 1}, {&target, 1});
  if (result_.steps.size() == before) return;
  GraphNode& described = result_.steps.back().described;
  described.op = Op::fused;
  described.attrs = FusedAttrs{"copy"};
  described.body = nullptr;
}

// A reduction along any axes: the operand seen with those axes last, as one.
void Lowering::lower_reduction(std::int32_t id) {
  const GraphNode& current = node(id);
  const Dims& axes = current.as<ReduceAttrs>().axes;
  View source = view(current.inputs[0]);
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
  if (!flat) flat = apply_view(Op::reshape, ReshapeAttrs{shape}, copy_to_contiguous(permuted, id));

  GraphNode reduction = current;
  reduction.attrs = ReduceAttrs{{static_cast<std::int64_t>(kept.size())}, true};
  Shape narrow = kept;
  narrow.push_back(1);
  reduction.types = {{source.dtype, narrow}};
  View result = result_view(id);
  const View target = *apply_view(Op::reshape, ReshapeAttrs{narrow}, result);
  const Type type{flat->dtype, flat->shape};
  lower_body(id, single_op_body(reduction, {&type, 1}), {&*flat, 1}, {&target, 1});
}

void Lowering::lower_softmax(std::int32_t id) {
  const GraphNode& current = node(id);
  const View source = view(current.inputs[0]);
  const auto axis = static_cast<std::size_t>(current.as<AxisAttrs>().axis);
  Dims permutation(source.shape.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<std::int64_t>(i);
  std::swap(permutation[axis], permutation.back());
  const View operand = *apply_view(Op::transpose, TransposeAttrs{permutation}, source);
  const View target = *apply_view(Op::transpose, TransposeAttrs{permutation}, result_view(id));
  const Type type{operand.dtype, operand.shape};
  const AxisAttrs last{static_cast<std::int64_t>(permutation.size()) - 1};
  lower_body(id, decomposition(Op::softmax, last, {&type, 1}), {&operand, 1}, {&target, 1});
}

}  // namespace lazuli::cpu
