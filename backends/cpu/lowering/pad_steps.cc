// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/pad_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <cstring>

namespace lazuli::cpu {
namespace {

// The result as rows: the axes before the last one that grows are counted, that one and what follows it is a row.
struct PaddedRows {
  Shape from, to;                     // sizes of the counted axes
  Dims before;                        // and where x begins along them
  std::int64_t row = 1;               // elements of a row of the result
  std::int64_t first = 0, count = 1;  // those of x in it

  std::int64_t rows() const { return element_count(to); }

  // The row of x that stands in row `index` of the result; -1: none.
  std::int64_t source_of(std::int64_t index) const {
    std::int64_t source = 0, step = 1;
    for (std::size_t axis = to.size(); axis-- > 0; index /= to[axis]) {
      const std::int64_t position = index % to[axis] - before[axis];
      if (position < 0 || position >= from[axis]) return -1;
      source += position * step;
      step *= from[axis];
    }
    return source;
  }
};

PaddedRows padded_rows(const Shape& from, const Shape& to, const PadAttrs& attrs) {
  std::size_t last = from.size();
  while (last > 0 && from[last - 1] == to[last - 1]) --last;
  PaddedRows rows;
  for (std::size_t axis = last; axis < from.size(); ++axis) rows.row *= from[axis];
  rows.count = rows.row;
  if (last == 0) return rows;
  const std::size_t grows = last - 1;
  rows.first = attrs.before[grows] * rows.count;
  rows.count *= from[grows];
  rows.row *= to[grows];
  const auto end = static_cast<std::ptrdiff_t>(grows);
  rows.from.assign(from.begin(), from.begin() + end);
  rows.to.assign(to.begin(), to.begin() + end);
  rows.before.assign(attrs.before.begin(), attrs.before.begin() + end);
  return rows;
}

template <class Word>
void write_row(const std::byte* source, std::byte* target, const PaddedRows& rows, const std::byte* value) {
  auto* to = reinterpret_cast<Word*>(target);
  const Word fill = *reinterpret_cast<const Word*>(value);
  if (!source) {
    std::fill_n(to, rows.row, fill);
    return;
  }
  std::fill_n(to, rows.first, fill);
  if (rows.count > 0) std::memcpy(to + rows.first, source, static_cast<std::size_t>(rows.count) * sizeof(Word));
  std::fill(to + rows.first + rows.count, to + rows.row, fill);
}

using WriteRow = void (*)(const std::byte* source, std::byte* target, const PaddedRows& rows, const std::byte* value);
WriteRow write_row_of(int element_bytes) {
  switch (element_bytes) {
    case 1:
      return write_row<std::uint8_t>;
    case 2:
      return write_row<std::uint16_t>;
    case 4:
      return write_row<std::uint32_t>;
    default:
      return write_row<std::uint64_t>;
  }
}

}  // namespace

void lower_pad(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = contiguous_input(builder, id, 0), value = builder.operand(id, 1);
  const View target = builder.result_view(id);
  if (target.elements() == 0) return;
  const PaddedRows rows = padded_rows(source.shape, target.shape, current.as<PadAttrs>());
  const std::int64_t element = info(target.dtype).block_bytes;
  Step& step = builder.add_step(id, current.name(), "pad", {source.buffer, value.buffer}, {target.buffer});
  step.units = rows.rows();
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=, write = write_row_of(info(target.dtype).block_bytes)](const Memory& memory, std::int64_t begin,
                                                                       std::int64_t end, int) {
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t from = rows.source_of(index);
      const std::byte* row = from < 0 ? nullptr : memory.at(source) + from * rows.count * element;
      write(row, memory.at(target) + index * rows.row * element, rows, memory.at(value));
    }
  };
}

}  // namespace lazuli::cpu
