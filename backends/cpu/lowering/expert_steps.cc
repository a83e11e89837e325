// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/expert_steps.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace lazuli::cpu {
namespace {

// OpenBLAS gives other shapes other bits, so a call computes this many outputs whatever the number of threads.
constexpr std::int64_t blas_slice_outputs = 64;

// Rows that lie one after the other, in f32 or as int8.
struct RowData {
  std::byte* data;
  std::int64_t count;
};

// Rows of one expert times a range of slices of its outputs: y[row · outputs + output]. Ranges of rows count from the
// first of `x` and of y alike.
using MultiplyRows =
    std::function<void(const Memory& memory, RowData x, std::int64_t expert, Range slices, Range rows, float* y)>;

PackedWeightView expert_of(PackedWeightView stack, std::int64_t expert, std::int64_t outputs) {
  stack.data += expert * (outputs / packed_group_rows) * stack.group_bytes;
  stack.rows = outputs;
  return stack;
}

MultiplyRows multiply_packed(const PackedWeightView* stack, const LinearKernel& kernel, std::int64_t outputs,
                             std::int64_t cols) {
  if (kernel.multiply)
    return [=, multiply = kernel.multiply](const Memory&, RowData x, std::int64_t expert, Range slices, Range rows,
                                           float* y) {
      multiply(expert_of(*stack, expert, outputs), quantised_rows(x.data, x.count, cols), slices.begin, slices.end,
               rows.begin, rows.end, y, outputs);
    };
  return [=, multiply = kernel.multiply_real](const Memory&, RowData x, std::int64_t expert, Range slices, Range rows,
                                              float* y) {
    const RealRowsView values{reinterpret_cast<const float*>(x.data), x.count, cols, cols};
    multiply(expert_of(*stack, expert, outputs), values, slices.begin, slices.end, rows.begin, rows.end, y, outputs);
  };
}

MultiplyRows multiply_f32(const View& weight, std::int64_t outputs, std::int64_t cols) {
  return [=](const Memory& memory, RowData x, std::int64_t expert, Range slices, Range rows, float* y) {
    const std::int64_t stride = std::max<std::int64_t>(cols, 1);
    for (std::int64_t slice = slices.begin; slice < slices.end; ++slice) {
      const std::int64_t first = slice * blas_slice_outputs, end = std::min(first + blas_slice_outputs, outputs);
      sgemm({RightOperand::rows_are_columns_of_c, rows.end - rows.begin, end - first, cols,
             reinterpret_cast<const float*>(x.data) + rows.begin * cols, stride,
             memory.as<const float>(weight) + (expert * outputs + first) * cols, stride,
             y + rows.begin * outputs + first, outputs});
    }
  };
}

// One matrix of a contiguous stack.
StridedWeightView expert_as_it_lies(const Memory& memory, const View& stack, std::int64_t expert) {
  const std::int64_t outputs = stack.shape[1], cols = stack.shape[2];
  return {memory.at(stack) + byte_size(stack.dtype, expert * outputs * cols), outputs, cols, cols, 1};
}

MultiplyRows multiply_strided(const View& stack, const StridedKernel& kernel) {
  return [=, multiply = kernel.multiply, outputs = stack.shape[1], cols = stack.shape[2]](
             const Memory& memory, RowData x, std::int64_t expert, Range slices, Range rows, float* y) {
    multiply(expert_as_it_lies(memory, stack, expert),
             {reinterpret_cast<const float*>(x.data) + rows.begin * cols, rows.end - rows.begin, cols, cols},
             slices.begin * packed_group_rows, std::min(slices.end * packed_group_rows, outputs),
             y + rows.begin * outputs, outputs);
  };
}

void copy_quantised_row(const QuantisedRowsView& from, std::int64_t from_row, const QuantisedRowsView& to,
                        std::int64_t to_row) {
  std::memcpy(to.values + to_row * to.value_stride, from.values + from_row * from.value_stride,
              static_cast<std::size_t>(to.cols));
  std::memcpy(to.scales + to_row * to.scale_stride, from.scales + from_row * from.scale_stride,
              static_cast<std::size_t>(to.cols / packed_block_columns) * sizeof(float));
  std::memcpy(to.half_sums + to_row * to.half_sum_stride, from.half_sums + from_row * from.half_sum_stride,
              static_cast<std::size_t>(to.cols / 16) * sizeof(std::int16_t));
}

// One node on its way. A pair is a token and one of its experts; pairs are numbered token by token.
struct ExpertCall {
  std::int64_t tokens, chosen, rows_per_token, experts, outputs, cols;
  View x, choice, y;
  int weight = -1;          // buffer
  int quantised_rows = -1;  // the int8 form of x, where the kernel takes that
  KernelUse kernel = KernelUse::sgemm();
  std::string where;  // for errors
  MultiplyRows multiply;
  std::int64_t slice_outputs = packed_group_rows;
  std::optional<View> strided;  // weights of which many rows need the chosen experts packed

