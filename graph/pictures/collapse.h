// SPDX-License-Identifier: MIT
// A graph seen with one layer standing for all that are alike. Reading it is reading the graph: node ids stay.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/pictures/alike.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class LAZULI_API CollapsedGraph {
 public:
  // The first layer of each group stands for the group. Layers named in `expanded` ("layers.3"), or all of a family
  // ("layers"), stand for themselves.
  explicit CollapsedGraph(const Graph& graph, std::span<const std::string> expanded = {});

  const std::vector<AlikeLayers>& groups() const { return groups_; }
  // The names that `expanded` may hold.
  static std::vector<std::string> names(const Graph& graph);

  // The node that stands for `node`; most stand for themselves.
  std::int32_t shown(std::int32_t node) const { return shown_[static_cast<std::size_t>(node)]; }
  bool is_shown(std::int32_t node) const { return shown(node) == node; }
  // The nodes that a shown node stands for, itself first.
  std::span<const std::int32_t> members(std::int32_t node) const;

  static constexpr std::int32_t no_group = -1;
  std::int32_t group(std::int32_t node) const { return places_[static_cast<std::size_t>(node)].group; }
  // The number of the layer that `node` stands in, which is in a group.
  std::int64_t layer(std::int32_t node) const;

  // "layers 0-4, 6-9 (9 alike)", or "layers.5".
  std::string title(std::int32_t group) const;
  // The label that the members of a shown node have in common, numbers of layers as "*": "blk.*.ffn_up.weight".
  // Where they have none, that of the node itself.
  std::string label(std::int32_t node, const Graph& graph) const;

  // One edge of the picture, as the edges of the graph that it stands for: source and reader.
  using Edges = std::span<const std::pair<std::int32_t, std::int32_t>>;
  // What an edge between layers, or into or out of some of them, says: "next layer", "of layer 18", "layers 0, 4"; ""
  // where every member has it.
  std::string crossing(Edges edges) const;

 private:
  struct Place {
    std::int32_t group = no_group, member = 0;
  };
  Place place(std::int32_t node) const { return places_[static_cast<std::size_t>(node)]; }
  std::string layer_names(std::int32_t group, std::vector<std::int64_t> indices) const;
  std::string some_layers(std::int32_t group, const std::vector<std::int64_t>& indices) const;  // "": all of them

  std::vector<AlikeLayers> groups_;
  std::vector<Place> places_;
  std::vector<std::int32_t> shown_;
  std::vector<std::vector<std::int32_t>> members_;  // of shown nodes
};

}  // namespace lazuli
