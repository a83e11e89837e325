// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/double_math.h>
#include <lazuli/backends/cpu/jit/elementwise.h>
#include <lazuli/backends/cpu/jit/math.h>
#include <lazuli/graph/base/fail.h>
#include <llvm/IR/Intrinsics.h>

#include <limits>

namespace lazuli::cpu::jit {
namespace {

using llvm::CmpInst;
using llvm::Value;

Value* emit_real_unary(Emitter& emit, const GraphNode& node, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  auto root = [&] { return ir.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x); };
  switch (node.op) {
    case Op::neg:
      return ir.CreateFNeg(x);
    case Op::abs:
      return ir.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
    case Op::square:
      return ir.CreateFMul(x, x);
    case Op::exp:
      return emit_exp(emit, x);
    case Op::log:
      return emit_log(emit, x);
    case Op::sqrt:
      return root();
    case Op::rsqrt:
      return ir.CreateFDiv(f32_like(x, 1), root());
    case Op::reciprocal:
      return ir.CreateFDiv(f32_like(x, 1), x);
    case Op::tanh:
      return emit_tanh(emit, x);
    case Op::sigmoid:
      return emit_sigmoid(emit, x);
    case Op::erf:
      return emit_erf(emit, x);
    case Op::sin:
      return emit_sin(emit, x);
    case Op::cos:
      return emit_cos(emit, x);
    case Op::floor:
      return emit_floor(emit, x);
    default:
      fail_internal("loop kernel: no code for {} of {}", to_string(node.op), to_string(node.type()));
  }
}

Value* emit_real_binary(Emitter& emit, const GraphNode& node, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  switch (node.op) {
    case Op::add:
      return ir.CreateFAdd(a, b);
    case Op::sub:
      return ir.CreateFSub(a, b);
    case Op::mul:
      return ir.CreateFMul(a, b);
    case Op::div:
      return ir.CreateFDiv(a, b);
    case Op::pow:
      return emit_pow(emit, a, b);
    case Op::maximum:
      return emit_maximum(emit, a, b);
    case Op::minimum:
      return emit_minimum(emit, a, b);
    default:
      fail_internal("loop kernel: no code for {} of {}", to_string(node.op), to_string(node.type()));
  }
}

// Toward negative infinity; x / 0 = 0 and min / -1 = min, where the instruction would trap.
Value* emit_integer_div(Emitter& emit, DType dtype, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Type* type = a->getType();
  Value* zero = llvm::ConstantInt::get(type, 0);
  Value* one = llvm::ConstantInt::get(type, 1);
  Value* by_zero = ir.CreateICmpEQ(b, zero);
  if (!is_signed(dtype)) return ir.CreateSelect(by_zero, zero, ir.CreateUDiv(a, ir.CreateSelect(by_zero, one, b)));
  Value* smallest = llvm::ConstantInt::get(type, llvm::APInt::getSignedMinValue(type->getScalarSizeInBits()));
  Value* overflow =
      ir.CreateAnd(ir.CreateICmpEQ(a, smallest), ir.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(type)));
  Value* divisor = ir.CreateSelect(ir.CreateOr(by_zero, overflow), one, b);
  Value* quotient = ir.CreateSDiv(a, divisor);
  Value* remainder = ir.CreateSub(a, ir.CreateMul(quotient, divisor));
  Value* signs_differ = ir.CreateICmpSLT(ir.CreateXor(a, divisor), zero);
  Value* round_down = ir.CreateAnd(ir.CreateICmpNE(remainder, zero), signs_differ);
  return ir.CreateSelect(by_zero, zero, ir.CreateAdd(quotient, ir.CreateSExt(round_down, type)));
}

Value* emit_integer(Emitter& emit, const GraphNode& node, DType dtype, std::span<Value* const> operands) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* a = operands[0];
  Value* b = operands.size() > 1 ? operands[1] : nullptr;
  switch (node.op) {
    case Op::neg:
      return ir.CreateNeg(a);
    case Op::abs:
      return is_signed(dtype) ? ir.CreateBinaryIntrinsic(llvm::Intrinsic::abs, a, ir.getFalse()) : a;
    case Op::square:
      return ir.CreateMul(a, a);
    case Op::add:
      return ir.CreateAdd(a, b);
    case Op::sub:
      return ir.CreateSub(a, b);
    case Op::mul:
      return ir.CreateMul(a, b);
    case Op::div:
      return emit_integer_div(emit, dtype, a, b);
    case Op::maximum:
      return ir.CreateSelect(is_signed(dtype) ? ir.CreateICmpSGT(a, b) : ir.CreateICmpUGT(a, b), a, b);
    case Op::minimum:
      return ir.CreateSelect(is_signed(dtype) ? ir.CreateICmpSLT(a, b) : ir.CreateICmpULT(a, b), a, b);
    default:
      fail_internal("loop kernel: no code for {} of {}", to_string(node.op), to_string(node.type()));
  }
}