  std::int64_t pairs() const { return tokens * chosen; }
  std::int64_t slices() const { return (outputs + slice_outputs - 1) / slice_outputs; }
  std::int64_t row_of(std::int64_t pair) const {
    return pair / chosen * rows_per_token + std::min(pair % chosen, rows_per_token - 1);
  }
  bool is_quantised() const { return quantised_rows >= 0; }
  int operand() const { return is_quantised() ? quantised_rows : x.buffer; }
  RowData rows(const Memory& memory) const {
    return {is_quantised() ? memory.base(quantised_rows) : memory.at(x), tokens * rows_per_token};
  }
  std::int64_t expert_of(const Memory& memory, std::int64_t pair) const {
    const std::int32_t expert = memory.as<const std::int32_t>(choice)[pair];
    if (expert < 0 || expert >= experts)
      throw ExecutionError(fmt::format("{}: expert {} at position {} is outside [0, {})", where, expert, pair, experts),
                           {.kind = ErrorKind::execution,
                            .expected = fmt::format("an expert in [0, {})", experts),
                            .found = fmt::format("{} at position {}", expert, pair)});
    return expert;
  }
};

void choose_expert_kernel(ProgramBuilder& builder, std::int32_t id, ExpertCall& call) {
  const ValueId value = builder.node(id).inputs[1];
  const GraphNode& constant = builder.graph().node(value);
  const Type& type = builder.graph().type(value);
  const bool is_constant = constant.op == Op::constant;
  // A group of packed rows must not hold rows of two experts.
  const bool packs = call.outputs % packed_group_rows == 0;
  if (is_constant && builder.tools().precision == Precision::fast && packs) {
    const LinearKernel* kernel = linear_kernel_of(builder, type);
    if (kernel == nullptr) builder.reject(id, "no matmul kernel takes this weight type");
    const auto [buffer, packed] = builder.add_packed(constant);
    call.weight = buffer;
    call.kernel = {kernel->name, kernel->isa};
    if (kernel->multiply) call.quantised_rows = quantised_rows_of(builder, id, call.x);
    call.multiply = multiply_packed(packed, *kernel, call.outputs, call.cols);
    return;
  }
  if (!is_constant && is_quantised(type.dtype))
    builder.reject(id, "a quantised weight must be a constant; dequantise it, or make it one");
  const bool fast = builder.tools().precision == Precision::fast;
  const View weight = is_constant ? builder.add_dequantised(constant)
                      : fast      ? contiguous_input(builder, id, 1)
                                  : converted_input(builder, id, 1, DType::f32);
  call.weight = weight.buffer;
  if (fast) {
    const StridedKernel& kernel = find_strided_kernel(weight.dtype, builder.tools().isa);
    call.kernel = {kernel.name, kernel.isa};
    call.multiply = multiply_strided(weight, kernel);
    call.strided = weight;
  } else {
    call.slice_outputs = blas_slice_outputs;
    call.multiply = multiply_f32(weight, call.outputs, call.cols);
  }
}

// A step reads or writes at most one expert a pair of the whole stack.
void count_chosen_experts(const ProgramBuilder& builder, const ExpertCall& call, int stack, Step& step) {
  const std::int64_t stack_bytes = builder.buffer(stack).bytes;
  const std::int64_t untouched = stack_bytes - stack_bytes / call.experts * std::min(call.pairs(), call.experts);
  step.bytes -= untouched;
  if (builder.buffer(stack).kind == BufferKind::constant) step.weight_bytes -= untouched;
}

// The step that multiplies.
Step& add_expert_step(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call, std::vector<int> reads,
                      int target) {
  Step& step = builder.add_step(id, builder.node(id).name(), call.kernel, std::move(reads), {target});
  count_chosen_experts(builder, call, call.weight, step);
  step.arithmetic = call.is_quantised() ? Arithmetic::int8 : Arithmetic::f32;
  return step;
}

void lower_experts_of_one_token(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call) {
  Step& step = add_expert_step(builder, id, call, {call.operand(), call.weight, call.choice.buffer}, call.y.buffer);
  const std::int64_t slices = call.slices();
  step.units = call.chosen * slices;
  step.split = step.units > 1;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    while (begin < end) {
      const std::int64_t pair = begin / slices, stop = std::min(end, (pair + 1) * slices), row = call.row_of(pair);
      // Rows of y are pairs, and those of x need not be: y is shifted by the difference.
      call.multiply(memory, call.rows(memory), call.expert_of(memory, pair),
                    {begin - pair * slices, stop - pair * slices}, {row, row + 1},
                    memory.as<float>(call.y) + (pair - row) * call.outputs);
      begin = stop;
    }
  };
}

