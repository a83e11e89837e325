// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/cgroup.h>
#include <lazuli/backends/cpu/host/process_memory.h>
#include <lazuli/graph/files/join_path.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

// The number behind `name` in a file of lines "name number ..." or "name: number ...".
std::optional<std::int64_t> field(const fs::path& path, std::string_view name) {
  std::ifstream file(path);
  std::string word;
  std::int64_t value = 0;
  while (file >> word) {
    if (word.ends_with(':')) word.pop_back();
    if (word == name && file >> value) return value;
    file.clear();
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

// "max" is no number: unlimited.
std::optional<std::int64_t> number(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

struct Names {
  const char *limit, *usage, *active_files, *inactive_files;
};
constexpr Names version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file"};
constexpr Names version_2{"memory.max", "memory.current", "active_file", "inactive_file"};

void narrow(std::optional<std::int64_t>& smallest, const std::vector<fs::path>& folders, const Names& names) {
  for (const fs::path& folder : folders) {
    const std::optional<std::int64_t> limit = number(join_path(folder, names.limit)),
                                      usage = number(join_path(folder, names.usage));
    if (!limit || !usage) continue;
    const std::int64_t files = field(join_path(folder, "memory.stat"), names.active_files).value_or(0) +
                               field(join_path(folder, "memory.stat"), names.inactive_files).value_or(0);
    const std::int64_t left = std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, *usage - files));
    smallest = std::min(smallest.value_or(left), left);
  }
}

}  // namespace

std::optional<std::int64_t> cgroup_available_memory(const fs::path& mount, std::string_view membership) {
  const CgroupFolders folders = cgroup_folders(mount, membership, "memory");
  std::optional<std::int64_t> smallest;
  narrow(smallest, folders.version_1, version_1);
  narrow(smallest, folders.version_2, version_2);
  return smallest;
}

std::optional<std::int64_t> available_memory() {
  const std::optional<std::int64_t> available = field("/proc/meminfo", "MemAvailable");
  const std::optional<std::int64_t> group = cgroup_available_memory("/sys/fs/cgroup", cgroup_membership());
  if (!available) return group;
  const std::int64_t host = (*available + field("/proc/meminfo", "SwapFree").value_or(0)) * 1024;
  return std::min(host, group.value_or(host));
}

std::int64_t peak_resident_memory() { return field("/proc/self/status", "VmHWM").value_or(0) * 1024; }

}  // namespace lazuli
