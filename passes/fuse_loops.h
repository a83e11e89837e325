// SPDX-License-Identifier: MIT
// Pass: elementwise ops and last-axis reductions over the same rows become fused nodes, as large as one loop can hold
// them. Runs last: inside a fused body neither rows nor named patterns can be seen any more.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph fuse_loops(Graph graph, PassContext& context);

}  // namespace lazuli
