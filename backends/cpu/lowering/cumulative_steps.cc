// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/rows/cumulative.h>
#include <lazuli/backends/cpu/lowering/cumulative_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

Cumulation cumulation_of(Op op) {
  switch (op) {
    case Op::cumsum:
      return Cumulation::sum;
    case Op::cumprod:
      return Cumulation::product;
    case Op::cummax:
      return Cumulation::maximum;
    default:
      return Cumulation::minimum;
  }
}

}  // namespace

// Along the axis one element follows another; the other axes divide over the threads.
void lower_cumulative(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto& [axis, reverse, exclusive] = current.as<CumulativeAttrs>();
  const View source = contiguous_input(builder, id, 0), target = builder.result_view(id);
  const CumulativeKernel kernel = cumulative_kernel(source.dtype, cumulation_of(current.op));
  if (!kernel) builder.reject(id, fmt::format("no kernel takes {}", to_string(source.dtype)));
  if (target.elements() == 0) return;
  const auto along = source.shape.begin() + axis;
  const CumulativePlane plane{*along, element_count(Shape(along + 1, source.shape.end())), reverse, exclusive};
  const std::int64_t blocks = (plane.inner + cumulative_columns - 1) / cumulative_columns;
  const std::int64_t plane_bytes = byte_size(source.dtype, plane.size * plane.inner);
  Step& step = builder.add_step(id, current.name(), std::string(current.name()), {source.buffer}, {target.buffer});
  step.units = element_count(Shape(source.shape.begin(), along)) * blocks;
  step.row_major = true;
  step.split = step.units > 1 && worth_splitting(step.bytes, source.elements() * scalar_operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t at = unit / blocks * plane_bytes, first = unit % blocks * cumulative_columns;
      kernel(memory.at(source) + at, memory.at(target) + at, plane, first,
             std::min(first + cumulative_columns, plane.inner));
    }
  };
}

}  // namespace lazuli::cpu
