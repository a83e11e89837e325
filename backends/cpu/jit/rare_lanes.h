// SPDX-License-Identifier: MIT
// Code for operands that are rare: only blocks of lanes that hold one of them run it.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/backends/cpu/jit/library_functions.h>
#include <lazuli/graph/base/function_ref.h>

#include <string_view>

namespace lazuli::cpu::jit {

// `usual`, but what the code of `emit_rare` gives in the lanes of `rare`. A lane's value does not depend on the others.
// Begins new blocks.
llvm::Value* emit_for_rare_lanes(Emitter& emit, llvm::Value* rare, llvm::Value* usual,
                                 FunctionRef<llvm::Value*()> emit_rare);

// The first of library_functions, in their order.
enum class LibraryCall { sin, cos, tan, fmod };
// `b`: null for functions of one operand.
llvm::Value* emit_library_call(Emitter& emit, LibraryCall call, llvm::Value* a, llvm::Value* b);
// Of f64 values, by the name that the op has.
llvm::Value* emit_f64_library_call(Emitter& emit, std::string_view name, llvm::Value* a, llvm::Value* b);

}  // namespace lazuli::cpu::jit
