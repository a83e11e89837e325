// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/double_math.h>
#include <lazuli/backends/cpu/jit/elementwise.h>
#include <lazuli/backends/cpu/jit/f64_math.h>
#include <lazuli/backends/cpu/jit/math.h>
#include <lazuli/graph/base/fail.h>
#include <llvm/IR/Intrinsics.h>

#include <limits>
#include <utility>

namespace lazuli::cpu::jit {
namespace {

using llvm::CmpInst;
using llvm::Value;

using UnaryFunction = Value* (*)(Emitter& emit, Value* x);
constexpr std::pair<Op, UnaryFunction> unary_functions[] = {
    {Op::exp, emit_exp},         {Op::exp2, emit_exp2},   {Op::expm1, emit_expm1}, {Op::log, emit_log},
    {Op::log2, emit_log2},       {Op::log10, emit_log10}, {Op::log1p, emit_log1p}, {Op::tanh, emit_tanh},
    {Op::sigmoid, emit_sigmoid}, {Op::erf, emit_erf},     {Op::sin, emit_sin},     {Op::cos, emit_cos},
    {Op::tan, emit_tan},         {Op::asin, emit_asin},   {Op::acos, emit_acos},   {Op::atan, emit_atan},
    {Op::sinh, emit_sinh},       {Op::cosh, emit_cosh},   {Op::asinh, emit_asinh}, {Op::acosh, emit_acosh},
    {Op::atanh, emit_atanh},     {Op::floor, emit_floor}, {Op::ceil, emit_ceil},   {Op::trunc, emit_trunc},
    {Op::round, emit_round},     {Op::sign, emit_sign},
};

Value* emit_real_unary(Emitter& emit, const GraphNode& node, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  auto root = [&] { return ir.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x); };
  if (node.type().dtype == DType::f64) {
    if (Value* result = emit_f64_unary(emit, node.op, x)) return result;
  } else {
    for (const auto& [op, function] : unary_functions)
      if (op == node.op) return function(emit, x);
  }
  switch (node.op) {
    case Op::neg:
      return ir.CreateFNeg(x);
    case Op::abs:
      return ir.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
    case Op::square:
      return ir.CreateFMul(x, x);
    case Op::sqrt:
      return root();
    case Op::rsqrt:
      return ir.CreateFDiv(real_like(x, 1), root());
    case Op::reciprocal:
      return ir.CreateFDiv(real_like(x, 1), x);
    default:
      fail_internal("loop kernel: no code for {} of {}", to_string(node.op), to_string(node.type()));
  }
}

Value* emit_real_binary(Emitter& emit, const GraphNode& node, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  if (node.type().dtype == DType::f64)
    if (Value* result = emit_f64_binary(emit, node.op, a, b)) return result;
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
    case Op::atan2:
      return emit_atan2(emit, a, b);
    case Op::remainder:
      return emit_remainder(emit, a, b);
    case Op::fmod:
      return emit_fmod(emit, a, b);
    case Op::maximum:
      return emit_maximum(emit, a, b);
    case Op::minimum:
      return emit_minimum(emit, a, b);
    default:
      fail_internal("loop kernel: no code for {} of {}", to_string(node.op), to_string(node.type()));
  }
}

// What the instruction divides: b, or 1 where it would trap.
Value* divisor_of(Emitter& emit, DType dtype, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Type* type = a->getType();
  Value* traps = ir.CreateICmpEQ(b, llvm::ConstantInt::get(type, 0));
  if (is_signed(dtype)) {
    Value* smallest = llvm::ConstantInt::get(type, llvm::APInt::getSignedMinValue(type->getScalarSizeInBits()));
    Value* is_minus_one = ir.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(type));
    traps = ir.CreateOr(traps, ir.CreateAnd(ir.CreateICmpEQ(a, smallest), is_minus_one));
  }
  return ir.CreateSelect(traps, llvm::ConstantInt::get(type, 1), b);
}

// Where a quotient of signed integers that was rounded toward zero is one more than its floor.
Value* rounds_down(Emitter& emit, Value* a, Value* divisor, Value* remainder) {
  Value* zero = llvm::ConstantInt::get(a->getType(), 0);
  Value* signs_differ = emit.ir.CreateICmpSLT(emit.ir.CreateXor(a, divisor), zero);
  return emit.ir.CreateAnd(emit.ir.CreateICmpNE(remainder, zero), signs_differ);
}

// Toward negative infinity; x / 0 = 0 and min / -1 = min.
Value* emit_integer_div(Emitter& emit, DType dtype, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Type* type = a->getType();
  Value* zero = llvm::ConstantInt::get(type, 0);
  Value* by_zero = ir.CreateICmpEQ(b, zero);
  Value* divisor = divisor_of(emit, dtype, a, b);
  if (!is_signed(dtype)) return ir.CreateSelect(by_zero, zero, ir.CreateUDiv(a, divisor));
  Value* quotient = ir.CreateSDiv(a, divisor);
  Value* remainder = ir.CreateSub(a, ir.CreateMul(quotient, divisor));
  Value* down = rounds_down(emit, a, divisor, remainder);
  return ir.CreateSelect(by_zero, zero, ir.CreateAdd(quotient, ir.CreateSExt(down, type)));
}

