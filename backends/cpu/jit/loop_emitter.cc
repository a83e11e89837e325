// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/elementwise.h>
#include <lazuli/backends/cpu/jit/loop_emitter.h>
#include <lazuli/backends/cpu/jit/row_pointers.h>
#include <lazuli/graph/base/error.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace lazuli::cpu::jit {
namespace {

using llvm::BasicBlock;
using llvm::Value;

class LoopEmitter {
 public:
  LoopEmitter(llvm::Module& module, const LoopBody& body, const TargetTraits& target, const std::string& symbol);
  llvm::Function* run();

 private:
  using Values = std::vector<Value*>;  // one per node, null where there is none

  BasicBlock* block(const char* name) { return BasicBlock::Create(ir_.getContext(), name, function_); }
  DType dtype(int node) const { return body_.node(node).type().dtype; }
  bool is_uniform(int node) const { return body_.uniform[static_cast<std::size_t>(node)]; }
  bool is_row_reduction(int node) const {
    const GraphNode& n = body_.node(node);
    return is_reduction(n.op) && body_.full[static_cast<std::size_t>(n.inputs[0].node)];
  }

  void emit_row();
  void emit_uniform_values(int level);
  void emit_stage(const LoopStage& stage);
  Values splats_for(const LoopStage& stage);
  Values identities_of(const LoopStage& stage);
  Values merge(const Values& first, BasicBlock* from);  // phis, to which add_incoming brings what comes another way
  void add_incoming(const Values& phis, const Values& values, BasicBlock* from);
  // One block of columns: computes, accumulates, stores. Returns the new lanes of the stage's reductions.
  Values emit_block(const LoopStage& stage, const Values& splats, const Values& accumulators,
                    const ColumnBlock& columns);
  Value* emit_node(int node, const Values& values);
  Value* finish_reduction(int node, Value* accumulator);
  Value* tail_mask();
  Value* at_most(Value* limit, Value* value) { return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, value, limit); }

  bool sums_in_blocks(int reduction) const { return cpu::sums_in_blocks(body_.node(reduction).op, dtype(reduction)); }
  bool has_blocks(const LoopStage& stage) const {
    return std::ranges::any_of(stage.reductions, [&](int reduction) { return sums_in_blocks(reduction); });
  }
  Values new_block_sums(const LoopStage& stage);
  void clear_block_sums(const LoopStage& stage, const Values& block_sums);
  Value* with_block_sums(Value* block_sums, Value* accumulator);
  // Ends the block that a pass over the columns is in. Returns what the next one begins with.
  Values end_block(const LoopStage& stage, const Values& block_sums, const Values& initial, const Values& accumulated);
  void finish_stage(const LoopStage& stage, const Values& block_sums, const Values& totals);

  const LoopBody& body_;
  llvm::Function* function_;
  llvm::IRBuilder<> ir_;
  Emitter emit_;
  std::optional<RowPointers> pointers_;
  Value* vector_end_ = nullptr;  // columns rounded down to whole vectors
  Value* tail_ = nullptr;        // columns left after them
  Value* block_end_ = nullptr;   // of the first block of a sum
  Value* in_blocks_ = nullptr;   // whether there is a second
  Values uniform_;
};

llvm::Function* declare(llvm::Module& module, const std::string& symbol) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* i64 = llvm::Type::getInt64Ty(context);
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {llvm::PointerType::getUnqual(context), i64, i64}, false);
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, symbol, module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("prefer-vector-width", "512");
  function->addFnAttr("min-legal-vector-width", "512");
  function->addFnAttr("frame-pointer", "all");  // so that perf can walk through it
  return function;
}

LoopEmitter::LoopEmitter(llvm::Module& module, const LoopBody& body, const TargetTraits& target,
                         const std::string& symbol)
    : body_(body),
      function_(declare(module, symbol)),
      ir_(module.getContext()),
      emit_{ir_, target},
      uniform_(body.graph->nodes.size()) {}

