// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/cache_size.h>
#include <unistd.h>

namespace lazuli {

std::int64_t level2_cache_bytes() {
  // Asked for in every run of a program; the system may look it up by instructions that virtual machines trap.
  static const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : 1 << 20;
}

}  // namespace lazuli
