// SPDX-License-Identifier: MIT
// Functions and source lines of addresses, read by LLVM. Part of the code generator's module.
#pragma once

#include <lazuli/graph/base/source_location.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli::cpu::jit {

// As CodeGenerator::symbolize.
void symbolize(const std::string& module, std::uint64_t offset, std::vector<SourceFrame>& frames) noexcept;

}  // namespace lazuli::cpu::jit
