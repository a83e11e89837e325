// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/axis_layout.h>
#include <lazuli/backends/cpu/lowering/donation.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/move_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/graph/types/philox.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>
#include <cstring>

namespace lazuli::cpu {
namespace {

// Rows of `count` values on their way into an array of `dtype`: from one of the same, or encoded from f32.
void copy_row(DType dtype, const std::byte* from, std::int64_t count, std::byte* to) {
  std::memcpy(to, from, static_cast<std::size_t>(byte_size(dtype, count)));
}

void encode_row(DType dtype, const std::byte* from, std::int64_t count, std::byte* to) {
  quantise(dtype, reinterpret_cast<const float*>(from), count, to);
}

}  // namespace

void lower_concatenate(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View target = builder.result_view(id);
  const auto axis = static_cast<int>(current.as<AxisAttrs>().axis);
  std::int64_t begin = 0;
  for (ValueId part : current.inputs) {
    const View source = builder.view(part);
    const std::int64_t size = source.shape[static_cast<std::size_t>(axis)];
    if (source.elements() > 0) lower_copy(builder, id, source, slice_view(target, axis, begin, begin + size));
    begin += size;
  }
}

// In place where the base can be taken over.
void lower_slice_update(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto [axis, ring] = current.as<SliceUpdateAttrs>();
  const View update = contiguous_input(builder, id, 1);
  const View start = builder.operand(id, 2);
  View base = builder.operand(id, 0);
  if (take_over(builder, id, 0, {update.buffer, start.buffer})) {
    builder.set_view({id, 0}, base);
  } else {
    const View copy = builder.result_view(id);
    lower_copy(builder, id, base, copy);
    base = copy;
  }
  const AxisLayout to = layout_around(base.shape, axis), from = layout_around(update.shape, axis);
  const std::int64_t row_bytes = byte_size(base.dtype, to.inner), update_bytes = byte_size(update.dtype, from.inner);
  const std::string where = fmt::format("slice_update (node %{}{})", id, Scope::where(current.scope));
  if (row_bytes * from.size * from.outer == 0) return;
  const bool encodes = is_quantised(base.dtype);
  const std::string kernel = std::string(encodes ? "encode_" : "") + (ring ? "ring_update" : "slice_update");
  Step& step = builder.add_step(id, current.name(), kernel, {update.buffer, start.buffer, base.buffer}, {base.buffer});
  step.bytes = from.outer * from.size * (update_bytes + row_bytes);
  step.units = from.outer * from.size;
  step.split = worth_splitting(step.bytes, 0);
  const auto write_row = encodes ? encode_row : copy_row;
  step.run = [=, is_ring = ring](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t first = *memory.as<const std::int32_t>(start);
    if (first < 0)
      throw ExecutionError(fmt::format("{}: start is {}, expected 0 or more", where, first),
                           {.kind = ErrorKind::execution, .expected = "0 or more", .found = fmt::format("{}", first)});
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t outer = unit / from.size;
      std::int64_t row = first + unit % from.size;
      if (is_ring) row %= to.size;
      if (row >= to.size) continue;
      write_row(base.dtype, memory.at(update) + unit * update_bytes, to.inner,
                memory.at(base) + (outer * to.size + row) * row_bytes);
    }
  };
  // Where rows land depends on `start`: the base is nobody's own part.
  if (from.outer == 1) builder.divide_by_rows(step, {update}, {}, from.size);
}

namespace {

// Copies the rows at `count` places one after the other; returns how many, which are fewer where a place is none of
// `size` rows. Rows of a size that is known are no calls of memcpy.
template <std::int64_t known_bytes>
std::int64_t copy_taken(const std::byte* rows, std::int64_t row_bytes, std::int64_t size, const std::int32_t* places,
                        std::int64_t count, std::byte* to) {
  const std::int64_t bytes = known_bytes > 0 ? known_bytes : row_bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = places[i];
    if (place < 0 || place >= size) return i;
    std::memcpy(to + i * bytes, rows + place * bytes, static_cast<std::size_t>(bytes));
  }
  return count;
}

using CopyTaken = decltype(&copy_taken<0>);
CopyTaken copy_taken_of(std::int64_t row_bytes) {
  switch (row_bytes) {
    case 1:
      return copy_taken<1>;
    case 2:
      return copy_taken<2>;
    case 4:
      return copy_taken<4>;
    case 8:
      return copy_taken<8>;
    case 16:
      return copy_taken<16>;
    default:
      return copy_taken<0>;
  }
}

}  // namespace

