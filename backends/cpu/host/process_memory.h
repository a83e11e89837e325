// SPDX-License-Identifier: MIT
// How much memory this process may still take, and how much it has had.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace lazuli {

// Bytes that can be had without pushing others out: what the system calls available and free swap, and no more than the
// cgroup leaves. Nothing where the system does not say.
std::optional<std::int64_t> available_memory();

// What the process's cgroup and its ancestors leave: the limit less what is used, but for cached files, which make
// room. Nothing when unlimited. Arguments as for cgroup_folders. Reads memory.max, memory.current and memory.stat
// (version 2), memory.limit_in_bytes, memory.usage_in_bytes and memory.stat (version 1).
std::optional<std::int64_t> cgroup_available_memory(const std::filesystem::path& mount, std::string_view membership);

// The most memory that was resident at any time, in bytes, pages of mapped files included; 0 where it is not known.
std::int64_t peak_resident_memory();

}  // namespace lazuli