// The pairs of all tokens in the order of their experts.
struct SortedPairs {
  View order;  // the pairs by expert
  View first;  // the first of each expert in that order; the end of the last one follows
  int x;       // buffer of the rows of x in that order
  std::int64_t row_bytes;
  View y;  // results in that order
};

SortedPairs place_sorted_pairs(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call) {
  const std::int64_t pairs = call.pairs();
  SortedPairs sorted;
  sorted.order = builder.new_array({DType::i32, {pairs}}, fmt::format("%{} pairs by expert", id));
  sorted.first = builder.new_array({DType::i32, {call.experts + 2}}, fmt::format("%{} first pair of each expert", id));
  sorted.row_bytes =
      call.is_quantised() ? static_cast<std::int64_t>(quantised_rows_bytes(1, call.cols)) : call.cols * 4;
  sorted.x = builder.add_scratch(pairs * sorted.row_bytes, fmt::format("%{} rows by expert", id));
  sorted.y = builder.new_array({DType::f32, {pairs, call.outputs}}, fmt::format("%{} results by expert", id));
  return sorted;
}

// A counting sort. While it places pairs, the end of each expert's range lies one entry further than afterwards.
void add_sort(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call, const SortedPairs& sorted) {
  Step& step = builder.add_step(id, "sort_by_expert", "sort_by_expert", {call.choice.buffer},
                                {sorted.order.buffer, sorted.first.buffer});
  step.run = [=](const Memory& memory, std::int64_t, std::int64_t, int) {
    auto* starts = memory.as<std::int32_t>(sorted.first);
    std::fill_n(starts, call.experts + 2, 0);
    for (std::int64_t pair = 0; pair < call.pairs(); ++pair) ++starts[call.expert_of(memory, pair) + 2];
    for (std::int64_t expert = 1; expert < call.experts; ++expert) starts[expert + 1] += starts[expert];
    for (std::int64_t pair = 0; pair < call.pairs(); ++pair)
      memory.as<std::int32_t>(sorted.order)[starts[call.expert_of(memory, pair) + 1]++] =
          static_cast<std::int32_t>(pair);
  };
}

void add_gather(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call, const SortedPairs& sorted) {
  Step& step = builder.add_step(id, "gather_rows", "gather_rows", {call.operand(), sorted.order.buffer}, {sorted.x});
  step.units = call.pairs();
  step.split = worth_splitting(2 * call.pairs() * sorted.row_bytes, 0);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const RowData source = call.rows(memory);
    std::byte* target = memory.base(sorted.x);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = call.row_of(memory.as<const std::int32_t>(sorted.order)[i]);
      if (call.is_quantised())
        copy_quantised_row(quantised_rows(source.data, source.count, call.cols), row,
                           quantised_rows(target, call.pairs(), call.cols), i);
      else
        std::memcpy(target + i * sorted.row_bytes, source.data + row * sorted.row_bytes,
                    static_cast<std::size_t>(sorted.row_bytes));
    }
  };
}