Value* emit_compare(Emitter& emit, Op op, DType dtype, Value* a, Value* b) {
  struct Predicates {
    CmpInst::Predicate real, with_sign, without_sign;
  };
  const Predicates predicates = [&]() -> Predicates {
    switch (op) {
      case Op::equal:
        return {CmpInst::FCMP_OEQ, CmpInst::ICMP_EQ, CmpInst::ICMP_EQ};
      case Op::not_equal:
        return {CmpInst::FCMP_UNE, CmpInst::ICMP_NE, CmpInst::ICMP_NE};
      case Op::less:
        return {CmpInst::FCMP_OLT, CmpInst::ICMP_SLT, CmpInst::ICMP_ULT};
      case Op::less_equal:
        return {CmpInst::FCMP_OLE, CmpInst::ICMP_SLE, CmpInst::ICMP_ULE};
      case Op::greater:
        return {CmpInst::FCMP_OGT, CmpInst::ICMP_SGT, CmpInst::ICMP_UGT};
      default:
        return {CmpInst::FCMP_OGE, CmpInst::ICMP_SGE, CmpInst::ICMP_UGE};
    }
  }();
  if (is_real(dtype)) return emit.ir.CreateFCmp(predicates.real, a, b);
  return emit.ir.CreateICmp(is_signed(dtype) ? predicates.with_sign : predicates.without_sign, a, b);
}

}  // namespace

Value* emit_elementwise(Emitter& emit, const GraphNode& node, std::span<Value* const> operands,
                        std::span<const DType> dtypes) {
  llvm::IRBuilder<>& ir = emit.ir;
  switch (node.op) {
    case Op::cast:
      return converted(emit, dtypes[0], node.type().dtype, operands[0]);
    case Op::select:
      return ir.CreateSelect(operands[0], operands[1], operands[2]);
    case Op::logical_not:
      return ir.CreateNot(operands[0]);
    case Op::logical_and:
      return ir.CreateAnd(operands[0], operands[1]);
    case Op::logical_or:
      return ir.CreateOr(operands[0], operands[1]);
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
      return emit_compare(emit, node.op, dtypes[0], operands[0], operands[1]);
    default:
      break;
  }
  const DType dtype = node.type().dtype;
  if (!is_real(dtype)) return emit_integer(emit, node, dtype, operands);
  Value* exact = operands.size() == 1 ? emit_real_unary(emit, node, operands[0])
                                      : emit_real_binary(emit, node, operands[0], operands[1]);
  return rounded(emit, dtype, exact);
}

Value* emit_combine(Emitter& emit, Op reduction, DType dtype, Value* a, Value* b) {
  const bool real = is_real(dtype);
  if (reduction == Op::sum || reduction == Op::mean) return real ? emit.ir.CreateFAdd(a, b) : emit.ir.CreateAdd(a, b);
  if (real) return reduction == Op::max ? emit_maximum(emit, a, b) : emit_minimum(emit, a, b);
  Value* keeps_a = emit_compare(emit, reduction == Op::max ? Op::greater : Op::less, dtype, a, b);
  return emit.ir.CreateSelect(keeps_a, a, b);
}

llvm::Constant* reduction_identity(llvm::LLVMContext& context, Op reduction, DType dtype) {
  llvm::Type* type = computed_type(context, dtype);
  const bool sum = reduction == Op::sum || reduction == Op::mean;
  if (is_real(dtype)) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return llvm::ConstantFP::get(type, sum ? -0.0 : reduction == Op::max ? -infinity : infinity);
  }
  const unsigned bits = type->getIntegerBitWidth();
  if (sum) return llvm::ConstantInt::get(type, 0);
  const bool with_sign = is_signed(dtype);
  if (reduction == Op::max)
    return llvm::ConstantInt::get(context,
                                  with_sign ? llvm::APInt::getSignedMinValue(bits) : llvm::APInt::getMinValue(bits));
  return llvm::ConstantInt::get(context,
                                with_sign ? llvm::APInt::getSignedMaxValue(bits) : llvm::APInt::getMaxValue(bits));
}

}  // namespace lazuli::cpu::jit
