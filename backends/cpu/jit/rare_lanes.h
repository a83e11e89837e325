// SPDX-License-Identifier: MIT
// Code for operands that are rare: only blocks of lanes that hold one of them run it.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/backends/cpu/jit/library_functions.h>
#include <lazuli/graph/base/function_ref.h>

namespace lazuli::cpu::jit {

// `usual`, but what the code of `emit_rare` gives in the lanes of `rare`. A lane's value does not depend on the others.
// Begins new blocks.
llvm::Value* emit_for_rare_lanes(Emitter& emit, llvm::Value* rare, llvm::Value* usual,
                                 FunctionRef<llvm::Value*()> emit_rare);

// Of library_functions, in their order.
enum class LibraryCall { sin, cos, tan, fmod };
// `b`: null for functions of one operand.
llvm::Value* emit_library_call(Emitter& emit, LibraryCall call, llvm::Value* a, llvm::Value* b);

}  // namespace lazuli::cpu::jit
