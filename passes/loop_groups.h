// SPDX-License-Identifier: MIT
// Which nodes of a graph one loop could compute together.
//
// A group has one iteration space: rows, and columns within a row. Its values are full (one per column) or narrow (one
// per row). Groups are convex: no path leaves a group and comes back, so that each can be one node.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {

// What one generated kernel should hold at most: compile time grows faster than the body, and every operand and result
// takes a register for its pointer.
struct LoopLimits {
  int nodes = 48;
  int operands = 24;
  int results = 8;
};

// A node that stayed out of the loop of one that reads it, or that no loop takes beside one that could be in a loop.
struct StayedOut {
  std::int32_t node;
  std::int32_t reader;  // the node itself, where no loop takes it
  std::string reason;
};

struct LoopGroups {
  std::vector<std::int32_t> group_of;              // by node; -1: none
  std::vector<std::vector<std::int32_t>> members;  // by group, ascending; may be empty or of one node
  std::vector<StayedOut> apart;                    // one for each two groups; empty unless asked for
};

// Greedy along the topological order, in time linear in the graph. Nodes with `excluded` set join no group.
LoopGroups group_loops(const Graph& graph, const std::vector<bool>& excluded, bool tell_why = false,
                       const LoopLimits& limits = {});

}  // namespace lazuli
