// SPDX-License-Identifier: MIT
// What a picture that draws one layer for all that are alike says of the others: where values enter a group of layers,
// and how the groups follow each other.
#pragma once

#include <lazuli/graph/pictures/dot/clusters.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::dot {

// A value that the layers of a group read from other layers, or that only some of them read from where the others do
// not. All readers in the group share it.
struct Port {
  struct Source {
    ValueId shown;
    std::vector<std::pair<std::int32_t, std::int32_t>> edges;  // of the graph: source and reader
  };

  std::string id;  // "in0_1"
  Type type;
  std::int32_t group = CollapsedGraph::no_group;
  std::vector<Source> sources;
};

// One group reads from another, or from itself: an arrow of the picture, whatever the number of values.
struct Passage {
  std::int32_t from, to;
  std::string label;  // "next layer", "of layer 18"

  auto operator<=>(const Passage&) const = default;
};

class Ports {
 public:
  explicit Ports(const Drawing& drawing);

  const std::vector<Port>& all() const { return ports_; }
  // The port that a drawn node's operand comes from; null: it comes from where drawing.shown says.
  const Port* of(std::size_t reader, std::size_t operand) const;
  // Ascending.
  std::vector<Passage> passages(const CollapsedGraph& collapsed) const;

 private:
  void add(const Drawing& drawing, std::size_t reader, std::size_t operand);

  std::vector<Port> ports_;
  std::map<std::pair<std::int32_t, std::vector<ValueId>>, std::size_t> known_;  // group, value in each layer
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> of_;               // reader, operand
};

// DOT text. A port is a node of its group's cluster; its edges come from outside all layers.
std::string port_node(const Drawing& drawing, const Port& port);
std::string port_edges(const Drawing& drawing, const ClusterTree& clusters, const Port& port);
// Groups stand side by side, each under a node of its own. Those lie in one rank above all else, in the order of the
// layers, with the arrows between groups. The arrow of a group to itself goes back from its last node to its first.
std::string layer_row(const Drawing& drawing, const ClusterTree& clusters, const Ports& ports);

}  // namespace lazuli::dot
