// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/row_pointers.h>
#include <llvm/IR/Intrinsics.h>

#include <cstddef>

namespace lazuli::cpu::jit {

using llvm::Value;

namespace {

llvm::Align element_alignment(DType dtype) { return llvm::Align(static_cast<std::uint64_t>(info(dtype).block_bytes)); }

}  // namespace

RowPointers::RowPointers(Emitter& emit, Value* arguments, Value* row_begin, std::vector<Operand> operands)
    : emit_(emit) {
  llvm::IRBuilder<>& ir = emit.ir;
  columns_ = field(ir.getInt64Ty(), arguments, offsetof(LoopArguments, columns));
  for (std::size_t d = 0; d < dims; ++d)
    sizes_[d] = field(ir.getInt64Ty(), arguments, offsetof(LoopArguments, outer_sizes) + d * sizeof(std::int64_t));
  operands_ = field(ir.getPtrTy(), arguments, offsetof(LoopArguments, operands));
  numbers_ = field(ir.getPtrTy(), arguments, offsetof(LoopArguments, numbers));
  for (const Operand& operand : operands) states_.push_back({operand});
  Value* rest = row_begin;
  for (std::size_t d = dims - 1; d > 0; --d) {
    first_index_[d] = ir.CreateURem(rest, sizes_[d]);
    rest = ir.CreateUDiv(rest, sizes_[d]);
  }
  first_index_[0] = rest;
}

Value* RowPointers::field(llvm::Type* type, Value* base, std::size_t byte_offset) {
  return emit_.ir.CreateLoad(type, emit_.ir.CreateConstInBoundsGEP1_64(emit_.ir.getInt8Ty(), base, byte_offset));
}

Value* RowPointers::load_number(std::size_t position, DType dtype) {
  llvm::Type* type = memory_type(emit_.ir.getContext(), dtype);
  return from_memory(emit_, dtype, field(type, numbers_, position * sizeof(std::uint64_t)));
}

// Indices are counted from row to row; addresses are then products, read from the table anew for every row. Keeping
// them in registers would cost more in spills, and in compile time, than it saves.
void RowPointers::begin_row(llvm::BasicBlock* entry) {
  llvm::IRBuilder<>& ir = emit_.ir;
  for (std::size_t d = 0; d < dims; ++d) {
    index_[d] = ir.CreatePHI(ir.getInt64Ty(), 2);
    index_[d]->addIncoming(first_index_[d], entry);
  }
  for (std::size_t k = 0; k < states_.size(); ++k) {
    State& state = states_[k];
    const std::size_t at = k * sizeof(LoopOperand);
    Value* offset = ir.getInt64(0);
    for (std::size_t d = 0; d < dims; ++d) {
      Value* stride =
          field(ir.getInt64Ty(), operands_, at + offsetof(LoopOperand, outer_strides) + d * sizeof(std::int64_t));
      offset = ir.CreateAdd(offset, ir.CreateMul(index_[d], stride));
    }
    Value* base = field(ir.getPtrTy(), operands_, at + offsetof(LoopOperand, base));
    state.row = ir.CreateGEP(memory_type(ir.getContext(), state.operand.dtype), base, offset);
    if (state.operand.access == ColumnAccess::strided)
      state.column_stride = field(ir.getInt64Ty(), operands_, at + offsetof(LoopOperand, column_stride));
    if (state.operand.access == ColumnAccess::contiguous) {
      Value* distance = field(ir.getInt64Ty(), operands_, at + offsetof(LoopOperand, prefetch_distance));
      state.row_ahead = ir.CreateGEP(ir.getInt8Ty(), state.row, distance);
    }
  }
}

void RowPointers::end_row() {
  llvm::IRBuilder<>& ir = emit_.ir;
  llvm::BasicBlock* latch = ir.GetInsertBlock();
  Value* carry = ir.getInt64(1);
  for (std::size_t d = dims - 1; d > 0; --d) {
    Value* next = ir.CreateAdd(index_[d], carry);
    Value* wraps = ir.CreateICmpEQ(next, sizes_[d]);
    index_[d]->addIncoming(ir.CreateSelect(wraps, ir.getInt64(0), next), latch);
    carry = ir.CreateZExt(wraps, ir.getInt64Ty());
  }
  index_[0]->addIncoming(ir.CreateAdd(index_[0], carry), latch);
}

Value* RowPointers::load(int operand) {
  const State& state = states_[static_cast<std::size_t>(operand)];
  llvm::Type* type = memory_type(emit_.ir.getContext(), state.operand.dtype);
  return from_memory(emit_, state.operand.dtype,
                     emit_.ir.CreateAlignedLoad(type, state.row, element_alignment(state.operand.dtype)));
}

void RowPointers::store(int operand, Value* value) {
  const State& state = states_[static_cast<std::size_t>(operand)];
  emit_.ir.CreateAlignedStore(to_memory(emit_, state.operand.dtype, value), state.row,
                              element_alignment(state.operand.dtype));
}

Value* RowPointers::column_address(const State& state, Value* column) {
  llvm::IRBuilder<>& ir = emit_.ir;
  if (state.operand.access == ColumnAccess::strided) column = ir.CreateMul(column, state.column_stride);
  return ir.CreateGEP(memory_type(ir.getContext(), state.operand.dtype), state.row, column);
}

Value* RowPointers::load(int operand, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  const State& state = states_[static_cast<std::size_t>(operand)];
  const DType dtype = state.operand.dtype;
  if (state.operand.access == ColumnAccess::strided) return from_memory(emit_, dtype, gather(state, block));
  if (block.count) return from_memory(emit_, dtype, load_tail(state, block));
  auto* type = llvm::FixedVectorType::get(memory_type(ir.getContext(), dtype), lanes);
  prefetch(state, block.first);
  return from_memory(emit_, dtype,
                     ir.CreateAlignedLoad(type, column_address(state, block.first), element_alignment(dtype)));
}

void RowPointers::store(int operand, Value* value, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  const State& state = states_[static_cast<std::size_t>(operand)];
  const DType dtype = state.operand.dtype;
  Value* stored = to_memory(emit_, dtype, value);
  if (state.operand.access == ColumnAccess::broadcast)  // there is one column
    ir.CreateAlignedStore(ir.CreateExtractElement(stored, std::uint64_t{0}), state.row, element_alignment(dtype));
  else if (state.operand.access == ColumnAccess::strided)
    block.count ? scatter_tail(state, stored, block) : scatter(state, stored, block);
  else if (block.count)
    store_tail(state, stored, block);
  else {
    prefetch(state, block.first);
    ir.CreateAlignedStore(stored, column_address(state, block.first), element_alignment(dtype));
  }
}

// The hardware's prefetcher stops at every page, and bodies of many instructions keep the processor from running far
// enough ahead to hide that: without this, [512,8192] gelu_mul takes twice as long.
void RowPointers::prefetch(const State& state, Value* column) {
  llvm::IRBuilder<>& ir = emit_.ir;
  constexpr int for_reading = 0, into_all_caches = 3, data = 1;  // stores too: prefetchw is not in the baseline
  // May lie outside the operand.
  Value* ahead = ir.CreateGEP(memory_type(ir.getContext(), state.operand.dtype), state.row_ahead, column);
  ir.CreateIntrinsic(llvm::Intrinsic::prefetch, {ahead->getType()},
                     {ahead, ir.getInt32(for_reading), ir.getInt32(into_all_caches), ir.getInt32(data)});
}

Value* RowPointers::buffer_for(llvm::Type* type) {
  llvm::BasicBlock* entry = &emit_.ir.GetInsertBlock()->getParent()->getEntryBlock();
  return llvm::IRBuilder<>(entry, entry->begin()).CreateAlloca(type);
}

// Without masked memory, tails go through a buffer on the stack: LLVM would branch for every lane.
Value* RowPointers::load_tail(const State& state, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  const llvm::Align alignment = element_alignment(state.operand.dtype);
  auto* type = llvm::FixedVectorType::get(memory_type(ir.getContext(), state.operand.dtype), lanes);
  Value* address = column_address(state, block.first);
  llvm::Constant* zero = llvm::Constant::getNullValue(type);
  if (emit_.target.masked_memory) return ir.CreateMaskedLoad(type, address, alignment, block.mask, zero);
  Value* buffer = buffer_for(type);
  ir.CreateStore(zero, buffer);
  ir.CreateMemCpy(buffer, llvm::MaybeAlign(), address, alignment,
                  ir.CreateMul(block.count, ir.getInt64(alignment.value())));
  return ir.CreateLoad(type, buffer);
}

void RowPointers::store_tail(const State& state, Value* stored, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  const llvm::Align alignment = element_alignment(state.operand.dtype);
  Value* address = column_address(state, block.first);
  if (emit_.target.masked_memory) {
    ir.CreateMaskedStore(stored, address, alignment, block.mask);
    return;
  }
  Value* buffer = buffer_for(stored->getType());
  ir.CreateStore(stored, buffer);
  ir.CreateMemCpy(address, alignment, buffer, llvm::MaybeAlign(),
                  ir.CreateMul(block.count, ir.getInt64(alignment.value())));
}

// Lanes past the tail read its first column again: no branches, nothing outside the operand is touched.
Value* RowPointers::gather(const State& state, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  llvm::Type* element = memory_type(ir.getContext(), state.operand.dtype);
  Value* first = column_address(state, block.first);
  Value* result = llvm::PoisonValue::get(llvm::FixedVectorType::get(element, lanes));
  for (std::uint64_t lane = 0; lane < lanes; ++lane) {
    Value* column = ir.getInt64(lane);
    if (block.count) column = ir.CreateSelect(ir.CreateICmpULT(column, block.count), column, ir.getInt64(0));
    Value* address = ir.CreateGEP(element, first, ir.CreateMul(column, state.column_stride));
    result = ir.CreateInsertElement(
        result, ir.CreateAlignedLoad(element, address, element_alignment(state.operand.dtype)), lane);
  }
  return result;
}

void RowPointers::scatter(const State& state, Value* stored, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  Value* first = column_address(state, block.first);
  for (std::uint64_t lane = 0; lane < lanes; ++lane) {
    Value* address =
        ir.CreateGEP(stored->getType()->getScalarType(), first, ir.CreateMul(ir.getInt64(lane), state.column_stride));
    ir.CreateAlignedStore(ir.CreateExtractElement(stored, lane), address, element_alignment(state.operand.dtype));
  }
}

// A loop over `count` elements of a buffer on the stack.
void RowPointers::scatter_tail(const State& state, Value* stored, const ColumnBlock& block) {
  llvm::IRBuilder<>& ir = emit_.ir;
  llvm::Function* function = ir.GetInsertBlock()->getParent();
  llvm::Type* element = stored->getType()->getScalarType();
  Value* buffer = buffer_for(stored->getType());
  ir.CreateStore(stored, buffer);
  Value* first = column_address(state, block.first);

  llvm::BasicBlock* before = ir.GetInsertBlock();
  auto* loop = llvm::BasicBlock::Create(ir.getContext(), "scatter", function);
  auto* after = llvm::BasicBlock::Create(ir.getContext(), "scattered", function);
  ir.CreateBr(loop);
  ir.SetInsertPoint(loop);
  llvm::PHINode* lane = ir.CreatePHI(ir.getInt64Ty(), 2);
  lane->addIncoming(ir.getInt64(0), before);
  Value* value = ir.CreateLoad(element, ir.CreateGEP(element, buffer, lane));
  Value* address = ir.CreateGEP(element, first, ir.CreateMul(lane, state.column_stride));
  ir.CreateAlignedStore(value, address, element_alignment(state.operand.dtype));
  Value* next = ir.CreateAdd(lane, ir.getInt64(1));
  lane->addIncoming(next, loop);
  ir.CreateCondBr(ir.CreateICmpULT(next, block.count), loop, after);
  ir.SetInsertPoint(after);
}

}  // namespace lazuli::cpu::jit
