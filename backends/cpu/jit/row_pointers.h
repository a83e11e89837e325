// SPDX-License-Identifier: MIT
// Addresses in generated code: where each operand's row begins, and loads and stores of `lanes` columns
// from there.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>

#include <array>
#include <vector>

namespace lazuli::cpu::jit {

// Columns [first, first + lanes) of the row; of a tail only the first `count`.
struct ColumnBlock {
  llvm::Value* first = nullptr;
  llvm::Value* count = nullptr;  // i64; nullptr: all lanes
  llvm::Value* mask = nullptr;   // which lanes are columns; nullptr: all
};

class RowPointers {
 public:
  struct Operand {
    DType dtype;
    ColumnAccess access;
  };

  // In the entry block. `arguments` is a LoopArguments*; rows start at `row_begin`.
  RowPointers(Emitter& emit, llvm::Value* arguments, llvm::Value* row_begin, std::vector<Operand> operands);
  llvm::Value* columns() const { return columns_; }
  // In the entry block: the number at `position` of those the run brings, as computed.
  llvm::Value* load_number(std::size_t position, DType dtype);

  // At the top of the row loop, whose body is entered from `entry`.
  void begin_row(llvm::BasicBlock* entry);
  // At the end of the row loop's body, before it branches back.
  void end_row();

  // One element: broadcast operands, and uniform values.
  llvm::Value* load(int operand);
  void store(int operand, llvm::Value* value);
  // `lanes` elements along the columns. Lanes that are no columns are unspecified.
  llvm::Value* load(int operand, const ColumnBlock& block);
  void store(int operand, llvm::Value* value, const ColumnBlock& block);

 private:
  static constexpr int dims = loop_outer_dims;
  struct State {
    Operand operand;
    llvm::Value* row = nullptr;            // address of column 0
    llvm::Value* row_ahead = nullptr;      // the same, one prefetch distance on; of contiguous operands
    llvm::Value* column_stride = nullptr;  // elements; of strided operands
  };

  llvm::Value* field(llvm::Type* type, llvm::Value* base, std::size_t byte_offset);
  llvm::Value* column_address(const State& state, llvm::Value* column);
  llvm::Value* load_tail(const State& state, const ColumnBlock& block);
  void store_tail(const State& state, llvm::Value* stored, const ColumnBlock& block);
  llvm::Value* gather(const State& state, const ColumnBlock& block);
  void scatter(const State& state, llvm::Value* stored, const ColumnBlock& block);
  void scatter_tail(const State& state, llvm::Value* stored, const ColumnBlock& block);
  llvm::Value* stride_of(const State& state);
  void prefetch(const State& state, llvm::Value* column);
  llvm::Value* buffer_for(llvm::Type* type);

  Emitter& emit_;
  llvm::Value* operands_ = nullptr;  // the argument table
  llvm::Value* numbers_ = nullptr;
  llvm::Value* columns_ = nullptr;
  std::array<llvm::Value*, dims> sizes_{};
  std::array<llvm::Value*, dims> first_index_{};
  std::array<llvm::PHINode*, dims> index_{};  // of the current row
  std::vector<State> states_;
};

}  // namespace lazuli::cpu::jit
