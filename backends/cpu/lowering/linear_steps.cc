// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/backends/cpu/lowering/f64_product_steps.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/linear_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/matmul_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/product_steps.h>
#include <lazuli/backends/cpu/lowering/quantisation_steps.h>
#include <lazuli/backends/cpu/lowering/quantised_product_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <utility>

namespace lazuli::cpu {
namespace {

// The second operand of a linear in f32: a constant is dequantised once.
View f32_weight(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& weight = builder.graph().node(builder.node(id).inputs[1]);
  if (weight.op == Op::constant) return builder.add_dequantised(weight);
  return converted_input(builder, id, 1, DType::f32);
}

// OpenBLAS gives an element other bits in a product of another shape, so a call computes a tile that follows from the
// shapes alone, whatever the number of threads.
void add_linear_f32(ProgramBuilder& builder, std::int32_t id, const View& y) {
  const View x = converted_input(builder, id, 0, DType::f32), weight = f32_weight(builder, id);
  const std::int64_t rows = rows_of(x), cols = x.shape.back(), outputs = weight.shape[0];
  const int tiles = sgemm_tiles(rows, outputs);
  Step& step = builder.add_step(id, builder.node(id).name(), KernelUse::sgemm(), {x.buffer, weight.buffer}, {y.buffer});
  step.units = tiles;
  const Extent rows_now = builder.extent(id, rows);
  step.follows = true;
  if (rows_now.dimension >= 0)
    step.units_now = [=](const Memory& memory) { return std::int64_t{sgemm_tiles(memory.now(rows_now), outputs)}; };
  step.split = true;  // however small: a row chain would take it for an epilogue's matmul otherwise
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t stride = std::max<std::int64_t>(cols, 1), given = memory.now(rows_now);
    const int parts = given == rows ? tiles : sgemm_tiles(given, outputs);
    const Sgemm product{RightOperand::rows_are_columns_of_c,
                        given,
                        outputs,
                        cols,
                        memory.as<const float>(x),
                        stride,
                        memory.as<const float>(weight),
                        stride,
                        memory.as<float>(y),
                        outputs};
    for (std::int64_t tile = begin; tile < end; ++tile) sgemm(sgemm_tile(product, static_cast<int>(tile), parts));
  };
}

// Where f32 results of a node go before they become what the node gives: its result itself, if that is f32.
View f32_result(ProgramBuilder& builder, std::int32_t id, const View& result) {
  if (result.dtype == DType::f32) return result;
  return builder.new_array({DType::f32, result.shape}, fmt::format("%{} f32", id));
}

// One product for each index of the batch axes of a matmul [..., M, K] x [..., K, N].
struct BatchedMatmul {
  View a, b, y;
  bool transposed;  // b, as it lies
  std::int64_t m, k, n, ldb;
  Shape batch_shape;
  Dims a_batch, b_batch, y_batch;  // strides along the batch axes

  Extent m_now, batches_now;  // of a run

  std::int64_t batches() const { return element_count(batch_shape); }
  // Of each product.
  int tiles(const Memory& memory) const { return memory.now(batches_now) == 1 ? sgemm_tiles(memory.now(m_now), n) : 1; }

