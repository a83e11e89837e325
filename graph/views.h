// Graphs for people and tools: DOT (Graphviz), SVG through the dot program, JSON.
#pragma once

#include <lazuli/graph/graph.h>

#include <functional>
#include <string>
#include <vector>

namespace lazuli {

// Extra lines for a node, such as "41 us, 12.3 GB/s"; the graph itself knows nothing of timers.
struct NodeNote {
  std::string text;  // lines; empty: no note
  double heat = 0;   // 0 cold to 1 hot: the fill colour
};
using Annotate = std::function<NodeNote(std::int32_t node)>;

struct DotOptions {
  bool views = true;       // draw reshape, transpose, slice and broadcast nodes
  bool constants = false;  // draw weights as nodes; otherwise they are named inside their reader
  Annotate annotate;
};

// One cluster per scope level ("layers.3" > "mlp"), stable ids (node 12 is n12, output 0 is out0), dtype and shape on
// every edge's source, and on fused nodes what they replaced. Scalars stand as numbers inside their readers; an
// input that three or more clusters read is drawn in each (n7, n7_4, ...).
std::string to_dot(const Graph& graph, const DotOptions& options = {});
// Runs Graphviz, without a shell. Throws an Error that names the package when `dot` is missing, or says what it
// rejected.
std::string to_svg(const Graph& graph, const DotOptions& options = {});

// {"stage", "phase", "nodes": [{"id", "op", "inputs", "shape", "dtype", "scope", "from", ...}]}
// `inputs` are node ids, or "id:output" for outputs past the first; `from` are ids of the "built" stage. A node also
// has "label" and "attrs" (an object), with several outputs "outputs" ([{"shape", "dtype"}]), where fused "body" (the
// names of the ops inside), where annotated "note" and "heat". After the nodes: "outputs", [{"value", "name"}].
std::string to_json(const Graph& graph, const std::string& stage, const Annotate& annotate = {});

}  // namespace lazuli
