// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/f64_math.h>
#include <lazuli/backends/cpu/jit/rare_lanes.h>
#include <llvm/IR/Intrinsics.h>

namespace lazuli::cpu::jit {
namespace {

using llvm::Value;

Value* absolute(Emitter& emit, Value* x) { return emit.ir.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }
Value* with_sign(Emitter& emit, Value* x, Value* sign) {
  return emit.ir.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, x, sign);
}
Value* plus(Emitter& emit, Value* x, double term) { return emit.ir.CreateFAdd(x, real_like(x, term)); }

// By additions, as the f32 one of math.cc: the baseline has no instruction for it.
Value* nearest(Emitter& emit, Value* x) {
  constexpr double integers_only = 0x1p+52;  // from here on every f64 is an integer
  Value* magnitude = absolute(emit, x);
  Value* rounded = with_sign(emit, plus(emit, plus(emit, magnitude, integers_only), -integers_only), x);
  return emit.ir.CreateSelect(emit.ir.CreateFCmpOLT(magnitude, real_like(x, integers_only)), rounded, x);
}

Value* floor(Emitter& emit, Value* x) {
  Value* rounded = nearest(emit, x);
  return emit.ir.CreateSelect(emit.ir.CreateFCmpOGT(rounded, x), plus(emit, rounded, -1), rounded);
}

Value* sign(Emitter& emit, Value* x) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* of_zero = ir.CreateSelect(ir.CreateFCmpUNO(x, x), x, real_like(x, 0));
  return ir.CreateSelect(ir.CreateFCmpONE(x, real_like(x, 0)), with_sign(emit, real_like(x, 1), x), of_zero);
}

Value* sigmoid(Emitter& emit, Value* x) {
  Value* exponential = emit_f64_library_call(emit, "exp", emit.ir.CreateFNeg(x), nullptr);
  return emit.ir.CreateFDiv(real_like(x, 1), plus(emit, exponential, 1));
}

// The sign of b, also of a zero.
Value* remainder(Emitter& emit, Value* a, Value* b) {
  llvm::IRBuilder<>& ir = emit.ir;
  Value* left = emit_f64_library_call(emit, "fmod", a, b);
  Value* zero = real_like(a, 0);
  Value* differ = ir.CreateXor(ir.CreateFCmpOLT(left, zero), ir.CreateFCmpOLT(b, zero));
  Value* result = ir.CreateSelect(differ, ir.CreateFAdd(left, b), left);
  return ir.CreateSelect(ir.CreateFCmpOEQ(left, zero), with_sign(emit, left, b), result);
}

}  // namespace

Value* emit_f64_unary(Emitter& emit, Op op, Value* x) {
  switch (op) {
    case Op::exp:
    case Op::exp2:
    case Op::expm1:
    case Op::log:
    case Op::log2:
    case Op::log10:
    case Op::log1p:
    case Op::tanh:
    case Op::erf:
    case Op::sin:
    case Op::cos:
    case Op::tan:
    case Op::asin:
    case Op::acos:
    case Op::atan:
    case Op::sinh:
    case Op::cosh:
    case Op::asinh:
    case Op::acosh:
    case Op::atanh:
      return emit_f64_library_call(emit, to_string(op), x, nullptr);
    case Op::sigmoid:
      return sigmoid(emit, x);
    case Op::round:
      return nearest(emit, x);
    case Op::floor:
      return floor(emit, x);
    case Op::ceil:
      return emit.ir.CreateFNeg(floor(emit, emit.ir.CreateFNeg(x)));
    case Op::trunc:
      return with_sign(emit, floor(emit, absolute(emit, x)), x);
    case Op::sign:
      return sign(emit, x);
    default:
      return nullptr;
  }
}

Value* emit_f64_binary(Emitter& emit, Op op, Value* a, Value* b) {
  switch (op) {
    case Op::pow:
    case Op::atan2:
    case Op::fmod:
      return emit_f64_library_call(emit, to_string(op), a, b);
    case Op::remainder:
      return remainder(emit, a, b);
    default:
      return nullptr;
  }
}

}  // namespace lazuli::cpu::jit
