// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/tools/support/version.h>
#include <lazuli/version.h>

namespace lazuli::tool {

std::string commit() { return LAZULI_COMMIT; }
std::string llvm_version() { return LAZULI_LLVM_VERSION; }

std::string version_text() {
  return fmt::format("lazuli {}\ncommit {}\nfeatures cpu reference gguf llvm-{}", version(), commit(), llvm_version());
}

}  // namespace lazuli::tool
