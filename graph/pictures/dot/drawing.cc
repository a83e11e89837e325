// SPDX-License-Identifier: MIT
#include <lazuli/graph/pictures/dot/drawing.h>

#include <numeric>

namespace lazuli::dot {

Drawing::Drawing(const Graph& graph, const DotOptions& options)
    : graph_(graph), options_(options), ids_(graph.nodes.size()), through_(graph.nodes.size()) {
  std::iota(ids_.begin(), ids_.end(), 0);
  for (std::size_t id = 0; id < graph.nodes.size(); ++id)
    if (hidden_view(id)) through_[id] = source(node(id).inputs[0]);
}

ValueId Drawing::source(ValueId value) const {
  const ValueId behind = through_[static_cast<std::size_t>(value.node)];
  return behind.node < 0 ? value : behind;
}

ValueId Drawing::shown(ValueId value) const {
  const ValueId behind = source(value);
  return {static_cast<std::int32_t>(first(static_cast<std::size_t>(behind.node))), behind.output};
}

std::span<const std::int32_t> Drawing::members(std::size_t id) const {
  if (options_.collapsed) return options_.collapsed->members(static_cast<std::int32_t>(id));
  return std::span(ids_).subspan(id, 1);
}

std::string Drawing::label(std::size_t id) const {
  return options_.collapsed ? options_.collapsed->label(static_cast<std::int32_t>(id), graph_) : node(id).label;
}

std::size_t Drawing::first(std::size_t id) const {
  if (!options_.collapsed) return id;
  return static_cast<std::size_t>(options_.collapsed->shown(static_cast<std::int32_t>(id)));
}

}  // namespace lazuli::dot
