// SPDX-License-Identifier: MIT
// What a fusion decided at one place of the graph.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {

struct LAZULI_API Verdict {
  std::string rule;
  bool fired = false;
  std::string reason;      // why not; empty when the rule fired
  std::int32_t node = -1;  // the place: a node of the graph the pass or the backend was given; -1: all of it
  Scope::Ref scope;
  std::vector<Source> from;  // the nodes of the graph as it was built that the place stands for
};

}  // namespace lazuli