llvm::Function* LoopEmitter::run() {
  std::vector<RowPointers::Operand> operands(body_.access.size(), {DType::f32, ColumnAccess::broadcast});
  for (std::size_t k = 0; k < operands.size(); ++k) operands[k].access = body_.access[k];
  for (const GraphNode& node : body_.graph->nodes)
    if (node.op == Op::input) operands[static_cast<std::size_t>(node.as<InputAttrs>().index)].dtype = node.type().dtype;
  for (int o = 0; o < static_cast<int>(body_.graph->outputs.size()); ++o)
    operands[static_cast<std::size_t>(body_.inputs) + static_cast<std::size_t>(o)].dtype = dtype(body_.output_node(o));

  BasicBlock* entry = block("entry");
  BasicBlock* row_loop = block("row");
  BasicBlock* done = block("done");
  Value* row_end = function_->getArg(2);
  ir_.SetInsertPoint(entry);
  pointers_.emplace(emit_, function_->getArg(0), function_->getArg(1), std::move(operands));
  for (std::size_t k = 0; k < body_.numbers.size(); ++k)
    uniform_[static_cast<std::size_t>(body_.numbers[k])] = pointers_->load_number(k, dtype(body_.numbers[k]));
  vector_end_ = ir_.CreateAnd(pointers_->columns(), ir_.getInt64(~std::uint64_t{lanes - 1}));
  tail_ = ir_.CreateAnd(pointers_->columns(), ir_.getInt64(lanes - 1));
  in_blocks_ = ir_.CreateICmpSGT(vector_end_, ir_.getInt64(longest_single_sum));
  block_end_ = ir_.CreateSelect(in_blocks_, ir_.getInt64(sum_block), vector_end_);
  ir_.CreateCondBr(ir_.CreateICmpSLT(function_->getArg(1), row_end), row_loop, done);

  ir_.SetInsertPoint(row_loop);
  llvm::PHINode* row = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  row->addIncoming(function_->getArg(1), entry);
  pointers_->begin_row(entry);
  emit_row();
  pointers_->end_row();
  Value* next = ir_.CreateAdd(row, ir_.getInt64(1));
  row->addIncoming(next, ir_.GetInsertBlock());
  ir_.CreateCondBr(ir_.CreateICmpSLT(next, row_end), row_loop, done);

  ir_.SetInsertPoint(done);
  ir_.CreateRetVoid();
  return function_;
}

void LoopEmitter::emit_row() {
  emit_uniform_values(0);
  for (std::size_t s = 0; s < body_.stages.size(); ++s) {
    emit_stage(body_.stages[s]);
    emit_uniform_values(static_cast<int>(s) + 1);
  }
  // After everything that was read: an output may lie in an input's memory.
  for (int o = 0; o < static_cast<int>(body_.graph->outputs.size()); ++o) {
    const int node = body_.output_node(o);
    if (is_uniform(node) && body_.output_access(o) == ColumnAccess::broadcast)
      pointers_->store(body_.inputs + o, uniform_[static_cast<std::size_t>(node)]);
  }
}

void LoopEmitter::emit_uniform_values(int level) {
  for (int i = 0; i < static_cast<int>(body_.graph->nodes.size()); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (body_.live[at] && is_uniform(i) && body_.level[at] == level && !is_row_reduction(i))
      uniform_[at] = emit_node(i, uniform_);
  }
}

Value* LoopEmitter::emit_node(int index, const Values& values) {
  const GraphNode& node = body_.node(index);
  if (node.op == Op::input) return pointers_->load(body_.operand_of_input(index));
  if (node.op == Op::scalar) {
    Value* of_run = uniform_[static_cast<std::size_t>(index)];
    return of_run ? of_run : number(ir_.getContext(), node.type().dtype, node.as<ScalarAttrs>().value.value);
  }
  // A reduction that comes here is over one element.
  if (node.op == Op::broadcast_to || is_reduction(node.op))
    return values[static_cast<std::size_t>(node.inputs[0].node)];
  Values operands;
  std::vector<DType> dtypes;
  for (const ValueId input : node.inputs) {
    operands.push_back(values[static_cast<std::size_t>(input.node)]);
    dtypes.push_back(body_.graph->type(input).dtype);
  }
  return emit_elementwise(emit_, node, operands, dtypes);
}

