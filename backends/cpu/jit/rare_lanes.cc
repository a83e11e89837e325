// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/rare_lanes.h>
#include <llvm/IR/Module.h>

#include <string>

namespace lazuli::cpu::jit {

using llvm::Value;

Value* emit_for_rare_lanes(Emitter& emit, Value* rare, Value* usual, FunctionRef<Value*()> emit_rare) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Function* function = ir.GetInsertBlock()->getParent();
  Value* any = rare->getType()->isVectorTy() ? ir.CreateOrReduce(rare) : rare;
  llvm::BasicBlock* before = ir.GetInsertBlock();
  auto* begin = llvm::BasicBlock::Create(ir.getContext(), "rare_lanes", function);
  auto* done = llvm::BasicBlock::Create(ir.getContext(), "rare_lanes_done", function);
  ir.CreateCondBr(any, begin, done);
  ir.SetInsertPoint(begin);
  Value* chosen = ir.CreateSelect(rare, emit_rare(), usual);
  llvm::BasicBlock* end = ir.GetInsertBlock();
  ir.CreateBr(done);
  ir.SetInsertPoint(done);
  llvm::PHINode* result = ir.CreatePHI(usual->getType(), 2);
  result->addIncoming(usual, before);
  result->addIncoming(chosen, end);
  return result;
}

namespace {

Value* emit_call(Emitter& emit, const std::string& symbol, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Function* function = ir.GetInsertBlock()->getParent();
  auto in_memory = [&](Value* value) {
    llvm::IRBuilder<> entry(&function->getEntryBlock(), function->getEntryBlock().begin());
    llvm::AllocaInst* place = entry.CreateAlloca(a->getType());
    if (value) ir.CreateStore(value, place);
    return place;
  };
  llvm::AllocaInst* first = in_memory(a);
  llvm::AllocaInst* second = b ? in_memory(b) : first;
  llvm::AllocaInst* result = in_memory(nullptr);
  llvm::Type* pointer = ir.getPtrTy();
  const llvm::FunctionCallee callee =
      function->getParent()->getOrInsertFunction(symbol, ir.getVoidTy(), pointer, pointer, pointer, ir.getInt64Ty());
  ir.CreateCall(callee, {first, second, result, ir.getInt64(a->getType()->isVectorTy() ? lanes : 1)});
  return ir.CreateLoad(a->getType(), result);
}

}  // namespace

Value* emit_library_call(Emitter& emit, LibraryCall call, Value* a, Value* b) {
  return emit_call(emit, std::string(library_functions()[static_cast<std::size_t>(call)].symbol), a, b);
}

Value* emit_f64_library_call(Emitter& emit, std::string_view name, Value* a, Value* b) {
  return emit_call(emit, "lazuli_f64_" + std::string(name), a, b);
}

}  // namespace lazuli::cpu::jit
