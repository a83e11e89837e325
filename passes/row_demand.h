// SPDX-License-Identifier: MIT
// Pass: computes only the rows that are asked for. Where every reader of a value takes the same rows of it (the logits
// of the last token), the ops behind it that work row by row compute those rows alone; the selection moves towards the
// inputs, up to where somebody needs all rows, such as the write to a KV cache.
#pragma once

#include <lazuli/passes/pass.h>

namespace lazuli {

Graph row_demand(Graph graph, PassContext& context);

}  // namespace lazuli
