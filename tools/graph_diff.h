// What changed between two graphs saved as JSON.
#pragma once

#include <lazuli/tools/output.h>

#include <string>

namespace lazuli::tool {

// Reads a graph that to_json wrote. Throws an Error that names the file and what is wrong with it.
Json read_graph_file(const std::string& path);

// {"nodes": {"a", "b"}, "casts": {"a", "b"}, "ops": [{"op", "a", "b"}], "only_a": [{"scope", "op", "count"}], "only_b"}
// Nodes correspond when scope and op are the same: ids change with every pass. `casts` count those inside fused bodies
// too. `ops` lists the ops whose number differs.
Json diff_graphs(const Json& a, const Json& b);
std::string diff_table(const Json& difference);

}  // namespace lazuli::tool
