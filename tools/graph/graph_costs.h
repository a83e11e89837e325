// SPDX-License-Identifier: MIT
// What the nodes of a graph cost in a profiled step, and how pictures say so.
#pragma once

#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/tools/support/step_profile.h>

#include <string>
#include <vector>

namespace lazuli::tool {

struct Cost {
  double us = 0, bytes = 0;  // over all workers
  double wall_us = 0;        // of the slowest worker
  int shared_by = 1;         // nodes of the graph that one kernel computes
};

// By node of one stage of the profiled step: "built", "fused" or "scheduled", the graph of which is `graph`. Kernels
// count for all nodes that they stand for.
std::vector<Cost> node_costs(const Profile& profile, const Graph& graph, const std::string& stage);

// Time, rate and heat. Of nodes that stand for those of alike layers, the sum, and what one takes on average.
// `collapsed` may be null, and must outlive the result.
Annotate annotate_with(std::vector<Cost> costs, const CollapsedGraph* collapsed);

}  // namespace lazuli::tool
