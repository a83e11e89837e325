// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/cgroup.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <memory>
#include <thread>

namespace lazuli {
namespace {

int affinity_cores() {
  // The kernel refuses masks smaller than its own with EINVAL, so grow until it fits.
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(cpus), [](cpu_set_t* set) { CPU_FREE(set); });
    if (!mask) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (sched_getaffinity(0, bytes, mask.get()) == 0) return std::max(1, CPU_COUNT_S(bytes, mask.get()));
    if (errno != EINVAL) break;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int usable_cores() {
  const int cores = affinity_cores();
  const std::optional<double> quota = cgroup_cpu_quota("/sys/fs/cgroup", cgroup_membership());
  if (!quota || *quota >= cores) return cores;
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

}  // namespace lazuli
