// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/column_reduction_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// A column has the lanes, the blocks and the tree of a loop's reduction (loop_kernel.h), so its bits do not tell how it
// was computed. The lanes of a tile of columns are rows of scratch memory, to which rows of the source are added by 16.
constexpr std::int64_t lanes = 16;
constexpr std::int64_t max_tile = 256;  // columns: the lanes of f64, 32 KB, stay in the first cache
constexpr std::int64_t min_tile = 32;   // of a row, two lines of memory

// Of rows that are reduced: whether their sums have a second one.
bool has_blocks(std::int64_t rows) { return rows / lanes * lanes > longest_single_sum; }

DType lane_dtype(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype; }

Op combining(Op reduction) {
  switch (reduction) {
    case Op::sum:
    case Op::mean:
      return Op::add;
    case Op::prod:
      return Op::mul;
    case Op::max:
      return Op::maximum;
    case Op::min:
      return Op::minimum;
    case Op::any:
      return Op::logical_or;
    default:
      return Op::logical_and;
  }
}

// Bodies of values with an element a column.
class TileBody {
 public:
  ValueId input(DType dtype) { return add(Op::input, InputAttrs{inputs_++}, {}, dtype); }
  ValueId as(ValueId value, DType dtype) { return add(Op::cast, CastAttrs{dtype}, {value}, dtype); }
  ValueId combine(Op op, ValueId a, ValueId b) { return add(op, NoAttrs{}, {a, b}, body_.type(a).dtype); }
  // A number that the call brings.
  ValueId divide_by_number(ValueId value) {
    const DType dtype = body_.type(value).dtype;
    GraphNode scalar;
    scalar.op = Op::scalar;
    Number number_of_run = 1.0;
    number_of_run.slot = 0;
    scalar.attrs = ScalarAttrs{number_of_run, dtype};
    scalar.types = {{dtype, {}}};
    const ValueId number = body_.add(std::move(scalar));
    return add(Op::div, NoAttrs{}, {value, number}, dtype);
  }

  LoopFunction compile(ProgramBuilder& builder, ValueId result, std::string_view name,
                       std::vector<KernelUse>& kernels) {
    body_.outputs = {result};
    const std::vector<ColumnAccess> access(static_cast<std::size_t>(inputs_) + 1, ColumnAccess::contiguous);
    const LoopKernel& kernel = builder.tools().loops.compile(body_, access, name);
    kernels.emplace_back(kernel.name, kernel.isa);
    return kernel.function;
  }

 private:
  ValueId add(Op op, Attrs attrs, std::vector<ValueId> operands, DType dtype) {
    GraphNode node;
    node.op = op;
    node.attrs = std::move(attrs);
    node.inputs = std::move(operands);
    node.types = {{dtype, {2}}};  // what the loop compiler takes for columns
    return body_.add(std::move(node));
  }

  Graph body_;
  std::int64_t inputs_ = 0;
};

struct ColumnReduction {
  View source, target;
  std::int64_t columns, row_stride, lanes_used, tile, tiles;
  int element_bytes;
  DType lane;
  bool is_mean;
  LoopFunction start, accumulate, finish;
  LoopFunction end_first_block, end_block, finish_blocks;  // null where there are no blocks
  Extent rows;                                             // that are reduced
  Run few;                                                 // of less than lanes_used

  void run(Memory& memory, std::int64_t unit, int worker) const;
  void run_tile(std::byte* from, std::byte* to, std::int64_t width, std::int64_t row_count) const;
};

void compile_kernels(ProgramBuilder& builder, const GraphNode& node, ColumnReduction& reduction,
                     std::vector<KernelUse>& kernels) {
  const DType dtype = reduction.source.dtype, lane = lane_dtype(dtype);
  const Op combine = combining(node.op);
  TileBody start, accumulate, finish;
  reduction.start = start.compile(builder, start.as(start.input(dtype), lane), node.name(), kernels);

  const ValueId sums = accumulate.input(lane), row = accumulate.input(dtype);
  const ValueId added = accumulate.combine(combine, sums, lane == dtype ? row : accumulate.as(row, lane));
  reduction.accumulate = accumulate.compile(builder, added, node.name(), kernels);

  // The tree 16 > 8 > 4 > 2 > 1. A lane without rows would be the identity.
  const auto tree_of = [&](TileBody& body, DType added) {
    std::vector<ValueId> tree;
    for (std::int64_t l = 0; l < reduction.lanes_used; ++l) tree.push_back(body.input(added));
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t l = half; l < tree.size(); ++l) tree[l - half] = body.combine(combine, tree[l - half], tree[l]);
      tree.resize(std::min(tree.size(), half));
    }
    const ValueId total = reduction.is_mean ? body.divide_by_number(tree[0]) : tree[0];
    return body.compile(builder, body.as(total, dtype), node.name(), kernels);
  };
  reduction.finish = tree_of(finish, lane);
  if (!has_blocks(reduction.source.shape.back()) || !sums_in_blocks(node.op, dtype)) return;
  TileBody first, next, of_blocks;
  reduction.end_first_block = first.compile(builder, first.as(first.input(lane), DType::f64), node.name(), kernels);
  const ValueId totals = next.input(DType::f64), block = next.as(next.input(lane), DType::f64);
  reduction.end_block = next.compile(builder, next.combine(combine, totals, block), node.name(), kernels);
  reduction.finish_blocks = tree_of(of_blocks, DType::f64);
}

