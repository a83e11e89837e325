#include <lazuli/backends/cpu/host/cgroup.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

// Quota and period in microseconds. A quota of "max" or -1 means unlimited.
std::optional<double> cores_of(const std::string& quota, double period) {
  char* end = nullptr;
  const double microseconds = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || microseconds <= 0 || period <= 0) return std::nullopt;
  return microseconds / period;
}

std::optional<double> read_version_2(const fs::path& folder) {
  std::ifstream file(folder / "cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period)) return std::nullopt;
  return cores_of(quota, period);
}

std::optional<double> read_version_1(const fs::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us"), period_file(folder / "cpu.cfs_period_us");
  std::string quota;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return std::nullopt;
  return cores_of(quota, period);
}

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

std::optional<double> cgroup_cpu_quota(const fs::path& mount, std::string_view membership) {
  const CgroupFolders folders = cgroup_folders(mount, membership, "cpu");
  std::optional<double> smallest;
  const auto narrow = [&](const std::optional<double>& quota) {
    if (quota) smallest = std::min(smallest.value_or(*quota), *quota);
  };
  for (const fs::path& folder : folders.version_1) narrow(read_version_1(folder));
  for (const fs::path& folder : folders.version_2) narrow(read_version_2(folder));
  return smallest;
}

int usable_cores() {
  const int cores = affinity_cores();
  const std::optional<double> quota = cgroup_cpu_quota("/sys/fs/cgroup", cgroup_membership());
  if (!quota || *quota >= cores) return cores;
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

}  // namespace lazuli
