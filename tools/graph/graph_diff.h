// SPDX-License-Identifier: MIT
// What changed between two graphs saved as JSON.
#pragma once

#include <lazuli/tools/graph/saved_graph.h>
#include <lazuli/tools/support/output.h>

#include <cstddef>
#include <string>
#include <vector>

namespace lazuli::tool {

struct GraphDifference {
  template <class T>
  struct Pair {
    T a, b;
  };
  struct Change {
    std::string name, before, after;
    auto operator<=>(const Change&) const = default;
  };
  // Nodes of one scope and op that differ in the same way.
  struct Entry {
    std::string scope;  // "layers.*.attention": "*" stands for the numbers in `layers`
    std::string op;
    std::string type;          // empty where it is not known
    std::vector<Change> what;  // of changed nodes
    int count = 0;
    std::string layers;  // "0-4, 6"; empty outside layers
  };
  // A scope with more or fewer of something.
  struct Place {
    std::string scope;
    int each = 0;  // in each of the layers
    std::string layers;
  };
  struct OpCount {
    std::string op;
    int a = 0, b = 0;
  };

  Pair<std::string> stage, phase;
  Pair<std::size_t> nodes;
  Pair<int> casts, copies;  // those inside fused bodies too
  std::vector<Place> cast_places, copy_places;
  std::vector<OpCount> ops;  // whose number differs
  std::vector<Entry> only_a, only_b, changed;
};

// Ids change with every pass. Nodes correspond when scope, op, type, attributes, body and label are the same; of the
// rest, those of one scope and op are "changed", in order. Layers that differ in the same way are one entry. Leaves
// stand where their names say ("blk.*.attn_q.weight").
GraphDifference diff_graphs(const SavedGraph& a, const SavedGraph& b);

// {"stage": {"a", "b"}, "phase", "nodes", "casts", "copies",
//  "cast_places": [{"scope", "each", "layers"}], "copy_places", "ops": [{"op", "a", "b"}],
//  "only_a": [{"scope", "op", "type", "what": [[name, before, after]], "count", "layers"}], "only_b", "changed"}
// Keys of entries that are empty are left out.
Json to_json(const GraphDifference& difference);
std::string to_table(const GraphDifference& difference);

}  // namespace lazuli::tool
