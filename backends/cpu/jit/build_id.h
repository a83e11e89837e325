// SPDX-License-Identifier: MIT
// What tells this build of the code generator from any other.
#pragma once

#include <string>

namespace lazuli::cpu::jit {

// The linker's build id of the executable or library this code is part of, and the version of LLVM that is loaded.
// Empty where the linker left no id: then nothing says whether code on disk is what this build would generate.
std::string build_id();

}  // namespace lazuli::cpu::jit
