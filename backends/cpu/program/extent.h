// SPDX-License-Identifier: MIT
// How many rows there are of an array with a named axis: known when a program runs (graph/types/named_axis.h).
#pragma once

#include <cstdint>

namespace lazuli::cpu {

// A count that goes with a named size: so many at the bound, a part of them in a run of fewer. The named axis is the
// first one longer than 1, so that those of a run are the first ones.
struct Extent {
  std::int64_t at_bound = 0;
  int dimension = -1;  // of dimensions_of the graph; -1: as many in every run
  std::int64_t bound = 1;
};

}  // namespace lazuli::cpu
