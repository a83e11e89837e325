// SPDX-License-Identifier: MIT
// Layers of a model that do the same, so that one can be shown for all.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {

// Layers are scopes that differ in a number, the outermost of their path: "layers.0", "layers.1" are of the family
// "layers".
struct LAZULI_API AlikeLayers {
  std::string family;
  std::vector<std::int64_t> indices;             // ascending
  std::vector<std::vector<std::int32_t>> nodes;  // of each layer, ascending; what stands at one position corresponds
};

// All layers of the graph, those that are alike together; groups are ordered by family and first index. Nodes belong to
// the layer they stand in (placement.h). Layers are alike when their nodes have the same ops, attributes, types, bodies
// and scopes inside the layer, and read one another in the same way; what they read from outside needs to have the same
// type. Differences that do not count: which weights, and by which quantisation, a layer has; and slices whose offsets
// differ by as much as the layers' numbers do.
LAZULI_API std::vector<AlikeLayers> alike_layers(const Graph& graph);

}  // namespace lazuli
