// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/quantised_product_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>

namespace lazuli::cpu {

void add_quantised_product(ProgramBuilder& builder, std::int32_t id, const View& y) {
  const View x = converted_input(builder, id, 0, DType::f32), weight = contiguous_input(builder, id, 1);
  const LinearKernel& kernel = *find_linear_kernel(DType::f32, builder.tools().isa);
  const std::int64_t rows = rows_of(x), outputs = weight.shape[0], cols = weight.shape[1];
  // Two for each worker: a group of rows as they are decoded, and packed. Of no columns there is something as well.
  const auto group_bytes =
      static_cast<std::int64_t>(packed_bytes(DType::f32, packed_group_rows, std::max<std::int64_t>(cols, 1)));
  const int scratch = builder.add_scratch(2 * group_bytes * builder.workers(), fmt::format("%{} decoded", id));
  Step& step =
      builder.add_step(id, builder.node(id).name(), {kernel.name, kernel.isa}, {x.buffer, weight.buffer}, {y.buffer});
  step.kernels.emplace_back(fmt::format("dequantise_{}", to_string(weight.dtype)));
  step.writes.push_back(scratch);
  step.follows = true;
  const Extent rows_now = builder.extent(id, rows);
  step.units = (outputs + packed_group_rows - 1) / packed_group_rows;
  step.split = step.units > 1 && worth_splitting(step.bytes, step.operations + scalar_operations * weight.elements());
  step.run = [=, multiply = kernel.multiply_real](const Memory& memory, std::int64_t begin, std::int64_t end,
                                                  int worker) {
    std::byte* const own = memory.base(scratch) + 2 * group_bytes * worker;
    auto* const decoded = reinterpret_cast<float*>(own);
    auto* const packed = reinterpret_cast<std::uint8_t*>(own + group_bytes);
    const std::int64_t row_end = memory.now(rows_now);
    const RealRowsView all_rows{memory.as<const float>(x), row_end, cols, cols};
    for (std::int64_t group = begin; group < end; ++group) {
      const std::int64_t first = group * packed_group_rows,
                         count = std::min<std::int64_t>(outputs - first, packed_group_rows);
      dequantise(weight.dtype, memory.at(weight) + byte_size(weight.dtype, first * cols), count * cols, decoded);
      pack_strided(DType::f32, {decoded, count, cols, cols, 1}, packed, 0, 1);
      multiply(packed_view(DType::f32, count, cols, packed), all_rows, 0, 1, 0, row_end, memory.as<float>(y) + first,
               outputs);
    }
  };
}

}  // namespace lazuli::cpu