void lower_take(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const GraphNode& table = builder.graph().node(current.inputs[0]);
  const View indices = contiguous_input(builder, id, 1);
  const View target = builder.result_view(id);
  const std::string where = fmt::format("take (node %{}{})", id, Scope::where(current.scope));
  const std::int64_t count = indices.elements();
  const Type& type = builder.graph().type(current.inputs[0]);
  if (target.elements() == 0) return;

  if (is_quantised(type.dtype)) {
    const std::int64_t rows = type.shape[0], cols = layout_around(type.shape, 0).inner;
    const std::int64_t row_bytes = byte_size(type.dtype, cols);
    // Few rows of a large table: they are read as the checkpoint has them, wherever else the table is packed.
    const int buffer = table.op == Op::constant ? builder.add_constant(table.constant, type, table.label)
                                                : contiguous_input(builder, id, 0).buffer;
    Step& step = builder.add_step(id, current.name(), "take_dequantised", {buffer, indices.buffer}, {target.buffer});
    step.bytes = count * (row_bytes + cols * 4);
    if (table.op == Op::constant) step.weight_bytes = count * row_bytes;
    step.units = count;
    step.split = worth_splitting(step.bytes, 0);
    step.run = [=, dtype = type.dtype](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = checked_index(memory.as<const std::int32_t>(indices)[i], i, rows, where);
        dequantise(dtype, memory.base(buffer) + row * row_bytes, cols, memory.as<float>(target) + i * cols);
      }
    };
    builder.divide_by_rows(step, {target}, {}, count);
    return;
  }
  const View source = contiguous_input(builder, id, 0);
  const AxisLayout layout = layout_around(source.shape, current.as<AxisAttrs>().axis);
  const std::int64_t row_bytes = byte_size(source.dtype, layout.inner);
  Step& step = builder.add_step(id, current.name(), "take", {source.buffer, indices.buffer}, {target.buffer});
  step.bytes = 2 * byte_size(target.dtype, target.elements());
  step.weight_bytes = std::min(step.weight_bytes, step.bytes / 2);
  step.units = layout.outer * count;
  step.row_major = true;
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=, copy = copy_taken_of(row_bytes)](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const auto* places = memory.as<const std::int32_t>(indices);
    while (begin < end) {
      const std::int64_t outer = begin / count, first = begin % count, last = std::min(first + end - begin, count);
      const std::byte* rows = memory.at(source) + outer * layout.size * row_bytes;
      const std::int64_t copied =
          copy(rows, row_bytes, layout.size, places + first, last - first, memory.at(target) + begin * row_bytes);
      if (copied < last - first) checked_index(places[first + copied], first + copied, layout.size, where);
      begin += last - first;
    }
  };
}

void lower_gather(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = contiguous_input(builder, id, 0), indices = contiguous_input(builder, id, 1);
  const View target = builder.result_view(id);
  const std::string where = fmt::format("gather (node %{}{})", id, Scope::where(current.scope));
  const std::int64_t axis = current.as<AxisAttrs>().axis;
  const AxisLayout from = layout_around(source.shape, axis), to = layout_around(target.shape, axis);
  const auto element = static_cast<std::size_t>(info(source.dtype).block_bytes);
  if (target.elements() == 0) return;
  Step& step = builder.add_step(id, current.name(), "gather", {source.buffer, indices.buffer}, {target.buffer});
  step.units = target.elements();
  step.row_major = true;
  step.split = worth_splitting(2 * byte_size(target.dtype, step.units), 0);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t outer = unit / (to.size * to.inner), inner = unit % to.inner;
      const std::int64_t row = checked_index(memory.as<const std::int32_t>(indices)[unit], unit, from.size, where);
      std::memcpy(
          memory.at(target) + static_cast<std::size_t>(unit) * element,
          memory.at(source) + static_cast<std::size_t>((outer * from.size + row) * from.inner + inner) * element,
          element);
    }
  };
}

void lower_generator(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View target = builder.result_view(id);
  const DType dtype = target.dtype;
  const auto element = info(dtype).block_bytes;
  if (target.elements() == 0) return;
  Step& step = builder.add_step(id, current.name(), std::string(current.name()), {}, {target.buffer});
  step.units = target.elements();
  step.split = worth_splitting(step.bytes, step.units * scalar_operations);
  auto fill = [=](auto value_at) {
    return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) store_scalar(value_at(i), dtype, memory.at(target) + i * element);
    };
  };
  if (current.op == Op::iota) {
    step.run = fill([](std::int64_t i) { return static_cast<double>(i); });
  } else {
    const std::int64_t key = current.as<RandomAttrs>().key;
    if (current.op == Op::random_uniform)
      step.run = fill([key, dtype](std::int64_t i) { return random_uniform(key, i, dtype); });
    else
      step.run = fill([key, dtype](std::int64_t i) { return random_normal(key, i, dtype); });
  }
}

}  // namespace lazuli::cpu
