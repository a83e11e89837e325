// SPDX-License-Identifier: MIT
// Code for operands that are rare: only blocks of lanes that hold one of them run it.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/graph/base/function_ref.h>

#include <span>

namespace lazuli::cpu::jit {

// `usual`, but what the code of `emit_rare` gives in the lanes of `rare`. A lane's value does not depend on the others.
// Begins new blocks.
llvm::Value* emit_for_rare_lanes(Emitter& emit, llvm::Value* rare, llvm::Value* usual,
                                 FunctionRef<llvm::Value*()> emit_rare);

// Functions left to the C library where generated code would lose digits. It calls `symbol`(a, b, result, count) on
// lanes in memory; functions of one operand ignore b.
struct LibraryFunction {
  const char* symbol;
  void (*function)(const float* a, const float* b, float* result, std::int64_t count);
};
std::span<const LibraryFunction> library_functions();

enum class LibraryCall { sin, cos, tan, fmod };
// `b`: null for functions of one operand.
llvm::Value* emit_library_call(Emitter& emit, LibraryCall call, llvm::Value* a, llvm::Value* b);

}  // namespace lazuli::cpu::jit
