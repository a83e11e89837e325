// SPDX-License-Identifier: MIT
// A kernel that a step calls, and the instruction set it was compiled for.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::cpu {

struct KernelUse {
  std::string name;
  std::string_view isa;  // a level's name; "openblas": that library chooses for itself

  KernelUse(std::string kernel, std::string_view instructions) : name(std::move(kernel)), isa(instructions) {}
  KernelUse(std::string kernel, Isa level) : KernelUse(std::move(kernel), to_string(level)) {}
  // Compiled for the baseline.
  KernelUse(std::string kernel) : KernelUse(std::move(kernel), Isa::scalar) {}  // NOLINT(google-explicit-constructor)
  KernelUse(const char* kernel) : KernelUse(std::string(kernel)) {}             // NOLINT(google-explicit-constructor)

  static KernelUse sgemm() { return {"openblas_sgemm", "openblas"}; }
};

// Each kernel once.
inline void add_kernel(std::vector<KernelUse>& kernels, const KernelUse& kernel) {
  const auto same = [&](const KernelUse& known) { return known.name == kernel.name; };
  if (std::none_of(kernels.begin(), kernels.end(), same)) kernels.push_back(kernel);
}

}  // namespace lazuli::cpu
