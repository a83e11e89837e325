// SPDX-License-Identifier: MIT
// What tells this build of the library and its code generator from any other. The source is written by
// cmake/build_id.cmake when all else has been compiled.
#pragma once

namespace lazuli::cpu::jit {

// A hash of all object files, and the version of LLVM they were compiled for: "1f3a... llvm 19.1.7". The libraries and
// programs that are linked of the same objects have the same.
const char* build_id();

// The version of LLVM in it, "19.1.7".
const char* build_llvm_version();

}  // namespace lazuli::cpu::jit
