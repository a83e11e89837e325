// Matmuls through OpenBLAS: f32, and what no written kernel takes (product_steps.cc).
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/backends/cpu/lowering/lowering.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// All axes but the last, as one.
std::int64_t rows_of(const View& x) { return element_count({x.shape.begin(), x.shape.end() - 1}); }

}  // namespace

void Lowering::lower_linear(std::int32_t id) {
  if (lowered_[static_cast<std::size_t>(id)]) return;
  if (is_packed_linear(id)) return lower_products(id);
  const GraphNode& current = node(id);
  const Type& weight_type = graph_.type(current.inputs[1]);
  const View x = converted_input(id, 0, DType::f32);
  View y = result_view(id);
  const View result = y;
  if (y.elements() == 0) return;
  if (y.dtype != DType::f32) y = new_array({DType::f32, y.shape}, fmt::format("%{} f32", id));

  if (graph_.node(current.inputs[1]).op == Op::constant) {
    const auto weight = tools_.weights.dequantised(graph_.node(current.inputs[1]), tools_.executor);
    result_.weights.push_back(weight);
    const Type type{DType::f32, weight_type.shape};
    lower_linear_f32(id, x, y,
                     whole_buffer(add_constant(weight->dequantised, type, graph_.node(current.inputs[1]).label), type));
  } else if (is_quantised(weight_type.dtype)) {
    reject(id, "a quantised weight must be a constant");
  } else {
    lower_linear_f32(id, x, y, converted_input(id, 1, DType::f32));
  }
  if (result.dtype != DType::f32) lower_copy(id, y, result);
}

void Lowering::lower_linear_f32(std::int32_t id, const View& x, const View& y, const View& weight) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back(), outputs = weight.shape[0];
  const int workers = tools_.executor.size();
  Step& step = add_step(id, node(id).name(), KernelUse::sgemm(), {x.buffer, weight.buffer}, {y.buffer});
  step.units = workers;
  step.split = true;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t stride = std::max<std::int64_t>(cols, 1);
    Sgemm product{RightOperand::rows_are_columns_of_c,
                  rows,
                  outputs,
                  cols,
                  memory.as<const float>(x),
                  stride,
                  memory.as<const float>(weight),
                  stride,
                  memory.as<float>(y),
                  outputs};
    for (std::int64_t part = begin; part < end; ++part) sgemm(sgemm_slice(product, static_cast<int>(part), workers));
  };
}

// [..., M, K] x [..., K, N]: one product per batch index; the batches divide over the threads, or a single product
// does.
void Lowering::lower_matmul(std::int32_t id) {
  const View a = converted_input(id, 0, DType::f32);
  View b = view(node(id).inputs[1]);
  // A right operand that is a transposed view is read as it lies.
  const std::size_t rank = b.shape.size();
  const bool transposed = b.dtype == DType::f32 && b.strides[rank - 2] == 1 && b.shape[rank - 1] > 1 &&
                          b.strides[rank - 1] >= b.shape[rank - 2];
  const bool straight = b.dtype == DType::f32 && b.strides[rank - 1] == 1 && b.strides[rank - 2] >= b.shape[rank - 1];
  if (!transposed && !straight) b = converted_input(id, 1, DType::f32);
  View y = result_view(id);
  const View result = y;
  if (y.dtype != DType::f32) y = new_array({DType::f32, y.shape}, fmt::format("%{} f32", id));

  const std::int64_t m = a.shape[a.shape.size() - 2], k = a.shape.back(), n = y.shape.back();
  const Shape batch_shape(y.shape.begin(), y.shape.end() - 2);
  auto batch_strides = [&](View operand) {
    operand.shape.resize(operand.shape.size() - 2);
    operand.strides.resize(operand.strides.size() - 2);
    return broadcast_view(operand, batch_shape).strides;
  };
  const Dims a_batch = batch_strides(a), b_batch = batch_strides(b), y_batch = batch_strides(y);
  const std::int64_t batches = element_count(batch_shape), ldb = transposed ? b.strides[rank - 1] : b.strides[rank - 2];
  const int workers = tools_.executor.size();
  const bool single = batches == 1;
  if (y.elements() == 0) return;

  Step& step = add_step(id, node(id).name(), KernelUse::sgemm(), {a.buffer, b.buffer}, {y.buffer});
  step.units = single ? workers : batches;
  step.split = m * n * k * batches >= 64 * 1024;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      std::int64_t a_offset = 0, b_offset = 0, y_offset = 0, rest = single ? 0 : unit;
      for (std::size_t axis = batch_shape.size(); axis-- > 0;) {
        const std::int64_t position = rest % batch_shape[axis];
        rest /= batch_shape[axis];
        a_offset += position * a_batch[axis];
        b_offset += position * b_batch[axis];
        y_offset += position * y_batch[axis];
      }
      const Sgemm product{transposed ? RightOperand::rows_are_columns_of_c : RightOperand::rows_are_inner,
                          m,
                          n,
                          k,
                          memory.as<const float>(a) + a_offset,
                          std::max<std::int64_t>(k, 1),
                          memory.as<const float>(b) + b_offset,
                          std::max({ldb, transposed ? k : n, std::int64_t{1}}),
                          memory.as<float>(y) + y_offset,
                          n};
      sgemm(single ? sgemm_slice(product, static_cast<int>(unit), workers) : product);
    }
  };
  if (result.dtype != DType::f32) lower_copy(id, y, result);
}

}  // namespace lazuli::cpu
