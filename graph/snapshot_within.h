// SPDX-License-Identifier: MIT
// A snapshot that ends where a body does. Private to graph/.
#pragma once

#include <lazuli/graph/base/function_ref.h>
#include <lazuli/graph/graph.h>

#include <span>
#include <vector>

namespace lazuli {

// As `snapshot`; nodes that are outside become inputs, like evaluated ones.
Graph snapshot_within(std::span<const Array> outputs, std::vector<Array>* leaves,
                      FunctionRef<bool(const Node&)> is_outside);

}  // namespace lazuli
