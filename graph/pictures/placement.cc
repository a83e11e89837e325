// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/pictures/placement.h>

#include <algorithm>
#include <string_view>

namespace lazuli {
namespace {

Scope::Ref common_place(const Scope::Ref& a, const Scope::Ref& b) {
  if (!a || !b || a == b) return a == b ? a : nullptr;
  const std::string_view common = common_path(*a, *b);
  if (common.size() == a->size()) return a;
  return common.empty() ? nullptr : std::make_shared<const std::string>(common);
}

// The path of the layer that `scope` lies in; null outside layers.
Scope::Ref layer_of(const Scope::Ref& scope) {
  const auto numbered = scope ? numbered_scope(*scope) : std::nullopt;
  if (!numbered) return nullptr;
  return numbered->inner.empty() ? scope : std::make_shared<const std::string>(numbered->layer);
}

// Leaves without a scope, and nodes without one that are computed from such leaves alone.
std::vector<bool> find_movable(const Graph& graph) {
  std::vector<bool> movable(graph.nodes.size());
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    const GraphNode& node = graph.nodes[id];
    movable[id] = !node.scope && std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return movable[static_cast<std::size_t>(input.node)];
    });
  }
  return movable;
}

bool on_border(const GraphNode& node) { return node.op == Op::fused && !node.scope; }

// What nodes in layers read, directly or through nodes on a border.
std::vector<bool> find_read_by_layers(const Graph& graph) {
  std::vector<bool> read(graph.nodes.size());
  for (std::size_t id = graph.nodes.size(); id-- > 0;) {
    const GraphNode& node = graph.nodes[id];
    if (!(node.scope && numbered_scope(*node.scope)) && !(on_border(node) && read[id])) continue;
    for (const ValueId input : node.inputs) read[static_cast<std::size_t>(input.node)] = true;
  }
  return read;
}

}  // namespace

std::vector<Scope::Ref> placement(const Graph& graph) {
  const std::vector<bool> movable = find_movable(graph), read_by_layers = find_read_by_layers(graph);
  std::vector<Scope::Ref> places(graph.nodes.size());
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    const GraphNode& node = graph.nodes[id];
    places[id] = node.scope;
    if (!on_border(node) || movable[id] || !read_by_layers[id]) continue;
    std::int32_t last = -1;
    for (const ValueId input : node.inputs)
      if (!movable[static_cast<std::size_t>(input.node)]) last = std::max(last, input.node);
    places[id] = layer_of(places[static_cast<std::size_t>(last)]);
  }
  std::vector<bool> read(graph.nodes.size());
  for (std::size_t id = graph.nodes.size(); id-- > 0;)
    for (const ValueId input : graph.nodes[id].inputs) {
      const auto source = static_cast<std::size_t>(input.node);
      if (!movable[source]) continue;
      places[source] = read[source] ? common_place(places[source], places[id]) : places[id];
      read[source] = true;
    }
  return places;
}

}  // namespace lazuli
