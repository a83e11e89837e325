// SPDX-License-Identifier: MIT
// What this host can do at most, measured: the scale that tokens per second are read against.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/export.h>

#include <optional>

namespace lazuli {

struct LAZULI_API HostLimits {
  double read_gbps = 0;  // 10^9 bytes/s, all threads summing up a buffer far larger than the caches
  // The CPU's own peaks in 10^9 operations/s, all threads at once on registers alone, at the instruction-set level
  // given; none where that has no such arithmetic.
  std::optional<double> f32_gflops;
  std::optional<double> bf16_gflops;  // AMX tiles
  std::optional<double> int8_gops;    // AMX tiles, VNNI or AVX2

  // Of the arithmetic in which prompts multiply: bf16 tiles where there are any, int8 otherwise; f32 for plain weights.
  std::optional<double> prompt_peak(bool quantised) const {
    if (!quantised) return f32_gflops;
    return bf16_gflops ? bf16_gflops : int8_gops;
  }
};

// About a second. Each figure is the best of several short runs.
LAZULI_API HostLimits measure_limits(int threads, Isa isa);
// The same, measured once a process for each number of threads and level.
LAZULI_API HostLimits limits_of_host(int threads, Isa isa);
// The higher of each: of a host that others use as well, one moment says little.
LAZULI_API HostLimits higher_of(const HostLimits& a, const HostLimits& b);

}  // namespace lazuli
