// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/cgroup.h>
#include <lazuli/graph/files/join_path.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

// Inside a container the mount is often the container's own cgroup while the path is the host's, so the mount itself
// counts even where the path does not exist below it.
void add(std::vector<fs::path>& folders, const fs::path& mount, fs::path group) {
  group = group.relative_path();
  // A process outside its cgroup namespace's root sees "/../..", which says nothing about folders below the mount.
  if (group.string().find("..") != std::string::npos) group.clear();
  for (;; group = group.parent_path()) {
    folders.push_back(join_path(mount, group.native()));
    if (group.empty()) return;
  }
}

bool names(std::string_view controllers, std::string_view controller) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == controller) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

// Quota and period in microseconds. A quota of "max" or -1 means unlimited.
std::optional<double> cores_of(const std::string& quota, double period) {
  char* end = nullptr;
  const double microseconds = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || microseconds <= 0 || period <= 0) return std::nullopt;
  return microseconds / period;
}

std::optional<double> read_version_2(const fs::path& folder) {
  std::ifstream file(join_path(folder, "cpu.max"));
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period)) return std::nullopt;
  return cores_of(quota, period);
}

std::optional<double> read_version_1(const fs::path& folder) {
  std::ifstream quota_file(join_path(folder, "cpu.cfs_quota_us")), period_file(join_path(folder, "cpu.cfs_period_us"));
  std::string quota;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return std::nullopt;
  return cores_of(quota, period);
}

}  // namespace

CgroupFolders cgroup_folders(const fs::path& mount, std::string_view membership, std::string_view controller) {
  CgroupFolders folders;
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
      add(folders.version_2, mount, group);
      add(folders.version_2, join_path(mount, "unified"), group);
    } else if (names(controllers, controller)) {
      add(folders.version_1, join_path(mount, controllers), group);
      add(folders.version_1, join_path(mount, controller), group);
    }
  }
  return folders;
}

std::string cgroup_membership() {
  std::ifstream file("/proc/self/cgroup");
  std::string membership;  // what cannot be read says nothing
  for (std::string line; std::getline(file, line);) membership += line + '\n';
  return membership;
}

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

}  // namespace lazuli
