// What changed between two graphs saved as JSON.
#pragma once

#include <lazuli/tools/graph/saved_graph.h>
#include <lazuli/tools/support/output.h>

#include <string>

namespace lazuli::tool {

// {"stage": {"a", "b"}, "phase", "nodes", "casts", "copies",
//  "ops": [{"op", "a", "b"}], "only_a": [{"scope", "op", "count"}], "only_b", "changed",
//  "cast_places": [{"scope", "each"}], "copy_places"}
// Ids change with every pass. Nodes correspond when scope, op, type, attributes, body and label are the same; of the
// rest, those of one scope and op are "changed", in order, and have "what": [[name, before, after]]. "casts" and
// "copies" count those inside fused bodies too; places are those with more or fewer, "each" says how many; "ops" those
// whose number differs. Layers that differ in the same way are one entry: "scope" has "*" for the number and "layers"
// says which ("0-4, 6"). Leaves stand where their names say ("blk.*.attn_q.weight"). Entries have "type" where it is
// known.
Json diff_graphs(const SavedGraph& a, const SavedGraph& b);
std::string diff_table(const Json& difference);

}  // namespace lazuli::tool
