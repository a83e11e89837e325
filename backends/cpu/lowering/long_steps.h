// SPDX-License-Identifier: MIT
// Which steps workers take over from each other (host/work_stealing.h). Equal shares take unequal times: caches happen
// to hold one or the other, and a core may be busy for others or slower than the rest.
#pragma once

#include <lazuli/backends/cpu/program/step.h>

#include <vector>

namespace lazuli::cpu {

// Sets the grain of every divided step that is long enough and has none.
void let_long_steps_be_stolen(std::vector<Step>& steps, int workers);

}  // namespace lazuli::cpu
