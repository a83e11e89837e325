// Matmuls: packed weights through the written kernels, f32 through OpenBLAS.
#include <lazuli/backends/cpu/blas.h>
#include <lazuli/backends/cpu/kernels.h>
#include <lazuli/backends/cpu/lowering.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// All axes but the last, as one.
// Weights of more outputs are vocabulary heads, which a prompt asks for on its last row alone: unpacking them for one row
// would take longer than the row. Decided by the weight, not by the rows at hand, so that chunks agree bit for bit.
constexpr std::int64_t most_panel_outputs = 64 * 1024;

std::int64_t rows_of(const View& x) { return element_count({x.shape.begin(), x.shape.end() - 1}); }

}  // namespace

void Lowering::lower_linear(std::int32_t id) {
  const GraphNode& current = node(id);
  const Type& weight_type = graph_.type(current.inputs[1]);
  const View x = converted_input(id, 0, DType::f32);
  View y = result_view(id);
  const View result = y;
  if (y.elements() == 0) return;
  if (y.dtype != DType::f32) y = new_array({DType::f32, y.shape}, fmt::format("%{} f32", id));

  const bool is_constant = graph_.node(current.inputs[1]).op == Op::constant;
  if (is_constant && tools_.precision == Precision::fast) {
    const bool many_rows = graph_.phase == Phase::prefill && weight_type.shape[0] <= most_panel_outputs;
    const PanelKernel* panel = many_rows ? find_panel_kernel(weight_type.dtype, tools_.isa) : nullptr;
    if (panel)
      lower_linear_panel(id, x, y, current.inputs[1], *panel);
    else
      lower_linear_packed(id, x, y, current.inputs[1]);
  } else if (is_constant) {
    const auto weight = tools_.weights.dequantised(graph_.node(current.inputs[1]), tools_.executor);
    result_.weights.push_back(weight);
    const Type type{DType::f32, weight_type.shape};
    lower_linear_f32(id, x, y, whole_buffer(add_constant(weight->dequantised, type, graph_.node(current.inputs[1]).label), type));
  } else if (is_quantised(weight_type.dtype)) {
    reject(id, "a quantised weight must be a constant");
  } else {
    lower_linear_f32(id, x, y, converted_input(id, 1, DType::f32));
  }
  if (result.dtype != DType::f32) lower_copy(id, y, result);
}

// The int8 form of x, made once for all its readers.
int Lowering::quantised_rows_of(std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = quantised_.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const int target = add_scratch(static_cast<std::int64_t>(quantised_rows_bytes(rows, cols)), fmt::format("%{} int8 rows", id));
  entry->second = target;
  const QuantiseRowsKernel& kernel = find_quantise_rows_kernel(tools_.isa);
  Step& step = add_step(id, "quantise_rows", kernel.name, {x.buffer}, {target});
  step.units = rows;
  step.split = rows * cols >= 32 * 1024;
  step.run = [=, quantise = kernel.quantise](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    quantise(memory.as<const float>(x), cols, begin, end, quantised_rows(memory.base(target), rows, cols));
  };
  return target;
}

// The bf16 tiles of x, likewise.
int Lowering::tiled_rows_of(std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = tiled_.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const auto bytes = static_cast<std::int64_t>(tiled_rows_bytes(rows, cols));
  const int target = add_scratch(bytes, fmt::format("%{} bf16 tiles", id));
  entry->second = target;
  const TileRowsKernel& kernel = *find_tile_rows_kernel(tools_.isa);
  Step& step = add_step(id, "tile_rows", kernel.name, {x.buffer}, {target});
  step.units = bytes / (tiled_rows(nullptr, rows, cols).steps * 1024);
  step.split = rows * cols >= 32 * 1024;
  step.run = [=, tile = kernel.tile](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    tile(memory.as<const float>(x), cols, begin, end, tiled_rows(memory.base(target), rows, cols));
  };
  return target;
}

