// SPDX-License-Identifier: MIT
// A graph as to_json wrote it, of whatever model, stage or machine.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lazuli::tool {

struct SavedNode {
  std::string op, scope, label;
  std::string type;                                        // "f32[1,640]", several joined by ", "; "" if not saved
  std::vector<std::pair<std::string, std::string>> attrs;  // name, value; without the numbers of inputs
  std::vector<std::string> body;                           // ops of a fused node
};

struct SavedGraph {
  std::string stage, phase;
  std::vector<SavedNode> nodes;
};

// Throws an Error that names the file, the node, and what was found and expected. Nodes may lack all but their op.
SavedGraph read_saved_graph(const std::string& path);

}  // namespace lazuli::tool
