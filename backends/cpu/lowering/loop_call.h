// SPDX-License-Identifier: MIT
// One call of a generated loop over operands in memory, and how it divides: by rows, or by ranges of its columns where
// there are few rows and no reduction runs along them.
#pragma once

#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/lowering/loop_space.h>
#include <lazuli/backends/cpu/program/step.h>

#include <memory>
#include <optional>
#include <vector>

namespace lazuli::cpu {

using RunNumbers = std::shared_ptr<const std::vector<std::uint64_t>>;  // LoopArguments::numbers

class LoopCall {
 public:
  // Of one loop; the fusion passes stay far below.
  static constexpr std::size_t max_operands = 128;

  // `numbers` may get other values between two runs.
  LoopCall(LoopFunction function, std::vector<View> operands, LoopSpace space, RunNumbers numbers);

  // From now on a unit is a range of the columns of a row, where rows alone are too few to divide the work.
  void divide_columns();

  std::int64_t units() const { return rows() * column_ranges_; }
  std::int64_t rows() const { return space_.rows(); }
  std::int64_t columns() const { return space_.columns(); }
  std::int64_t elements() const { return element_count(space_.sizes); }
  std::int64_t bytes() const;  // of all operands; an element that is broadcast counts once
  const std::vector<View>& operands() const { return operands_; }
  // Whether ranges of the loop's rows are ranges of the operand's memory: it is a whole buffer, element after element,
  // which holds one value for each element of the loop, or for each row.
  bool follows_rows(std::size_t operand, const BufferInfo& buffer) const;

  void run_units(const Memory& memory, std::int64_t begin, std::int64_t end) const;
  void run(const Memory& memory, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
           std::int64_t column_end) const;

 private:
  // An operand before its buffer has an address.
  struct PlacedOperand {
    LoopOperand strides;
    std::int64_t offset = 0;  // in bytes
    int buffer = -1;
    int element_bytes = 0;
  };

  std::size_t first_inner() const;
  std::size_t inner_place(std::size_t axis) const { return loop_outer_dims + 1 + axis - space_.sizes.size(); }
  PlacedOperand place(std::size_t operand) const;
  template <std::size_t room>
  void run_in_room_for(const Memory& memory, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                       std::int64_t column_end) const;
  std::int64_t prefetch_distance(const PlacedOperand& operand, std::int64_t columns) const;
  std::int64_t outermost_offset(std::size_t operand, std::int64_t block) const;

  LoopFunction function_;
  std::int64_t column_ranges_ = 1;
  std::int64_t inner_rows_ = 1;  // of one call of the function
  std::int64_t outer_sizes_[loop_outer_dims] = {1, 1, 1};
  // What a run reads of each operand; everything else would be fetched from memory again for every layer.
  std::vector<PlacedOperand> placed_;
  std::vector<View> operands_;
  LoopSpace space_;
  RunNumbers numbers_;
};

// The loop cut into `extent` equal parts of its rows, or of its columns where it has been flattened into one row; none
// where it does not divide so. Of the buffers `own` a part touches its own range and nothing else.
std::optional<Division> divide_rows(const std::shared_ptr<const LoopCall>& call, bool flattened, std::vector<int> own,
                                    std::int64_t extent);

}  // namespace lazuli::cpu
