// Which nodes of a graph one loop could compute together.
//
// A group has one iteration space: rows, and columns within a row. Its values are full (one per column) or narrow (one
// per row). Groups are convex: no path leaves a group and comes back, so that each can be one node.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <vector>

namespace lazuli {

// What one generated kernel should hold at most: compile time grows faster than the body, and every operand and result
// takes a register for its pointer.
struct LoopLimits {
  int nodes = 48;
  int operands = 24;
  int results = 8;
};

struct LoopGroups {
  std::vector<std::int32_t> group_of;              // by node; -1: none
  std::vector<std::vector<std::int32_t>> members;  // by group, ascending; may be empty or of one node
};

// Greedy along the topological order, in time linear in the graph. Nodes with `excluded` set join no group.
LoopGroups group_loops(const Graph& graph, const std::vector<bool>& excluded, const LoopLimits& limits = {});

}  // namespace lazuli
