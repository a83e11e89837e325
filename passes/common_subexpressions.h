// SPDX-License-Identifier: MIT
// Pass: nodes with equal op, attributes and operands become one. Operands of commutative ops compare in either order;
// random ops of one key give the same numbers and are equal.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph common_subexpressions(Graph graph, PassContext& context);

}  // namespace lazuli
