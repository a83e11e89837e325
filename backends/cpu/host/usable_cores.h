// How many threads can really run at once: the CPU affinity mask and the cgroup's CPU quota both count.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace lazuli {

// The cores of this thread's affinity mask, at most the cgroup quota rounded up, at least 1.
int usable_cores();

inline constexpr int most_threads = 4096;  // that a session can have, whatever the cores

// The CPU quota in cores (1.5 for 150 ms in every 100 ms), the smallest of the process's cgroup and its ancestors;
// nothing when unlimited. Arguments as for cgroup_folders (cgroup.h). Reads cpu.max (version 2) and cpu.cfs_quota_us
// (version 1).
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& mount, std::string_view membership);

}  // namespace lazuli
