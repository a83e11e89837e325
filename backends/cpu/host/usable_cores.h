// SPDX-License-Identifier: MIT
// How many threads can really run at once: the CPU affinity mask and the cgroup's CPU quota both count.
#pragma once

#include <lazuli/graph/base/export.h>

namespace lazuli {

// The cores of this thread's affinity mask, at most the cgroup quota rounded up, at least 1.
LAZULI_API int usable_cores();

inline constexpr int max_threads = 4096;  // that a session can have, whatever the cores

}  // namespace lazuli
