// SPDX-License-Identifier: MIT
// Turns a loop body into one function of LLVM IR with the signature of a LoopFunction.
#pragma once

#include <lazuli/backends/cpu/jit/lanes.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <llvm/IR/Module.h>

namespace lazuli::cpu::jit {

// Defines function `symbol` in `module`:
//
//   for each row
//     uniform values of level 0
//     for each stage: a loop over full vectors of columns, then the tail; then the uniform values that waited for it
//     stores of uniform values
llvm::Function* emit_loop(llvm::Module& module, const LoopBody& body, const TargetTraits& target,
                          const std::string& symbol);

}  // namespace lazuli::cpu::jit
