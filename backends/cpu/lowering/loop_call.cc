// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/loop_call.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Columns of one call where rows alone do not divide the work.
constexpr std::int64_t columns_per_unit = 4096;

}  // namespace

LoopCall::LoopCall(LoopFunction function, std::vector<View> operands, LoopSpace space, RunNumbers numbers)
    : function_(function), operands_(std::move(operands)), space_(std::move(space)), numbers_(std::move(numbers)) {
  for (std::size_t axis = first_inner(); axis + 1 < space_.sizes.size(); ++axis) {
    outer_sizes_[inner_place(axis)] = space_.sizes[axis];
    inner_rows_ *= space_.sizes[axis];
  }
  for (std::size_t i = 0; i < operands_.size(); ++i) placed_.push_back(place(i));
}

void LoopCall::divide_columns() {
  constexpr std::int64_t enough_rows = 64;
  if (rows() < enough_rows && columns() > columns_per_unit)
    column_ranges_ = (columns() + columns_per_unit - 1) / columns_per_unit;
}

// The outer axes that the function knows are the last ones; those before them are counted here.
std::size_t LoopCall::first_inner() const {
  const std::size_t outer = space_.sizes.size() - 1;
  return outer > loop_outer_dims ? outer - loop_outer_dims : 0;
}

LoopCall::PlacedOperand LoopCall::place(std::size_t i) const {
  const Dims& strides = space_.strides[i];
  PlacedOperand operand;
  operand.buffer = operands_[i].buffer;
  operand.element_bytes = info(operands_[i].dtype).block_bytes;
  operand.offset = operands_[i].offset * operand.element_bytes;
  operand.strides.column_stride = strides.back();
  for (std::size_t axis = first_inner(); axis + 1 < strides.size(); ++axis)
    operand.strides.outer_strides[inner_place(axis)] = strides[axis];
  return operand;
}

std::int64_t LoopCall::bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    std::int64_t elements = 1;
    for (std::size_t axis = 0; axis < space_.sizes.size(); ++axis)
      if (space_.strides[i][axis] != 0) elements *= space_.sizes[axis];
    bytes += byte_size(operands_[i].dtype, elements);
  }
  return bytes;
}

bool LoopCall::follows_rows(std::size_t i, const BufferInfo& buffer) const {
  const View& operand = operands_[i];
  const Dims& strides = space_.strides[i];
  std::int64_t expected = 1;
  for (std::size_t axis = strides.size(); axis-- > 0;) {
    const bool narrow = axis + 1 == strides.size() && strides[axis] == 0;
    if (space_.sizes[axis] == 1 || narrow) continue;
    if (strides[axis] != expected) return false;
    expected *= space_.sizes[axis];
  }
  return operand.offset == 0 && byte_size(operand.dtype, expected) == buffer.bytes;
}

void LoopCall::run_units(const Memory& memory, std::int64_t begin, std::int64_t end) const {
  if (column_ranges_ == 1) return run(memory, begin, end, 0, columns());
  while (begin < end) {
    const std::int64_t row = begin / column_ranges_, range = begin % column_ranges_;
    const std::int64_t stop = std::min(end, (row + 1) * column_ranges_);
    run(memory, row, row + 1, range * columns_per_unit, std::min(columns(), (range + stop - begin) * columns_per_unit));
    begin = stop;
  }
}

void LoopCall::run(const Memory& memory, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                   std::int64_t column_end) const {
  constexpr std::size_t usual_operands = 16;  // setting up room for the most would take longer than a short loop
  if (placed_.size() <= usual_operands)
    run_in_room_for<usual_operands>(memory, row_begin, row_end, column_begin, column_end);
  else
    run_in_room_for<max_operands>(memory, row_begin, row_end, column_begin, column_end);
}

template <std::size_t room>
void LoopCall::run_in_room_for(const Memory& memory, std::int64_t row_begin, std::int64_t row_end,
                               std::int64_t column_begin, std::int64_t column_end) const {
  LoopOperand at[room];
  LoopArguments arguments;
  arguments.columns = column_end - column_begin;
  std::copy(std::begin(outer_sizes_), std::end(outer_sizes_), arguments.outer_sizes);
  arguments.operands = at;
  arguments.numbers = numbers_->data();
  while (row_begin < row_end) {
    const std::int64_t block = row_begin / inner_rows_;
    const std::int64_t stop = std::min(row_end, (block + 1) * inner_rows_);
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const PlacedOperand& operand = placed_[i];
      const std::int64_t elements = column_begin * operand.strides.column_stride + outermost_offset(i, block);
      at[i] = operand.strides;
      at[i].base = memory.base(operand.buffer) + operand.offset + elements * operand.element_bytes;
      at[i].prefetch_distance = prefetch_distance(operand, arguments.columns);
    }
    function_(&arguments, row_begin - block * inner_rows_, stop - block * inner_rows_);
    row_begin = stop;
  }
}

// To what is next after so many bytes of work: further along the row, or in a row to come where a call computes a part
// of longer rows.
std::int64_t LoopCall::prefetch_distance(const PlacedOperand& operand, std::int64_t columns) const {
  constexpr std::int64_t work_ahead = 2048;
  const std::int64_t computed = columns * operand.element_bytes;
  const std::int64_t row = operand.strides.outer_strides[loop_outer_dims - 1] * operand.element_bytes;
  if (outer_sizes_[loop_outer_dims - 1] == 1 || row == 0 || row == computed) return work_ahead;
  return (work_ahead + computed - 1) / computed * row;
}

// Of the axes that are counted here, in elements.
std::int64_t LoopCall::outermost_offset(std::size_t i, std::int64_t block) const {
  std::int64_t offset = 0;
  for (std::size_t axis = block == 0 ? 0 : first_inner(); axis-- > 0;) {
    offset += block % space_.sizes[axis] * space_.strides[i][axis];
    block /= space_.sizes[axis];
  }
  return offset;
}

std::optional<Division> divide_rows(const std::shared_ptr<const LoopCall>& call, bool flattened, std::vector<int> own,
                                    std::int64_t extent) {
  const std::int64_t size = flattened ? call->columns() : call->rows();
  if (size % extent != 0) return std::nullopt;
  const std::int64_t part = size / extent;
  return Division{extent, 1, std::move(own), [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
                    if (flattened)
                      call->run(memory, 0, 1, begin * part, end * part);
                    else
                      call->run(memory, begin * part, end * part, 0, call->columns());
                  }};
}

}  // namespace lazuli::cpu
