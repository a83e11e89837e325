#include <lazuli/backends/cpu/usable_cores.h>

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
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

using ReadQuota = std::optional<double> (*)(const fs::path& folder);

// Every ancestor limits its descendants. Inside a container the mount is often the container's own cgroup while the
// path is the host's, so the mount itself counts even where the path does not exist below it.
void narrow(std::optional<double>& smallest, const fs::path& mount, fs::path group, ReadQuota read) {
  group = group.relative_path();
  // A process outside its cgroup namespace's root sees "/../..", which says nothing about folders below the mount.
  if (group.string().find("..") != std::string::npos) group.clear();
  for (;; group = group.parent_path()) {
    if (const std::optional<double> quota = read(mount / group)) smallest = std::min(smallest.value_or(*quota), *quota);
    if (group.empty()) return;
  }
}

bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
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
  std::optional<double> smallest;
  while (!membership.empty()) {
    const std::size_t line_end = std::min(membership.find('\n'), membership.size());
    const std::string_view line = membership.substr(0, line_end);
    membership.remove_prefix(std::min(line_end + 1, membership.size()));

    // "4:cpu,cpuacct:/group" in version 1, "0::/group" in version 2.
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const fs::path group(line.substr(second + 1));
    if (controllers.empty()) {
      narrow(smallest, mount, group, read_version_2);
      narrow(smallest, mount / "unified", group, read_version_2);
    } else if (names_cpu(controllers)) {
      narrow(smallest, mount / controllers, group, read_version_1);
      narrow(smallest, mount / "cpu", group, read_version_1);
    }
  }
  return smallest;
}

int usable_cores() {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const int cores = affinity_cores();
  const std::optional<double> quota = cgroup_cpu_quota("/sys/fs/cgroup", membership);
  if (!quota || *quota >= cores) return cores;
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

}  // namespace lazuli
