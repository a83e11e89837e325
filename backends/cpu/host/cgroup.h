// SPDX-License-Identifier: MIT
// Where the control groups of a process keep their limits.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

struct CgroupFolders {
  std::vector<std::filesystem::path> version_1, version_2;
};

// Folders of the process's group and of its ancestors, each of which limits its descendants; some may not exist.
// `mount` is where the cgroup file systems lie (/sys/fs/cgroup; version 2 also as `unified` below it), `membership` the
// text of /proc/self/cgroup, `controller` "cpu" or "memory".
CgroupFolders cgroup_folders(const std::filesystem::path& mount, std::string_view membership,
                             std::string_view controller);

// The text of /proc/self/cgroup.
std::string cgroup_membership();

// The CPU quota in cores (1.5 for 150 ms in every 100 ms), the smallest of the process's cgroup and its ancestors;
// nothing when unlimited. Arguments as for cgroup_folders. Reads cpu.max (version 2) and cpu.cfs_quota_us
// (version 1).
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& mount, std::string_view membership);

}  // namespace lazuli
