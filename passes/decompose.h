// SPDX-License-Identifier: MIT
// Pass: composites, and custom ops that decompose, become their definitions in other ops where the backend does not run
// them, or where the choice "composites" is off. AltUp ops are left to their rules where those are on.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph decompose(Graph graph, PassContext& context);

}  // namespace lazuli
