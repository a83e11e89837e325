// SPDX-License-Identifier: MIT
// How elements travel between memory and computation in generated code. Every function takes one value or a vector of
// `lanes` values alike, so that uniform values and columns get the same bits.
//
//   dtype     memory   computed as
//   f32       f32      f32
//   f64       f64      f64
//   f16 bf16  i16      f32, rounded to the type after each op
//   integers  iN       iN, wrapping around
//   bool      i8 0/1   i1
#pragma once

#include <lazuli/graph/types/dtype.h>
#include <llvm/IR/IRBuilder.h>

namespace lazuli::cpu::jit {

inline constexpr int lanes = 16;

// What generated code may use beyond the baseline. Neither changes a bit of any result.
struct TargetTraits {
  bool half_conversion = false;  // vcvtph2ps, vcvtps2ph
  bool masked_memory = false;    // masked loads and stores of every element size
};

struct Emitter {
  llvm::IRBuilder<>& ir;
  TargetTraits target;
};

inline bool is_signed(DType dtype) {
  return dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
}

llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype);
llvm::Type* computed_type(llvm::LLVMContext& context, DType dtype);
// `element`, or the vector of it that has as many lanes as `value`.
llvm::Type* shaped_like(llvm::Type* element, llvm::Value* value);

// A number of type `dtype`, as computed: rounded to f32, and from there to 16-bit types; truncated to integers,
// saturating; f64 as it is.
llvm::Constant* number(llvm::LLVMContext& context, DType dtype, double value);
// The f32 constant `value`, splatted where `like` is a vector.
llvm::Constant* f32_like(llvm::Value* like, float value);
// The same of the type of `like`, f32 or f64.
llvm::Constant* real_like(llvm::Value* like, double value);
llvm::Constant* i32_like(llvm::Value* like, std::uint32_t value);

llvm::Value* from_memory(Emitter& emit, DType dtype, llvm::Value* stored);
// Rounds to the nearest, ties to even.
llvm::Value* to_memory(Emitter& emit, DType dtype, llvm::Value* computed);
// What from_memory(to_memory(x)) gives.
llvm::Value* rounded(Emitter& emit, DType dtype, llvm::Value* computed);

// Real to integer: toward zero, saturating, NaN gives 0. Integer to integer: wraps around. To bool: x != 0.
// Integer or f64 to 16-bit real: through f32.
llvm::Value* converted(Emitter& emit, DType from, DType to, llvm::Value* value);

}  // namespace lazuli::cpu::jit