// The experts that some pair has chosen, in the layout of the kernels for many rows.
void pack_experts(ProgramBuilder& builder, std::int32_t id, const SortedPairs& sorted, ExpertCall& call) {
  const View weight = *call.strided;
  const LinearKernel& kernel = *find_linear_kernel(weight.dtype, builder.tools().isa);
  const std::int64_t outputs = call.outputs, cols = call.cols, slices = call.slices();
  const auto bytes = static_cast<std::int64_t>(packed_bytes(weight.dtype, outputs, cols));
  const int packed = builder.add_scratch(bytes * call.experts, fmt::format("%{} packed experts", id));
  Step& step = builder.add_step(id, "pack_experts", "pack_strided", {weight.buffer, sorted.first.buffer}, {packed});
  for (const int stack : {weight.buffer, packed}) count_chosen_experts(builder, call, stack, step);
  step.units = call.experts * slices;
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=, first = sorted.first](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const auto* starts = memory.as<const std::int32_t>(first);
    while (begin < end) {
      const std::int64_t expert = begin / slices, stop = std::min(end, (expert + 1) * slices);
      if (starts[expert] < starts[expert + 1])
        pack_strided(weight.dtype, expert_as_it_lies(memory, weight, expert),
                     reinterpret_cast<std::uint8_t*>(memory.base(packed) + expert * bytes), begin - expert * slices,
                     stop - expert * slices);
      begin = stop;
    }
  };
  call.weight = packed;
  call.kernel = {kernel.name, kernel.isa};
  call.multiply = [=, dtype = weight.dtype, multiply = kernel.multiply_real](
                      const Memory& memory, RowData x, std::int64_t expert, Range groups, Range rows, float* y) {
    multiply(packed_view(dtype, outputs, cols, memory.base(packed) + expert * bytes),
             {reinterpret_cast<const float*>(x.data), x.count, cols, cols}, groups.begin, groups.end, rows.begin,
             rows.end, y, outputs);
  };
}

void add_sorted_multiply(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call, const SortedPairs& sorted) {
  Step& step = add_expert_step(builder, id, call, {sorted.x, call.weight, sorted.first.buffer}, sorted.y.buffer);
  step.units = call.slices();
  step.split = step.units > 1;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const auto* starts = memory.as<const std::int32_t>(sorted.first);
    for (std::int64_t expert = 0; expert < call.experts; ++expert) {
      const Range rows{starts[expert], starts[expert + 1]};
      if (rows.begin == rows.end) continue;
      call.multiply(memory, {memory.base(sorted.x), call.pairs()}, expert, {begin, end}, rows,
                    memory.as<float>(sorted.y));
    }
  };
}

void add_scatter(ProgramBuilder& builder, std::int32_t id, const ExpertCall& call, const SortedPairs& sorted) {
  Step& step =
      builder.add_step(id, "scatter_rows", "scatter_rows", {sorted.y.buffer, sorted.order.buffer}, {call.y.buffer});
  const std::int64_t outputs = call.outputs;
  step.units = call.pairs();
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=, y = call.y](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i)
      std::memcpy(memory.as<float>(y) + memory.as<const std::int32_t>(sorted.order)[i] * outputs,
                  memory.as<const float>(sorted.y) + i * outputs, static_cast<std::size_t>(outputs) * sizeof(float));
  };
}

void lower_experts_sorted(ProgramBuilder& builder, std::int32_t id, ExpertCall call) {
  const SortedPairs sorted = place_sorted_pairs(builder, id, call);
  add_sort(builder, id, call, sorted);
  add_gather(builder, id, call, sorted);
  if (call.strided) pack_experts(builder, id, sorted, call);
  add_sorted_multiply(builder, id, call, sorted);
  add_scatter(builder, id, call, sorted);
}

}  // namespace

void lower_expert_linear(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const Shape& stack = builder.graph().type(current.inputs[1]).shape;
  ExpertCall call;
  call.x = converted_input(builder, id, 0, DType::f32);
  call.choice = contiguous_input(builder, id, 2);
  const View result = builder.result_view(id);
  call.y =
      result.dtype == DType::f32 ? result : builder.new_array({DType::f32, result.shape}, fmt::format("%{} f32", id));
  call.tokens = call.x.shape[0];
  call.rows_per_token = call.x.shape[1];
  call.chosen = call.choice.shape[1];
  call.experts = stack[0];
  call.outputs = stack[1];
  call.cols = stack[2];
  call.where = fmt::format("expert_linear (node %{}{})", id, Scope::where(current.scope));
  if (call.pairs() * call.outputs == 0) return;

  choose_expert_kernel(builder, id, call);
  if (call.tokens == 1)
    lower_experts_of_one_token(builder, id, call);
  else
    lower_experts_sorted(builder, id, call);
  if (result.dtype != DType::f32) lower_copy(builder, id, call.y, result);
}

}  // namespace lazuli::cpu
