// SPDX-License-Identifier: MIT
// Pass: views and casts that change nothing disappear, chains of views become one, broadcasts and reshapes move behind
// elementwise ops, where fewer elements are computed and fewer views stand between ops that could be fused.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph fold_views(Graph graph, PassContext& context);

}  // namespace lazuli