LoopEmitter::Values LoopEmitter::splats_for(const LoopStage& stage) {
  Values splats(body_.graph->nodes.size());
  auto splat = [&](int node) {
    Value*& value = splats[static_cast<std::size_t>(node)];
    if (is_uniform(node) && !value) value = ir_.CreateVectorSplat(lanes, uniform_[static_cast<std::size_t>(node)]);
  };
  for (const int node : stage.vectors)
    for (const ValueId input : body_.node(node).inputs) splat(input.node);
  for (const int node : stage.reductions) splat(body_.node(node).inputs[0].node);
  for (const int output : stage.stores) splat(body_.output_node(output));
  return splats;
}

Value* LoopEmitter::tail_mask() {
  llvm::SmallVector<llvm::Constant*, lanes> numbers;
  for (std::uint32_t lane = 0; lane < lanes; ++lane) numbers.push_back(ir_.getInt32(lane));
  return ir_.CreateICmpULT(llvm::ConstantVector::get(numbers),
                           ir_.CreateVectorSplat(lanes, ir_.CreateTrunc(tail_, ir_.getInt32Ty())));
}

LoopEmitter::Values LoopEmitter::identities_of(const LoopStage& stage) {
  Values identities;
  for (const int node : stage.reductions)
    identities.push_back(
        ir_.CreateVectorSplat(lanes, reduction_identity(ir_.getContext(), body_.node(node).op, dtype(node))));
  return identities;
}

LoopEmitter::Values LoopEmitter::merge(const Values& first, BasicBlock* from) {
  Values phis;
  for (Value* value : first) {
    llvm::PHINode* phi = ir_.CreatePHI(value->getType(), 2);
    phi->addIncoming(value, from);
    phis.push_back(phi);
  }
  return phis;
}

void LoopEmitter::add_incoming(const Values& phis, const Values& values, BasicBlock* from) {
  for (std::size_t i = 0; i < phis.size(); ++i) llvm::cast<llvm::PHINode>(phis[i])->addIncoming(values[i], from);
}

void LoopEmitter::emit_stage(const LoopStage& stage) {
  const Values splats = splats_for(stage);
  const Values initial = identities_of(stage);
  const bool blocks = has_blocks(stage);
  const Values block_sums = new_block_sums(stage);
  if (blocks) clear_block_sums(stage, block_sums);
  BasicBlock* before = ir_.GetInsertBlock();
  BasicBlock* loop = block("columns");
  BasicBlock* vectors_done = block("vectors_done");
  BasicBlock* tail = block("tail");
  BasicBlock* done = block("stage_done");
  ir_.CreateCondBr(ir_.CreateICmpSGT(vector_end_, ir_.getInt64(0)), loop, vectors_done);

  ir_.SetInsertPoint(loop);
  llvm::PHINode* column = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  column->addIncoming(ir_.getInt64(0), before);
  llvm::PHINode* pass_end = blocks ? ir_.CreatePHI(ir_.getInt64Ty(), 3) : nullptr;
  if (blocks) pass_end->addIncoming(block_end_, before);
  const Values running = merge(initial, before);
  const Values accumulated = emit_block(stage, splats, running, {column, nullptr, nullptr});
  BasicBlock* latch = ir_.GetInsertBlock();
  Value* next = ir_.CreateAdd(column, ir_.getInt64(lanes));
  column->addIncoming(next, latch);
  add_incoming(running, accumulated, latch);
  BasicBlock* last = latch;
  if (blocks) {
    last = block("pass_done");
    BasicBlock* block_done = block("block_done");
    pass_end->addIncoming(pass_end, latch);
    ir_.CreateCondBr(ir_.CreateICmpSLT(next, pass_end), loop, last);
    ir_.SetInsertPoint(last);
    ir_.CreateCondBr(ir_.CreateICmpSLT(next, vector_end_), block_done, vectors_done);
    ir_.SetInsertPoint(block_done);
    column->addIncoming(next, block_done);
    pass_end->addIncoming(at_most(vector_end_, ir_.CreateAdd(next, ir_.getInt64(sum_block))), block_done);
    add_incoming(running, end_block(stage, block_sums, initial, accumulated), block_done);
    ir_.CreateBr(loop);
  } else {
    ir_.CreateCondBr(ir_.CreateICmpSLT(next, vector_end_), loop, vectors_done);
  }

  ir_.SetInsertPoint(vectors_done);
  const Values of_vectors = merge(initial, before);
  add_incoming(of_vectors, accumulated, last);
  ir_.CreateCondBr(ir_.CreateICmpNE(tail_, ir_.getInt64(0)), tail, done);

  ir_.SetInsertPoint(tail);
  const Values of_tail = emit_block(stage, splats, of_vectors, {vector_end_, tail_, tail_mask()});
  BasicBlock* tail_end = ir_.GetInsertBlock();
  ir_.CreateBr(done);

  ir_.SetInsertPoint(done);
  const Values totals = merge(of_vectors, vectors_done);
  add_incoming(totals, of_tail, tail_end);
  finish_stage(stage, block_sums, totals);
}