// Of the division toward zero; x mod 0 = 0, since every integer is a multiple of the 1 that stands for it.
Value* emit_integer_fmod(Emitter& emit, DType dtype, Value* a, Value* b) {
  Value* divisor = divisor_of(emit, dtype, a, b);
  return is_signed(dtype) ? emit.ir.CreateSRem(a, divisor) : emit.ir.CreateURem(a, divisor);
}

Value* emit_integer_remainder(Emitter& emit, DType dtype, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* left = emit_integer_fmod(emit, dtype, a, b);
  if (!is_signed(dtype)) return left;
  return ir.CreateSelect(rounds_down(emit, a, b, left), ir.CreateAdd(left, b), left);
}

// A count that is negative is a large one of unsigned integers.
Value* emit_shift(Emitter& emit, Op op, DType dtype, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Type* type = a->getType();
  Value* last = llvm::ConstantInt::get(type, type->getScalarSizeInBits() - 1);
  Value* is_within = ir.CreateICmpULE(b, last);
  Value* count = ir.CreateSelect(is_within, b, last);
  if (op == Op::right_shift && is_signed(dtype)) return ir.CreateAShr(a, count);
  Value* shifted = op == Op::left_shift ? ir.CreateShl(a, count) : ir.CreateLShr(a, count);
  return ir.CreateSelect(is_within, shifted, llvm::ConstantInt::get(type, 0));
}

Value* emit_integer_sign(Emitter& emit, DType dtype, Value* a) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* zero = llvm::ConstantInt::get(a->getType(), 0);
  Value* is_positive = is_signed(dtype) ? ir.CreateICmpSGT(a, zero) : ir.CreateICmpNE(a, zero);
  Value* sign = ir.CreateZExt(is_positive, a->getType());
  return is_signed(dtype) ? ir.CreateAdd(sign, ir.CreateSExt(ir.CreateICmpSLT(a, zero), a->getType())) : sign;
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
    case Op::sign:
      return emit_integer_sign(emit, dtype, a);
    case Op::bitwise_invert:
      return ir.CreateNot(a);
    case Op::add:
      return ir.CreateAdd(a, b);
    case Op::sub:
      return ir.CreateSub(a, b);
    case Op::mul:
      return ir.CreateMul(a, b);
    case Op::div:
      return emit_integer_div(emit, dtype, a, b);
    case Op::remainder:
      return emit_integer_remainder(emit, dtype, a, b);
    case Op::fmod:
      return emit_integer_fmod(emit, dtype, a, b);
    case Op::bitwise_and:
      return ir.CreateAnd(a, b);
    case Op::bitwise_or:
      return ir.CreateOr(a, b);
    case Op::bitwise_xor:
      return ir.CreateXor(a, b);
    case Op::left_shift:
    case Op::right_shift:
      return emit_shift(emit, node.op, dtype, a, b);
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
  llvm::IRBuilder<>& ir = emit.ir;
  const bool real = is_real(dtype);
  switch (reduction) {
    case Op::sum:
    case Op::mean:
      return real ? ir.CreateFAdd(a, b) : ir.CreateAdd(a, b);
    case Op::prod:
      return real ? ir.CreateFMul(a, b) : ir.CreateMul(a, b);
    case Op::any:
      return ir.CreateOr(a, b);
    case Op::all:
      return ir.CreateAnd(a, b);
    default:
      break;
  }
  if (real) return reduction == Op::max ? emit_maximum(emit, a, b) : emit_minimum(emit, a, b);
  Value* keeps_a = emit_compare(emit, reduction == Op::max ? Op::greater : Op::less, dtype, a, b);
  return ir.CreateSelect(keeps_a, a, b);
}

llvm::Constant* reduction_identity(llvm::LLVMContext& context, Op reduction, DType dtype) {
  llvm::Type* type = computed_type(context, dtype);
  const bool sum = reduction == Op::sum || reduction == Op::mean;
  if (is_real(dtype)) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return llvm::ConstantFP::get(type, sum                     ? -0.0
                                       : reduction == Op::prod ? 1.0
                                       : reduction == Op::max  ? -infinity
                                                               : infinity);
  }
  if (sum || reduction == Op::any) return llvm::ConstantInt::get(type, 0);
  if (reduction == Op::prod || reduction == Op::all) return llvm::ConstantInt::get(type, 1);
  const unsigned bits = type->getIntegerBitWidth();
  const bool with_sign = is_signed(dtype);
  if (reduction == Op::max)
    return llvm::ConstantInt::get(context,
                                  with_sign ? llvm::APInt::getSignedMinValue(bits) : llvm::APInt::getMinValue(bits));
  return llvm::ConstantInt::get(context,
                                with_sign ? llvm::APInt::getSignedMaxValue(bits) : llvm::APInt::getMaxValue(bits));
}

}  // namespace lazuli::cpu::jit
