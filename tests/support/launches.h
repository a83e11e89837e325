// SPDX-License-Identifier: MIT
// How many kernels a session would launch.
#pragma once

#include <lazuli/runtime/session.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace lazuli::test {

// Of what computes these arrays, the names of the launches in order.
inline std::vector<std::string> launches(Session& session, std::initializer_list<Array> arrays) {
  std::vector<std::string> names;
  for (const GraphNode& node : session.plan(arrays).nodes)
    if (!is_leaf(node.op)) names.emplace_back(node.name());
  return names;
}

}  // namespace lazuli::test
