// SPDX-License-Identifier: MIT
// The steps of a program as a graph, for listings and pictures: one node per kernel launch.
#pragma once

#include <lazuli/backends/cpu/program/lowered.h>

namespace lazuli::cpu {

// Sets `program.scheduled`, and the node of each step in it. `source` is the graph that was lowered.
void describe_schedule(const Graph& source, Lowered& program);

}  // namespace lazuli::cpu
