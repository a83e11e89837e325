// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/graph/types/half.h>
#include <llvm/ADT/APSInt.h>
#include <llvm/IR/Intrinsics.h>

namespace lazuli::cpu::jit {
namespace {

using llvm::Value;

Value* as_bits(Emitter& emit, Value* value) {
  return emit.ir.CreateBitCast(value, shaped_like(emit.ir.getInt32Ty(), value));
}
Value* as_f32(Emitter& emit, Value* bits) {
  return emit.ir.CreateBitCast(bits, shaped_like(emit.ir.getFloatTy(), bits));
}

// The nearest bf16 in the upper half of each 32-bit lane; the lower half is left over. Not vcvtneps2bf16, which
// flushes subnormals.
Value* bf16_upper_bits(Emitter& emit, Value* value) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* bits = as_bits(emit, value);
  Value* odd = ir.CreateAnd(ir.CreateLShr(bits, 16), i32_like(bits, 1));
  Value* nearest = ir.CreateAdd(bits, ir.CreateAdd(odd, i32_like(bits, 0x7fff)));
  Value* quiet_nan = ir.CreateOr(bits, i32_like(bits, 0x400000));
  return ir.CreateSelect(ir.CreateFCmpUNO(value, value), quiet_nan, nearest);
}

// IEEE 754 binary32 to binary16 by integer operations, for processors without a conversion instruction.
Value* f16_bits_emulated(Emitter& emit, Value* value) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* bits = as_bits(emit, value);
  auto constant = [&](std::uint32_t number) { return i32_like(bits, number); };
  Value* magnitude = ir.CreateAnd(bits, constant(0x7fffffff));
  Value* odd = ir.CreateAnd(ir.CreateLShr(magnitude, 13), constant(1));
  // Rebiasing the exponent by 112 and adding half of the dropped part rounds; a carry moves into the exponent.
  Value* normal = ir.CreateLShr(ir.CreateAdd(ir.CreateAdd(magnitude, odd), constant(0xfffu - 0x38000000u)), 13);
  // Below 2^-14 the f32 adder rounds: 0.5 has the exponent at which one unit in the last place is 2^-24.
  Value* subnormal =
      ir.CreateSub(as_bits(emit, ir.CreateFAdd(as_f32(emit, magnitude), f32_like(value, 0.5f))), constant(0x3f000000));
  Value* payload = ir.CreateAnd(ir.CreateLShr(magnitude, 13), constant(0x3ff));
  Value* nan = ir.CreateOr(payload, constant(0x7e00));
  Value* half = ir.CreateSelect(ir.CreateICmpULT(magnitude, constant(0x38800000)), subnormal, normal);
  half = ir.CreateSelect(ir.CreateICmpUGE(magnitude, constant(0x477ff000)), constant(0x7c00), half);  // 65520 and above
  half = ir.CreateSelect(ir.CreateICmpUGT(magnitude, constant(0x7f800000)), nan, half);
  half = ir.CreateOr(half, ir.CreateAnd(ir.CreateLShr(bits, 16), constant(0x8000)));
  return ir.CreateTrunc(half, shaped_like(ir.getInt16Ty(), value));
}

Value* f32_from_f16_emulated(Emitter& emit, Value* stored) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* half = ir.CreateZExt(stored, shaped_like(ir.getInt32Ty(), stored));
  auto constant = [&](std::uint32_t number) { return i32_like(half, number); };
  Value* magnitude = ir.CreateAnd(half, constant(0x7fff));
  Value* shifted = ir.CreateShl(magnitude, 13);
  // Read as f32 the exponent is too small by 112, for subnormals too; the product is exact.
  Value* finite = as_bits(emit, ir.CreateFMul(as_f32(emit, shifted), f32_like(half, 0x1p112f)));
  Value* quiet = ir.CreateSelect(ir.CreateICmpUGT(magnitude, constant(0x7c00)), constant(0x400000), constant(0));
  Value* special = ir.CreateOr(ir.CreateOr(shifted, constant(0x7f800000)), quiet);
  Value* bits = ir.CreateSelect(ir.CreateICmpUGE(magnitude, constant(0x7c00)), special, finite);
  return as_f32(emit, ir.CreateOr(bits, ir.CreateShl(ir.CreateAnd(half, constant(0x8000)), 16)));
}

Value* real_to_integer(Emitter& emit, DType to, Value* value) {
  llvm::Type* type = shaped_like(computed_type(emit.ir.getContext(), to), value);
  const auto intrinsic = is_signed(to) ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat;
  return emit.ir.CreateIntrinsic(intrinsic, {type, value->getType()}, {value});
}

}  // namespace

llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype) {
  if (dtype == DType::f32 || dtype == DType::f64) return computed_type(context, dtype);
  return llvm::Type::getIntNTy(context, static_cast<unsigned>(info(dtype).block_bytes) * 8);
}

