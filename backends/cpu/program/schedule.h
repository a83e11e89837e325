// SPDX-License-Identifier: MIT
// From steps to a schedule: where each buffer lies in the arena, and where the workers must meet.
#pragma once

#include <lazuli/backends/cpu/program/lowered.h>
#include <lazuli/backends/plan.h>

namespace lazuli::cpu {

struct Arena {
  std::vector<Interval> intervals;  // of the arena buffers, in order
  std::vector<std::string> names;
  Plan plan;
  std::vector<std::size_t> step_at;  // the program's step at each instant of the intervals
};

// Places every arena buffer and notes its offset.
Arena plan_memory(Lowered& program);

// Marks the steps before which the workers must meet: those that touch memory another worker may have touched since the
// last meeting, one of the two writing. Steps that worker 0 runs alone follow each other without one.
void place_barriers(Lowered& program);

}  // namespace lazuli::cpu
