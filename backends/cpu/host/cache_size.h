// SPDX-License-Identifier: MIT
// How large the caches of this host are.
#pragma once

#include <cstdint>

namespace lazuli {

// Of one core; 1 MB where the system does not say. Decides how much is kept near a core, never what is computed.
std::int64_t level2_cache_bytes();

}  // namespace lazuli
