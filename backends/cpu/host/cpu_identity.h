// SPDX-License-Identifier: MIT
// Which CPU this is, as far as measured choices are concerned.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>

#include <string>

namespace lazuli {

// As CPUID reports it (Intel SDM volume 2, CPUID leaves 0 and 1: extended family and model are added in). Virtual
// machines may report another model than the CPU's; the instruction set tells those apart that matter.
struct CpuIdentity {
  std::string vendor;  // "GenuineIntel"
  int family = 0, model = 0;
  Isa isa = Isa::scalar;  // the best level this host offers, whatever LAZULI_ISA says
  int cores = 1;          // usable ones

  bool operator==(const CpuIdentity&) const = default;
};
CpuIdentity cpu_identity();
std::string to_string(const CpuIdentity& cpu);  // "GenuineIntel family 6 model 143, amx, 2 cores"

}  // namespace lazuli
