// SPDX-License-Identifier: MIT
// Graphs for people and tools: DOT (Graphviz), SVG through the dot program, JSON, and JSON for Model Explorer.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/pictures/collapse.h>

#include <functional>
#include <string>
#include <vector>

namespace lazuli {

// Extra lines for a node, such as "41 us, 12.3 GB/s"; the graph itself knows nothing of timers.
struct LAZULI_API NodeNote {
  std::string text;  // lines; empty: no note
  double heat = 0;   // 0 cold to 1 hot: the fill colour
};
using Annotate = std::function<NodeNote(std::int32_t node)>;

struct LAZULI_API DotOptions {
  bool views = true;                          // draw reshape, transpose, slice and broadcast nodes
  bool constants = false;                     // draw weights as nodes; otherwise they are named inside their reader
  Annotate annotate;                          // asked for the nodes that are drawn
  const CollapsedGraph* collapsed = nullptr;  // of the graph that is drawn: one layer is drawn for all that are alike
};

// One cluster per scope level ("layers.3" > "mlp"), stable ids (node 12 is n12, output 0 is out0), dtype and shape on
// every edge's source, and on fused nodes what they replaced. Scalars stand as numbers inside their readers; an
// input that three or more clusters read is drawn in each (n7, n7_4, ...). Operands that are one value share an edge.
// Where layers are collapsed, groups stand side by side, and "in2_3" is a value from other layers that group 2 reads.
LAZULI_API std::string to_dot(const Graph& graph, const DotOptions& options = {});
// Runs Graphviz, without a shell. Throws an Error that names the package when `dot` is missing, or says what it
// rejected.
LAZULI_API std::string to_svg(const Graph& graph, const DotOptions& options = {});

// {"stage", "phase", "nodes": [{"id", "op", "inputs", "shape", "dtype", "scope", "from", ...}]}
// `inputs` are node ids, or "id:output" for outputs past the first; `from` are ids of the "built" stage. A node also
// has "label" and "attrs" (an object), no "shape" and "dtype" where it is a launch that gives nothing, with several
// outputs "outputs" ([{"shape", "dtype"}]), where fused "body" (the names of the ops inside; control flow has those of
// its bodies under their names), where annotated "note" and "heat". After the nodes: "outputs", [{"value", "name"}].
LAZULI_API std::string to_json(const Graph& graph, const std::string& stage, const Annotate& annotate = {});

// A graph collection of Model Explorer (google-ai-edge/model-explorer, input_graph.ts): {"label", "graphs": [{"id",
// "nodes": [{"id", "label", "namespace", "attrs", "incomingEdges", "outputsMetadata"}]}]}. Ids are node numbers, and
// "output 0" for the results; namespaces are scopes ("layers/3/mlp"), weights and caches standing with their readers.
LAZULI_API std::string to_model_explorer(const Graph& graph, const std::string& name, const Annotate& annotate = {});

}  // namespace lazuli