llvm::Type* computed_type(llvm::LLVMContext& context, DType dtype) {
  if (dtype == DType::f64) return llvm::Type::getDoubleTy(context);
  if (is_real(dtype)) return llvm::Type::getFloatTy(context);
  return dtype == DType::bool_ ? llvm::Type::getInt1Ty(context) : memory_type(context, dtype);
}

llvm::Type* shaped_like(llvm::Type* element, llvm::Value* value) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return vector ? llvm::FixedVectorType::get(element, vector->getNumElements()) : element;
}

llvm::Constant* number(llvm::LLVMContext& context, DType dtype, double value) {
  llvm::Type* type = computed_type(context, dtype);
  if (dtype == DType::f64) return llvm::ConstantFP::get(context, llvm::APFloat(value));
  if (is_real(dtype)) {
    auto single = static_cast<float>(value);
    if (dtype == DType::f16) single = f16_to_f32(f32_to_f16(single));
    if (dtype == DType::bf16) single = bf16_to_f32(f32_to_bf16(single));
    return llvm::ConstantFP::get(context, llvm::APFloat(single));
  }
  if (dtype == DType::bool_) return llvm::ConstantInt::getBool(context, value != 0);
  llvm::APSInt integer(type->getIntegerBitWidth(), !is_signed(dtype));
  bool is_exact = false;  // out of range saturates, NaN gives 0
  llvm::APFloat(value).convertToInteger(integer, llvm::APFloat::rmTowardZero, &is_exact);
  return llvm::ConstantInt::get(context, integer);
}

llvm::Constant* f32_like(Value* like, float value) {
  return llvm::ConstantFP::get(shaped_like(llvm::Type::getFloatTy(like->getContext()), like),
                               static_cast<double>(value));
}

llvm::Constant* real_like(Value* like, double value) { return llvm::ConstantFP::get(like->getType(), value); }

llvm::Constant* i32_like(Value* like, std::uint32_t value) {
  return llvm::ConstantInt::get(shaped_like(llvm::Type::getInt32Ty(like->getContext()), like), value);
}

Value* from_memory(Emitter& emit, DType dtype, Value* stored) {
  llvm::IRBuilder<>& ir = emit.ir;
  switch (dtype) {
    case DType::bf16:
      return as_f32(emit, ir.CreateShl(ir.CreateZExt(stored, shaped_like(ir.getInt32Ty(), stored)), 16));
    case DType::f16:
      if (!emit.target.half_conversion) return f32_from_f16_emulated(emit, stored);
      return ir.CreateFPExt(ir.CreateBitCast(stored, shaped_like(ir.getHalfTy(), stored)),
                            shaped_like(ir.getFloatTy(), stored));
    case DType::bool_:
      return ir.CreateIsNotNull(stored);
    default:
      return stored;
  }
}

Value* to_memory(Emitter& emit, DType dtype, Value* computed) {
  llvm::IRBuilder<>& ir = emit.ir;
  switch (dtype) {
    case DType::bf16:
      return ir.CreateTrunc(ir.CreateLShr(bf16_upper_bits(emit, computed), 16), shaped_like(ir.getInt16Ty(), computed));
    case DType::f16:
      if (!emit.target.half_conversion) return f16_bits_emulated(emit, computed);
      return ir.CreateBitCast(ir.CreateFPTrunc(computed, shaped_like(ir.getHalfTy(), computed)),
                              shaped_like(ir.getInt16Ty(), computed));
    case DType::bool_:
      return ir.CreateZExt(computed, shaped_like(ir.getInt8Ty(), computed));
    default:
      return computed;
  }
}

Value* rounded(Emitter& emit, DType dtype, Value* computed) {
  if (dtype == DType::bf16) {
    Value* upper = bf16_upper_bits(emit, computed);
    return as_f32(emit, emit.ir.CreateAnd(upper, i32_like(upper, 0xffff0000u)));
  }
  return dtype == DType::f16 ? from_memory(emit, dtype, to_memory(emit, dtype, computed)) : computed;
}

Value* converted(Emitter& emit, DType from, DType to, Value* value) {
  llvm::IRBuilder<>& ir = emit.ir;
  llvm::Type* type = shaped_like(computed_type(ir.getContext(), to), value);
  if (from == to) return value;
  if (is_real(from)) {
    if (to == DType::f64) return ir.CreateFPExt(value, type);
    if (is_real(to)) return rounded(emit, to, from == DType::f64 ? ir.CreateFPTrunc(value, type) : value);
    if (to == DType::bool_) return ir.CreateFCmpUNE(value, real_like(value, 0));
    return real_to_integer(emit, to, value);
  }
  if (is_real(to))
    return rounded(emit, to, is_signed(from) ? ir.CreateSIToFP(value, type) : ir.CreateUIToFP(value, type));
  if (to == DType::bool_) return ir.CreateIsNotNull(value);
  return ir.CreateIntCast(value, type, is_signed(from));
}

}  // namespace lazuli::cpu::jit
