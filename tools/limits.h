// What this host can do at most, measured: the scale that tokens per second are read against.
#pragma once

#include <optional>

namespace lazuli::tool {

struct HostLimits {
  double read_gbps = 0;               // 10^9 bytes/s, all threads summing up a buffer far larger than the caches
  std::optional<double> f32_gflops;   // OpenBLAS sgemm on all threads; none where the library is missing
  std::optional<double> bf16_gflops;  // the bf16 tile kernel of prompts, on the same sizes; none without AMX
  std::optional<double> int8_gops;    // the q8_0 matmul kernel in use, [512, 2048] x [2048, 2048]
};

// About a second. Each figure is the best of several short runs.
HostLimits measure_limits(int threads);
double measure_read_gbps(int threads);

}  // namespace lazuli::tool
