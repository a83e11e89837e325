// SPDX-License-Identifier: MIT
// A code generator of another build.
#include <lazuli/backends/cpu/jit/code_generator.h>

const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1() {
  static const lazuli::cpu::jit::CodeGenerator generator{"another", "0.0.0", nullptr};
  return &generator;
}
