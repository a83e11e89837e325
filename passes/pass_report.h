// SPDX-License-Identifier: MIT
// What one pass did to a graph.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>

#include <string_view>

namespace lazuli {

// For dumps and profiles.
struct LAZULI_API PassReport {
  std::string_view name;
  const Graph& graph;  // afterwards
  double microseconds = 0;
  bool changed = false;
};

}  // namespace lazuli