void ColumnReduction::run(Memory& memory, std::int64_t unit, int worker) const {
  std::int64_t block = unit / tiles;
  const std::int64_t first = unit % tiles * tile, result = block * columns + first;
  const std::int64_t width = std::min(tile, columns - first), row_count = memory.now(rows);
  if (row_count < lanes_used) return few(memory, result, result + width, worker);
  std::int64_t offset = source.offset + first;
  for (std::size_t axis = source.shape.size() - 2; axis-- > 0;) {
    offset += block % source.shape[axis] * source.strides[axis];
    block /= source.shape[axis];
  }
  run_tile(memory.base(source.buffer) + offset * element_bytes,
           memory.base(target.buffer) + (target.offset + result) * element_bytes, width, row_count);
}

void ColumnReduction::run_tile(std::byte* from, std::byte* to, std::int64_t width, std::int64_t row_count) const {
  alignas(64) std::byte sums[lanes * max_tile * sizeof(double)], block_sums[lanes * max_tile * sizeof(double)];
  LoopArguments arguments;
  arguments.columns = width;
  const std::int64_t ahead = lanes * row_stride * element_bytes;
  const auto call = [&](LoopFunction function, std::span<const LoopOperand> operands, std::int64_t rows) {
    arguments.outer_sizes[loop_outer_dims - 1] = rows;
    arguments.operands = operands.data();
    function(&arguments, 0, rows);
  };
  const LoopOperand lane_rows{sums, {0, 0, width}, 1, 0}, block_rows{block_sums, {0, 0, width}, 1, 0};
  const auto begin_block = [&](std::int64_t row) {
    const LoopOperand starting[] = {{from + row * row_stride * element_bytes, {0, 0, row_stride}, 1, ahead}, lane_rows};
    call(start, starting, lanes_used);
  };
  const auto close_block = [&](bool is_first) {
    const LoopOperand ending[] = {block_rows, lane_rows, block_rows};
    call(is_first ? end_first_block : end_block, std::span(ending).subspan(is_first ? 1 : 0), lanes_used);
  };

  const bool in_blocks = end_block != nullptr && has_blocks(row_count);
  begin_block(0);
  for (std::int64_t row = lanes; row < row_count; row += lanes) {
    if (in_blocks && row % sum_block == 0 && row_count - row >= lanes) {
      close_block(row == sum_block);
      begin_block(row);
      continue;
    }
    std::byte* next = from + row * row_stride * element_bytes;
    const LoopOperand adding[] = {lane_rows, {next, {0, 0, row_stride}, 1, ahead}, lane_rows};
    call(accumulate, adding, std::min(lanes, row_count - row));
  }
  if (in_blocks) close_block(false);

  std::byte* totals = in_blocks ? block_sums : sums;
  const DType total_type = in_blocks ? DType::f64 : lane;
  LoopOperand finishing[lanes + 1];
  for (std::int64_t l = 0; l < lanes_used; ++l)
    finishing[l] = {totals + byte_size(total_type, l * width), {0, 0, width}, 1, 0};
  finishing[lanes_used] = {to, {0, 0, width}, 1, 0};
  // What it divides by.
  const std::uint64_t count = is_mean ? loop_number(static_cast<double>(row_count), total_type) : 0;
  arguments.numbers = &count;
  call(in_blocks ? finish_blocks : finish, {finishing, static_cast<std::size_t>(lanes_used) + 1}, 1);
}

// Wide enough for long runs of memory, narrow enough for work for every thread.
std::int64_t tile_of(std::int64_t blocks, std::int64_t columns, int workers) {
  const std::int64_t wanted = workers > 1 ? (2 * workers + blocks - 1) / blocks : 1;
  const std::int64_t even = (columns + wanted - 1) / wanted;
  return std::clamp((even + min_tile - 1) / min_tile * min_tile, min_tile, max_tile);
}

}  // namespace

bool add_column_reduction(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target) {
  return add_column_reduction(builder, id, source, target, {source.shape.back()}, {});
}

bool add_column_reduction(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target,
                          const Extent& rows, Run few) {
  const std::size_t rank = source.shape.size();
  if (rank < 2 || source.elements() == 0) return false;
  const std::int64_t columns = source.shape[rank - 2], reduced = source.shape[rank - 1];
  if (reduced < 2 || columns < lanes || source.strides[rank - 2] != 1 || !target.contiguous()) return false;

  const GraphNode& current = builder.node(id);
  const std::int64_t blocks = source.elements() / (columns * reduced);
  const std::int64_t tile = tile_of(blocks, columns, builder.workers());
  const DType lane = lane_dtype(source.dtype);
  auto reduction = std::make_shared<ColumnReduction>(
      ColumnReduction{source, target, columns, source.strides[rank - 1], std::min(reduced, lanes), tile,
                      (columns + tile - 1) / tile, info(source.dtype).block_bytes, lane, current.op == Op::mean,
                      nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, rows, std::move(few)});
  std::vector<KernelUse> kernels;
  compile_kernels(builder, current, *reduction, kernels);

  Step& step = builder.add_step(id, current.name(), kernels[1], {source.buffer}, {target.buffer});
  step.kernels = std::move(kernels);
  step.units = blocks * reduction->tiles;
  step.row_major = true;
  step.split = step.units > 1 && worth_splitting(step.bytes, step.operations);
  step.run = [reduction = std::shared_ptr<const ColumnReduction>(std::move(reduction))](
                 Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    for (std::int64_t unit = begin; unit < end; ++unit) reduction->run(memory, unit, worker);
  };
  return true;
}

}  // namespace lazuli::cpu
