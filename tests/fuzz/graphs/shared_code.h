// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace lazuli::fuzz {

struct CodeStatistics {
  std::uint64_t generated = 0, shared = 0;  // kernels made by LLVM, and taken from those
};
CodeStatistics code_statistics();

}  // namespace lazuli::fuzz
