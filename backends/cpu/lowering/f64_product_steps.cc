// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/linear/matmul_f64.h>
#include <lazuli/backends/cpu/lowering/f64_product_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <utility>

namespace lazuli::cpu {
namespace {

// Of a unit. They decide how work divides and no bit.
constexpr std::int64_t unit_rows = 16, unit_columns = 64;

std::int64_t divide_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// Where the matrices of a batch begin, in elements.
struct Batch {
  Shape shape;
  Dims strides;

  std::int64_t offset(std::int64_t matrix) const {
    std::int64_t offset = 0;
    for (std::size_t axis = shape.size(); axis-- > 0; matrix /= shape[axis])
      offset += matrix % shape[axis] * strides[axis];
    return offset;
  }
};

Batch batch_of(View operand, const Shape& shape) {
  operand.shape.resize(operand.shape.size() - 2);
  operand.strides.resize(operand.strides.size() - 2);
  return {shape, broadcast_view(operand, shape).strides};
}

// [..., K, N] in f64 with the columns side by side: as it lies, or a copy.
View right_operand(ProgramBuilder& builder, std::int32_t id, View weight) {
  const std::size_t rank = weight.shape.size();
  std::swap(weight.shape[rank - 2], weight.shape[rank - 1]);
  std::swap(weight.strides[rank - 2], weight.strides[rank - 1]);
  if (weight.dtype == DType::f64 && (weight.strides.back() == 1 || weight.shape.back() == 1)) return weight;
  const View copy = builder.new_array({DType::f64, weight.shape}, fmt::format("%{} right operand", id));
  lower_copy(builder, id, weight, copy);
  return copy;
}

// The rows of all axes but the last as one matrix, which all meet the same right operand.
View as_matrix(View x) {
  const std::int64_t columns = x.shape.back();
  x.shape = {element_count({x.shape.begin(), x.shape.end() - 1}), columns};
  x.strides = {std::max<std::int64_t>(columns, 1), 1};
  return x;
}

}  // namespace

void add_f64_product(ProgramBuilder& builder, std::int32_t id, const View& weight) {
  View x = converted_input(builder, id, 0, DType::f64), y = builder.result_view(id);
  const View w = right_operand(builder, id, weight);
  if (element_count({w.shape.begin(), w.shape.end() - 2}) == 1) {
    x = as_matrix(std::move(x));
    y = as_matrix(std::move(y));
  }
  const std::int64_t rows = y.shape[y.shape.size() - 2], columns = y.shape.back(), inner = x.shape.back();
  const Shape batch_shape(y.shape.begin(), y.shape.end() - 2);
  const Batch x_batch = batch_of(x, batch_shape), w_batch = batch_of(w, batch_shape);
  const std::int64_t w_stride = w.strides[w.strides.size() - 2];
  const MatmulF64Kernel& kernel = find_matmul_f64_kernel(builder.tools().isa);
  Step& step =
      builder.add_step(id, builder.node(id).name(), {kernel.name, kernel.isa}, {x.buffer, w.buffer}, {y.buffer});
  const std::int64_t down = divide_up(rows, unit_rows), across = divide_up(columns, unit_columns);
  step.units = element_count(batch_shape) * down * across;
  step.follows = true;
  // As in matmul_steps.cc: a named axis is among the rows of a single matrix, or the first of a batch.
  const Extent sized = builder.extent(id, 1);
  Extent rows_now{rows}, matrices_now{element_count(batch_shape)};
  Extent& named = matrices_now.at_bound == 1 ? rows_now : matrices_now;
  named = {named.at_bound, sized.dimension, sized.bound};
  if (sized.dimension >= 0)
    step.units_now = [=](const Memory& memory) {
      return memory.now(matrices_now) * divide_up(memory.now(rows_now), unit_rows) * across;
    };
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = [=, multiply = kernel.multiply](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t matrix = unit / (down * across), row = unit / across % down * unit_rows,
                         column = unit % across * unit_columns;
      multiply({memory.as<const double>(x) + x_batch.offset(matrix) + row * inner,
                memory.as<const double>(w) + w_batch.offset(matrix) + column,
                memory.as<double>(y) + (matrix * rows + row) * columns + column, inner, w_stride, columns,
                std::min(unit_rows, memory.now(rows_now) - row), inner, std::min(unit_columns, columns - column)});
    }
  };
}

}  // namespace lazuli::cpu
