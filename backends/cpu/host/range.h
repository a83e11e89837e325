// SPDX-License-Identifier: MIT
// A range of units, and how units are dealt out among workers.
#pragma once

#include <cstdint>

namespace lazuli {

struct Range {
  std::int64_t begin, end;
};

// The units that are one worker's to begin with: parts that differ by one unit at most.
constexpr Range share(std::int64_t units, int worker, int workers) {
  return {units * worker / workers, units * (worker + 1) / workers};
}

}  // namespace lazuli
