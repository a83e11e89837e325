// SPDX-License-Identifier: MIT
// What of a graph is drawn, and what stands for the rest.
#pragma once

#include <lazuli/graph/pictures/collapse.h>
#include <lazuli/graph/pictures/pictures.h>

#include <span>
#include <vector>

namespace lazuli::dot {

// Refers to the graph, and to the collapsed graph of the options, which must outlive it.
class Drawing {
 public:
  Drawing(const Graph& graph, const DotOptions& options);

  const Graph& graph() const { return graph_; }
  const DotOptions& options() const { return options_; }
  const GraphNode& node(std::size_t id) const { return graph_.nodes[id]; }
  const GraphNode& node(ValueId value) const { return graph_.node(value); }

  // Has a picture: is no number or weight inside its readers, no view that is left out, and no layer that another
  // stands for.
  bool drawn(std::size_t id) const { return !inlined(id) && !hidden_view(id) && first(id) == id; }
  // Stands inside its readers.
  bool inlined(std::size_t id) const {
    return node(id).op == Op::scalar || (node(id).op == Op::constant && !options_.constants);
  }
  bool inlined(ValueId value) const { return inlined(static_cast<std::size_t>(value.node)); }

  // The value behind views that are left out.
  ValueId source(ValueId value) const;
  // The value whose picture a reader of `value` is connected to.
  ValueId shown(ValueId value) const;
  // The nodes that one picture is of.
  std::span<const std::int32_t> members(std::size_t id) const;
  // Of a label, what is the same in all nodes of a picture.
  std::string label(std::size_t id) const;

 private:
  bool hidden_view(std::size_t id) const { return !options_.views && is_view(node(id).op) && !node(id).inputs.empty(); }
  std::size_t first(std::size_t id) const;

  const Graph& graph_;
  const DotOptions& options_;
  std::vector<std::int32_t> ids_;  // 0, 1, 2, ...
  std::vector<ValueId> through_;   // of hidden views: the value they show; node < 0 elsewhere
};

}  // namespace lazuli::dot