  Sgemm product(const Memory& memory, std::int64_t batch) const {
    std::int64_t a_offset = 0, b_offset = 0, y_offset = 0;
    for (std::size_t axis = batch_shape.size(); axis-- > 0;) {
      const std::int64_t position = batch % batch_shape[axis];
      batch /= batch_shape[axis];
      a_offset += position * a_batch[axis];
      b_offset += position * b_batch[axis];
      y_offset += position * y_batch[axis];
    }
    return {transposed ? RightOperand::rows_are_columns_of_c : RightOperand::rows_are_inner,
            memory.now(m_now),
            n,
            k,
            memory.as<const float>(a) + a_offset,
            std::max<std::int64_t>(k, 1),
            memory.as<const float>(b) + b_offset,
            std::max({ldb, transposed ? k : n, std::int64_t{1}}),
            memory.as<float>(y) + y_offset,
            n};
  }
};

BatchedMatmul describe(const View& a, const View& b, bool transposed, const View& y) {
  BatchedMatmul call{a,  b,  y,  transposed, a.shape[a.shape.size() - 2], a.shape.back(), y.shape.back(), 0, {}, {},
                     {}, {}, {}, {}};
  const std::size_t rank = b.shape.size();
  call.ldb = transposed ? b.strides[rank - 1] : b.strides[rank - 2];
  call.batch_shape.assign(y.shape.begin(), y.shape.end() - 2);
  const auto batch_strides = [&](View operand) {
    operand.shape.resize(operand.shape.size() - 2);
    operand.strides.resize(operand.strides.size() - 2);
    return broadcast_view(operand, call.batch_shape).strides;
  };
  call.a_batch = batch_strides(a);
  call.b_batch = batch_strides(b);
  call.y_batch = batch_strides(y);
  return call;
}

// One product for each batch, or tiles of a single one.
void add_matmul_f32(ProgramBuilder& builder, std::int32_t id, const View& y) {
  const View a = converted_input(builder, id, 0, DType::f32);
  View b = builder.operand(id, 1);
  // A right operand that is a transposed view is read as it lies.
  const std::size_t rank = b.shape.size();
  const bool transposed = b.dtype == DType::f32 && b.strides[rank - 2] == 1 && b.shape[rank - 1] > 1 &&
                          b.strides[rank - 1] >= b.shape[rank - 2];
  const bool straight = b.dtype == DType::f32 && b.strides[rank - 1] == 1 && b.strides[rank - 2] >= b.shape[rank - 1];
  if (!transposed && !straight) b = converted_input(builder, id, 1, DType::f32);
  BatchedMatmul call = describe(a, b, transposed, y);
  // A named axis is among the rows of a single matrix, or the first of a batch.
  const Extent sized = builder.extent(id, 1);
  call.m_now = {call.m};
  call.batches_now = {call.batches()};
  Extent& named = call.batches() == 1 ? call.m_now : call.batches_now;
  named = {named.at_bound, sized.dimension, sized.bound};
  const int tiles = call.batches() == 1 ? sgemm_tiles(call.m, call.n) : 1;
  Step& step = builder.add_step(id, builder.node(id).name(), KernelUse::sgemm(), {a.buffer, b.buffer}, {y.buffer});
  step.units = call.batches() * tiles;
  step.follows = true;
  if (sized.dimension >= 0)
    step.units_now = [=](const Memory& memory) { return memory.now(call.batches_now) * call.tiles(memory); };
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const int parts = call.tiles(memory);
    for (std::int64_t unit = begin; unit < end; ++unit)
      sgemm(sgemm_tile(call.product(memory, unit / parts), static_cast<int>(unit % parts), parts));
  };
}

}  // namespace

void lower_linear(ProgramBuilder& builder, std::int32_t id) {
  if (is_packed_linear(builder, id)) return lower_products(builder, id);
  const ValueId weight = builder.node(id).inputs[1];
  const bool quantised = is_quantised(builder.type(weight).dtype),
             computed = builder.graph().node(weight).op != Op::constant;
  const View result = builder.result_view(id);
  if (result.elements() == 0) return;
  if (result.dtype == DType::f64) {
    return add_f64_product(builder, id,
                           !quantised ? builder.view(weight)
                           : computed ? dequantised_input(builder, id, 1)
                                      : builder.add_dequantised(builder.graph().node(weight)));
  }
  const View y = f32_result(builder, id, result);
  if (quantised && computed)
    add_quantised_product(builder, id, y);
  else if (builder.tools().precision == Precision::f32)
    add_linear_f32(builder, id, y);
  else
    add_matmul(builder, id, builder.view(weight), y);
  if (result.dtype != DType::f32) lower_copy(builder, id, y, result);
}

void lower_matmul(ProgramBuilder& builder, std::int32_t id) {
  const View result = builder.result_view(id);
  if (result.elements() == 0) return;
  View weight = builder.operand(id, 1);
  const std::size_t rank = weight.shape.size();
  std::swap(weight.shape[rank - 2], weight.shape[rank - 1]);
  std::swap(weight.strides[rank - 2], weight.strides[rank - 1]);
  if (result.dtype == DType::f64) return add_f64_product(builder, id, weight);
  const View y = f32_result(builder, id, result);
  if (builder.tools().precision == Precision::f32)
    add_matmul_f32(builder, id, y);
  else
    add_matmul(builder, id, weight, y);
  if (result.dtype != DType::f32) lower_copy(builder, id, y, result);
}

}  // namespace lazuli::cpu