// In memory, so that they take no registers in the blocks.
LoopEmitter::Values LoopEmitter::new_block_sums(const LoopStage& stage) {
  const llvm::IRBuilder<>::InsertPointGuard guard(ir_);
  BasicBlock& entry = function_->getEntryBlock();
  ir_.SetInsertPoint(&entry, entry.begin());
  Values block_sums;
  for (const int node : stage.reductions)
    block_sums.push_back(sums_in_blocks(node) ? ir_.CreateAlloca(llvm::FixedVectorType::get(ir_.getDoubleTy(), lanes))
                                              : nullptr);
  return block_sums;
}

void LoopEmitter::clear_block_sums(const LoopStage& stage, const Values& block_sums) {
  BasicBlock* clear = block("clear_sums");
  BasicBlock* begin = block("stage");
  ir_.CreateCondBr(in_blocks_, clear, begin);
  ir_.SetInsertPoint(clear);
  for (std::size_t r = 0; r < stage.reductions.size(); ++r)
    if (block_sums[r])
      ir_.CreateStore(ir_.CreateVectorSplat(lanes, llvm::ConstantFP::get(ir_.getDoubleTy(), -0.0)), block_sums[r]);
  ir_.CreateBr(begin);
  ir_.SetInsertPoint(begin);
}

Value* LoopEmitter::with_block_sums(Value* block_sums, Value* accumulator) {
  llvm::Type* type = llvm::FixedVectorType::get(ir_.getDoubleTy(), lanes);
  return ir_.CreateFAdd(ir_.CreateLoad(type, block_sums), ir_.CreateFPExt(accumulator, type));
}

LoopEmitter::Values LoopEmitter::end_block(const LoopStage& stage, const Values& block_sums, const Values& initial,
                                           const Values& accumulated) {
  Values next;
  for (std::size_t r = 0; r < stage.reductions.size(); ++r) {
    if (block_sums[r]) ir_.CreateStore(with_block_sums(block_sums[r], accumulated[r]), block_sums[r]);
    next.push_back(block_sums[r] ? initial[r] : accumulated[r]);
  }
  return next;
}

