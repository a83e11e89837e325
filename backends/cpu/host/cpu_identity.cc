// SPDX-License-Identifier: MIT
#include <cpuid.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/cpu_identity.h>
#include <lazuli/backends/cpu/host/usable_cores.h>

#include <cstdint>

namespace lazuli {
namespace {

std::string vendor_name() {
  std::uint32_t eax = 0, words[3] = {};
  if (__get_cpuid(0, &eax, &words[0], &words[2], &words[1]) == 0) return "unknown";
  std::string name;
  for (const std::uint32_t word : words)
    for (int byte = 0; byte < 4; ++byte) name += static_cast<char>(word >> (8 * byte) & 0xff);
  return name;
}

}  // namespace

CpuIdentity cpu_identity() {
  CpuIdentity cpu;
  cpu.vendor = vendor_name();
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) {
    const auto field = [&](int shift, std::uint32_t mask) { return static_cast<int>(eax >> shift & mask); };
    const int family = field(8, 0xf);
    cpu.family = family == 15 ? family + field(20, 0xff) : family;
    cpu.model = field(4, 0xf) + (family == 6 || family == 15 ? field(16, 0xf) << 4 : 0);
  }
  cpu.isa = choose_isa(std::nullopt);
  cpu.cores = usable_cores();
  return cpu;
}

std::string to_string(const CpuIdentity& cpu) {
  return fmt::format("{} family {} model {}, {}, {} core{}", cpu.vendor, cpu.family, cpu.model, to_string(cpu.isa),
                     cpu.cores, cpu.cores == 1 ? "" : "s");
}

}  // namespace lazuli
