// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/rows/sort.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/sort_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <numeric>

namespace lazuli::cpu {

// Rows are sorted by themselves. Along another axis than the last the operand and the result are copied.
void lower_sort(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto axis = static_cast<std::size_t>(current.as<AxisAttrs>().axis);
  Dims permutation(current.type().shape.size());
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[axis], permutation.back());
  View source = *apply_view(Op::transpose, TransposeAttrs{permutation}, builder.operand(id, 0));
  const SortRows kernel = sort_rows(source.dtype);
  if (!kernel) builder.reject(id, fmt::format("no kernel takes {}", to_string(source.dtype)));
  const View result = *apply_view(Op::transpose, TransposeAttrs{permutation}, builder.result_view(id));
  if (result.elements() == 0) return;
  if (!source.contiguous()) source = copy_to_contiguous(builder, source, id);
  const View sorted =
      result.contiguous() ? result : builder.new_array({result.dtype, result.shape}, fmt::format("%{} sorted", id));

  const std::int64_t columns = source.shape.back();
  const bool wants_indices = current.op == Op::argsort;
  Step& step = builder.add_step(id, current.name(), std::string(current.name()), {source.buffer}, {sorted.buffer});
  step.units = source.elements() / columns;
  step.row_major = true;
  step.split = step.units > 1 && worth_splitting(step.bytes, source.elements() * scalar_operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    kernel(memory.at(source), columns, begin, end, wants_indices ? nullptr : memory.at(sorted),
           wants_indices ? memory.as<std::int32_t>(sorted) : nullptr);
  };
  if (!result.contiguous()) lower_copy(builder, id, sorted, result);
}

}  // namespace lazuli::cpu