void LoopEmitter::finish_stage(const LoopStage& stage, const Values& block_sums, const Values& totals) {
  const auto finish = [&](auto wants) {
    for (std::size_t r = 0; r < stage.reductions.size(); ++r)
      if (wants(block_sums[r]))
        uniform_[static_cast<std::size_t>(stage.reductions[r])] = finish_reduction(stage.reductions[r], totals[r]);
  };
  finish([](Value* sums) { return sums == nullptr; });
  if (!has_blocks(stage)) return;
  BasicBlock* of_blocks = block("sum_of_blocks");
  BasicBlock* of_one = block("sum_of_one_block");
  BasicBlock* done = block("sums_done");
  ir_.CreateCondBr(in_blocks_, of_blocks, of_one);

  ir_.SetInsertPoint(of_blocks);
  Values sums;
  for (std::size_t r = 0; r < stage.reductions.size(); ++r)
    if (block_sums[r]) sums.push_back(finish_reduction(stage.reductions[r], with_block_sums(block_sums[r], totals[r])));
  BasicBlock* blocks_end = ir_.GetInsertBlock();
  ir_.CreateBr(done);

  ir_.SetInsertPoint(of_one);
  finish([](Value* sum) { return sum != nullptr; });
  BasicBlock* one_end = ir_.GetInsertBlock();
  ir_.CreateBr(done);

  ir_.SetInsertPoint(done);
  std::size_t sum = 0;
  for (std::size_t r = 0; r < stage.reductions.size(); ++r) {
    if (!block_sums[r]) continue;
    Value*& total = uniform_[static_cast<std::size_t>(stage.reductions[r])];
    llvm::PHINode* either = ir_.CreatePHI(total->getType(), 2);
    either->addIncoming(sums[sum++], blocks_end);
    either->addIncoming(total, one_end);
    total = either;
  }
}

LoopEmitter::Values LoopEmitter::emit_block(const LoopStage& stage, const Values& splats, const Values& accumulators,
                                            const ColumnBlock& columns) {
  Values values = splats;
  const KeptValue& kept = body_.kept;
  const auto index = static_cast<int>(&stage - body_.stages.data());
  for (const int node : stage.vectors) {
    Value*& value = values[static_cast<std::size_t>(node)];
    if (body_.node(node).op == Op::input)
      value = pointers_->load(body_.operand_of_input(node), columns);
    else if (node == kept.node && index > kept.stage)
      value = pointers_->load(body_.inputs + kept.output, columns);
    else
      value = emit_node(node, values);
  }
  Values result;
  for (std::size_t r = 0; r < stage.reductions.size(); ++r) {
    const int node = stage.reductions[r];
    const Op op = body_.node(node).op;
    Value* value = values[static_cast<std::size_t>(body_.node(node).inputs[0].node)];
    if (columns.mask) {
      llvm::Constant* identity = reduction_identity(ir_.getContext(), op, dtype(node));
      value = ir_.CreateSelect(columns.mask, value, ir_.CreateVectorSplat(lanes, identity));
    }
    result.push_back(emit_combine(emit_, op, dtype(node), accumulators[r], value));
  }
  // Last, so that an output may lie in the memory of an input that another output still needs.
  if (index == kept.stage)
    pointers_->store(body_.inputs + kept.output, values[static_cast<std::size_t>(kept.node)], columns);
  for (const int output : stage.stores)
    pointers_->store(body_.inputs + output, values[static_cast<std::size_t>(body_.output_node(output))], columns);
  return result;
}

// The tree 16 > 8 > 4 > 2 > 1: lane l takes lane l + half. Sums of several blocks come in f64.
Value* LoopEmitter::finish_reduction(int node, Value* accumulator) {
  const Op op = body_.node(node).op;
  for (int half = lanes / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, lanes> low(static_cast<std::size_t>(half)), high(static_cast<std::size_t>(half));
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), half);
    accumulator = emit_combine(emit_, op, dtype(node), ir_.CreateShuffleVector(accumulator, low),
                               ir_.CreateShuffleVector(accumulator, high));
  }
  Value* total = ir_.CreateExtractElement(accumulator, std::uint64_t{0});
  if (op == Op::mean) total = ir_.CreateFDiv(total, ir_.CreateSIToFP(pointers_->columns(), total->getType()));
  llvm::Type* type = computed_type(ir_.getContext(), dtype(node));
  if (total->getType() != type) total = ir_.CreateFPTrunc(total, type);
  return rounded(emit_, dtype(node), total);
}

}  // namespace

llvm::Function* emit_loop(llvm::Module& module, const LoopBody& body, const TargetTraits& target,
                          const std::string& symbol) {
  return LoopEmitter(module, body, target, symbol).run();
}

}  // namespace lazuli::cpu::jit
