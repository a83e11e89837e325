// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/axis_layout.h>
#include <lazuli/backends/cpu/lowering/donation.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/scatter_steps.h>
#include <lazuli/backends/cpu/lowering/scatter_updates.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <cstring>

namespace lazuli::cpu {
namespace {

std::string place_of(const ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  return fmt::format("{} (node %{}{})", current.name(), id, Scope::where(current.scope));
}

// Slices of an array by indices [..., k] of its axes from `first` on.
struct IndexedSlices {
  std::int64_t tuples = 1, per_batch = 1;  // index tuples, and those that share the axes before `first`
  std::int64_t batch_slices = 1;           // slices under one index of those axes
  std::int64_t slice = 1;                  // elements of one
  Shape sizes;                             // of the indexed axes
  std::string where;

  // The slice that tuple `position` names.
  std::int64_t slice_of(const std::int32_t* indices, std::int64_t position) const {
    const auto axes = static_cast<std::int64_t>(sizes.size());
    std::int64_t found = 0;
    for (std::int64_t axis = 0; axis < axes; ++axis) {
      const std::int64_t size = sizes[static_cast<std::size_t>(axis)], at = position * axes + axis;
      found = found * size + checked_index(indices[at], at, size, where);
    }
    return position / per_batch * batch_slices + found;
  }
};

IndexedSlices indexed_slices(const Shape& x, const Shape& indices, std::int64_t first, std::string where) {
  IndexedSlices slices;
  slices.where = std::move(where);
  const auto begin = x.begin() + first, end = begin + indices.back();
  slices.sizes.assign(begin, end);
  slices.batch_slices = element_count(slices.sizes);
  slices.slice = element_count({end, x.end()});
  slices.per_batch = element_count({indices.begin() + first, indices.end() - 1});
  slices.tuples = element_count({indices.begin(), indices.end() - 1});
  return slices;
}

// The base of a scatter where it may be written: in place where it can be taken over, else a copy.
View writable_base(ProgramBuilder& builder, std::int32_t id, const View& indices, const View& updates) {
  const View base = builder.operand(id, 0);
  if (take_over(builder, id, 0, {indices.buffer, updates.buffer})) {
    builder.set_view({id, 0}, base);
    return base;
  }
  const View copy = builder.result_view(id);
  lower_copy(builder, id, base, copy);
  return copy;
}

Step& add_scatter_step(ProgramBuilder& builder, std::int32_t id, const View& base, const View& indices,
                       const View& updates) {
  const GraphNode& current = builder.node(id);
  Step& step = builder.add_step(id, current.name(), std::string(current.name()),
                                {indices.buffer, updates.buffer, base.buffer}, {base.buffer});
  step.bytes = byte_size(indices.dtype, indices.elements()) + 3 * byte_size(updates.dtype, updates.elements());
  step.split = worth_splitting(step.bytes, updates.elements() * scalar_operations);
  return step;
}

}  // namespace

void lower_gather_nd(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = contiguous_input(builder, id, 0), indices = contiguous_input(builder, id, 1);
  const View target = builder.result_view(id);
  if (target.elements() == 0) return;
  const IndexedSlices slices =
      indexed_slices(source.shape, indices.shape, current.as<GatherNdAttrs>().batch_dims, place_of(builder, id));
  const std::int64_t bytes = byte_size(source.dtype, slices.slice);
  Step& step = builder.add_step(id, current.name(), "gather_nd", {source.buffer, indices.buffer}, {target.buffer});
  step.bytes = 2 * slices.tuples * bytes + byte_size(indices.dtype, indices.elements());
  step.weight_bytes = std::min(step.weight_bytes, slices.tuples * bytes);
  step.units = slices.tuples;
  step.split = worth_splitting(step.bytes, slices.tuples * scalar_operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t tuple = begin; tuple < end; ++tuple)
      std::memcpy(memory.at(target) + tuple * bytes,
                  memory.at(source) + slices.slice_of(memory.as<const std::int32_t>(indices), tuple) * bytes,
                  static_cast<std::size_t>(bytes));
  };
}

// A unit is what lies at one place of the other axes: nobody else writes there, so that updates of one element follow
// each other in order, however many threads there are.
void lower_scatter(ProgramBuilder& builder, std::int32_t id) {
  const auto& [axis, reduction] = builder.node(id).as<ScatterAttrs>();
  const View indices = contiguous_input(builder, id, 1), updates = contiguous_input(builder, id, 2);
  const View base = writable_base(builder, id, indices, updates);
  if (updates.elements() == 0) return;
  const AxisLayout to = layout_around(base.shape, axis);
  const std::int64_t rows = indices.shape[static_cast<std::size_t>(axis)], element = info(base.dtype).block_bytes;
  const Apply apply = apply_of(reduction, base.dtype);
  Step& step = add_scatter_step(builder, id, base, indices, updates);
  step.units = to.outer * to.inner;
  step.run = [=, where = place_of(builder, id)](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const auto* chosen = memory.as<const std::int32_t>(indices);
    while (begin < end) {
      const std::int64_t outer = begin / to.inner, first = begin % to.inner,
                         last = std::min(to.inner, first + end - begin);
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t inner = first; inner < last; ++inner) {
          const std::int64_t from = (outer * rows + row) * to.inner + inner;
          const std::int64_t target = outer * to.size + checked_index(chosen[from], from, to.size, where);
          apply(memory.at(base) + (target * to.inner + inner) * element, memory.at(updates) + from * element, 1);
        }
      begin += last - first;
    }
  };
}

// A unit is a slice of the base. Every worker looks at all indices and applies those that name its slices: what goes to
// one slice follows in order, however many threads there are.
void lower_scatter_nd(ProgramBuilder& builder, std::int32_t id) {
  const View indices = contiguous_input(builder, id, 1), updates = contiguous_input(builder, id, 2);
  const View base = writable_base(builder, id, indices, updates);
  if (updates.elements() == 0) return;
  const IndexedSlices slices = indexed_slices(base.shape, indices.shape, 0, place_of(builder, id));
  const std::int64_t bytes = byte_size(base.dtype, slices.slice);
  const Apply apply = apply_of(builder.node(id).as<ScatterNdAttrs>().reduction, base.dtype);
  Step& step = add_scatter_step(builder, id, base, indices, updates);
  // One, where there is nothing to write to: the indices are still looked at, and are wrong.
  step.units = std::max<std::int64_t>(slices.batch_slices, 1);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t tuple = 0; tuple < slices.tuples; ++tuple) {
      const std::int64_t slice = slices.slice_of(memory.as<const std::int32_t>(indices), tuple);
      if (slice < begin || slice >= end) continue;
      apply(memory.at(base) + slice * bytes, memory.at(updates) + tuple * bytes, slices.slice);
    }
  };
}

}  // namespace lazuli::cpu