// Prompts: every weight is dequantised once a step, whatever the rows of the chunk, so that chunks agree bit for bit.
void Lowering::lower_linear_panel(std::int32_t id, const View& x, const View& y, ValueId weight_value, const PanelKernel& kernel) {
  const GraphNode& constant = graph_.node(weight_value);
  const auto stored = tools_.weights.packed(constant, tools_.executor);
  result_.weights.push_back(stored);
  const int weight = add_constant(stored->packed.data, constant.type(), constant.label);
  const std::int64_t rows = rows_of(x), cols = x.shape.back(), outputs = constant.type().shape[0];
  const PackedWeightView packed = lazuli::view(stored->packed);
  const int operand = tiled_rows_of(id, x);
  const std::int64_t scratch_bytes =
      panel_scratch_weights + panel_scratch_row * std::min(panel_scratch_rows, (rows + 31) / 32 * 32);
  const int scratch = add_scratch(scratch_bytes * tools_.executor.size(), fmt::format("%{} panels", id));
  Step& step = add_step(id, node(id).name(), kernel.name, {operand, weight}, {y.buffer});
  step.writes.push_back(scratch);
  // Pairs of groups share a panel.
  const std::int64_t groups = stored->packed.groups();
  step.units = (groups + 1) / 2;
  step.split = step.units > 1;
  step.run = [=, multiply = kernel.multiply](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    multiply(packed, tiled_rows(memory.base(operand), rows, cols), 2 * begin, std::min(2 * end, groups), memory.as<float>(y),
             outputs, reinterpret_cast<std::uint8_t*>(memory.base(scratch) + worker * scratch_bytes));
  };
}

void Lowering::lower_linear_packed(std::int32_t id, const View& x, const View& y, ValueId weight_value) {
  const GraphNode& constant = graph_.node(weight_value);
  const auto stored = tools_.weights.packed(constant, tools_.executor);
  result_.weights.push_back(stored);
  const LinearKernel* kernel = find_linear_kernel(stored->packed.source, tools_.isa);
  if (kernel == nullptr) reject(id, "no matmul kernel takes this weight type");
  const int weight = add_constant(stored->packed.data, constant.type(), constant.label);
  const std::int64_t rows = rows_of(x), cols = x.shape.back(), outputs = constant.type().shape[0];
  const PackedWeightView packed = lazuli::view(stored->packed);
  const int operand = kernel->multiply ? quantised_rows_of(id, x) : x.buffer;

  Step& step = add_step(id, node(id).name(), kernel->name, {operand, weight}, {y.buffer});
  step.units = stored->packed.groups();
  step.split = step.units > 1;
  if (kernel->multiply)
    step.run = [=, multiply = kernel->multiply](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
      multiply(packed, quantised_rows(memory.base(operand), rows, cols), begin, end, 0, rows, memory.as<float>(y), outputs);
    };
  else
    step.run = [=, multiply = kernel->multiply_real](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
      multiply(packed, RealRowsView{memory.as<const float>(x), rows, cols, cols}, begin, end, 0, rows, memory.as<float>(y), outputs);
    };
}

void Lowering::lower_linear_f32(std::int32_t id, const View& x, const View& y, const View& weight) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back(), outputs = weight.shape[0];
  const int workers = tools_.executor.size();
  Step& step = add_step(id, node(id).name(), "openblas_sgemm", {x.buffer, weight.buffer}, {y.buffer});
  step.units = workers;
  step.split = true;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t stride = std::max<std::int64_t>(cols, 1);
    Sgemm product{RightOperand::rows_are_columns_of_c, rows, outputs, cols, memory.as<const float>(x), stride,
                  memory.as<const float>(weight), stride, memory.as<float>(y), outputs};
    for (std::int64_t part = begin; part < end; ++part) sgemm(sgemm_slice(product, static_cast<int>(part), workers));
  };
}

// [..., M, K] x [..., K, N]: one product per batch index; the batches divide over the threads, or a single product does.
void Lowering::lower_matmul(std::int32_t id) {
  const View a = converted_input(id, 0, DType::f32);
  View b = view(node(id).inputs[1]);
  // A right operand that is a transposed view is read as it lies.
  const std::size_t rank = b.shape.size();
  const bool transposed = b.dtype == DType::f32 && b.strides[rank - 2] == 1 && b.shape[rank - 1] > 1 && b.strides[rank - 1] >= b.shape[rank - 2];
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

  Step& step = add_step(id, node(id).name(), "openblas_sgemm", {a.buffer, b.buffer}, {y.buffer});
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
      const Sgemm product{transposed ? RightOperand::rows_are_columns_of_c : RightOperand::rows_are_inner, m, n, k,
                          memory.as<const float>(a) + a_offset, std::max<std::int64_t>(k, 1),
                          memory.as<const float>(b) + b_offset, std::max({ldb, transposed ? k : n, std::int64_t{1}}),
                          memory.as<float>(y) + y_offset, n};
      sgemm(single ? sgemm_slice(product, static_cast<int>(unit), workers) : product);
    }
  };
  if (result.dtype != DType::f32) lower_copy(id, y, result);
}

}  // namespace lazuli::cpu
