// SPDX-License-Identifier: MIT
// Pass: what the other passes do to a graph, in the bodies of its control flow, innermost last. Constants are not
// folded there: what no iteration changes was moved out when the body was traced.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph rewrite_bodies(Graph graph, PassContext& context);

}  // namespace lazuli
