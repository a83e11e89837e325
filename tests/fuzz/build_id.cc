// SPDX-License-Identifier: MIT
// What tells builds apart is made of all objects of the library, of which fuzzers have a part.
#include <lazuli/backends/cpu/jit/build_id.h>

namespace lazuli::cpu::jit {

const char* build_id() { return "fuzz llvm 0"; }
const char* build_llvm_version() { return "0"; }

}  // namespace lazuli::cpu::jit
