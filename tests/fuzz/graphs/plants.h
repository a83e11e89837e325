// SPDX-License-Identifier: MIT
// Miscompilations that are put in on purpose: passes that change what a graph computes, given to sessions as passes of
// the caller's own. Finding all of them says what the generator can find.
#pragma once

#include <lazuli/passes/pass.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace lazuli::fuzz {

struct Plant {
  std::string name, says;
  // Whether it is in the base as well: then only the reference, or another spelling, can tell.
  bool everywhere = false;
  std::function<Graph(Graph, PassContext&)> change;
};

std::span<const Plant> plants();
const Plant* find_plant(std::string_view name);

}  // namespace lazuli::fuzz
