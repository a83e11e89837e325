// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/pictures/collapse.h>

#include <algorithm>
#include <set>

namespace lazuli {
namespace {

std::string layer_name(const AlikeLayers& group, std::size_t member) {
  return fmt::format("{}.{}", group.family, group.indices[member]);
}

// The layers of `group` that are not expanded as one group, the others one by one.
void separate(AlikeLayers group, std::span<const std::string> expanded, std::vector<AlikeLayers>& groups) {
  const auto is_expanded = [&](const std::string& name) {
    return std::find(expanded.begin(), expanded.end(), name) != expanded.end();
  };
  const bool all = is_expanded(group.family);
  AlikeLayers together{group.family, {}, {}};
  for (std::size_t member = 0; member < group.indices.size(); ++member) {
    AlikeLayers alone{group.family, {}, {}};
    AlikeLayers& target = all || is_expanded(layer_name(group, member)) ? alone : together;
    target.indices.push_back(group.indices[member]);
    target.nodes.push_back(std::move(group.nodes[member]));
    if (!alone.indices.empty()) groups.push_back(std::move(alone));
  }
  if (!together.indices.empty()) groups.push_back(std::move(together));
}

// "blk.3.ffn_up.weight" to "blk.*.ffn_up.weight" for 3.
std::string without_number(const std::string& label, std::int64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string text;
  for (std::size_t begin = 0; begin <= label.size();) {
    const std::size_t end = std::min(label.find('.', begin), label.size());
    const std::string part = label.substr(begin, end - begin);
    text += part == digits ? "*" : part;
    if (end < label.size()) text += '.';
    begin = end + 1;
  }
  return text;
}

// "layers" to "layer".
std::string one_of(const std::string& family) {
  const std::string name = family.substr(family.rfind('.') + 1);  // npos + 1 is 0
  return name.size() > 1 && name.back() == 's' ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

CollapsedGraph::CollapsedGraph(const Graph& graph, std::span<const std::string> expanded)
    : places_(graph.nodes.size()), shown_(graph.nodes.size()), members_(graph.nodes.size()) {
  for (AlikeLayers& group : alike_layers(graph)) separate(std::move(group), expanded, groups_);
  for (std::size_t id = 0; id < shown_.size(); ++id) shown_[id] = static_cast<std::int32_t>(id);
  for (std::size_t group = 0; group < groups_.size(); ++group)
    for (std::size_t member = 0; member < groups_[group].nodes.size(); ++member)
      for (std::size_t position = 0; position < groups_[group].nodes[member].size(); ++position) {
        const auto id = static_cast<std::size_t>(groups_[group].nodes[member][position]);
        shown_[id] = groups_[group].nodes[0][position];
        places_[id] = {static_cast<std::int32_t>(group), static_cast<std::int32_t>(member)};
        members_[static_cast<std::size_t>(shown_[id])].push_back(static_cast<std::int32_t>(id));
      }
  for (std::size_t id = 0; id < shown_.size(); ++id)
    if (places_[id].group == no_group) members_[id] = {static_cast<std::int32_t>(id)};
}

std::vector<std::string> CollapsedGraph::names(const Graph& graph) {
  std::set<std::string> names;
  for (const AlikeLayers& group : alike_layers(graph)) {
    names.insert(group.family);
    for (std::size_t member = 0; member < group.indices.size(); ++member) names.insert(layer_name(group, member));
  }
  return {names.begin(), names.end()};
}

std::span<const std::int32_t> CollapsedGraph::members(std::int32_t node) const {
  return members_[static_cast<std::size_t>(node)];
}

std::int64_t CollapsedGraph::layer(std::int32_t node) const {
  const Place at = place(node);
  return groups_[static_cast<std::size_t>(at.group)].indices[static_cast<std::size_t>(at.member)];
}

std::string CollapsedGraph::title(std::int32_t group) const {
  const AlikeLayers& layers = groups_[static_cast<std::size_t>(group)];
  const std::string family = layers.family.substr(layers.family.rfind('.') + 1);
  if (layers.indices.size() == 1) return fmt::format("{}.{}", family, layers.indices[0]);
  return fmt::format("{} {} ({} alike)", family, index_ranges(layers.indices), layers.indices.size());
}

std::string CollapsedGraph::label(std::int32_t node, const Graph& graph) const {
  const std::string& own = graph.nodes[static_cast<std::size_t>(node)].label;
  if (group(node) == no_group || members(node).size() == 1) return own;
  std::string common = without_number(own, layer(node));
  for (const std::int32_t member : members(node))
    if (without_number(graph.nodes[static_cast<std::size_t>(member)].label, layer(member)) != common) return own;
  return common;
}

std::string CollapsedGraph::layer_names(std::int32_t group, std::vector<std::int64_t> indices) const {
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return fmt::format("{}{} {}", one_of(groups_[static_cast<std::size_t>(group)].family), indices.size() == 1 ? "" : "s",
                     index_ranges(indices));
}

std::string CollapsedGraph::some_layers(std::int32_t group, const std::vector<std::int64_t>& indices) const {
  const std::set<std::int64_t> distinct(indices.begin(), indices.end());
  return distinct.size() == groups_[static_cast<std::size_t>(group)].indices.size() ? "" : layer_names(group, indices);
}

std::string CollapsedGraph::crossing(Edges edges) const {
  const std::int32_t from = group(edges[0].first), to = group(edges[0].second);
  std::vector<std::int64_t> sources, readers;
  bool same = from != no_group && to != no_group, next = same;
  for (const auto& [source, reader] : edges) {
    if (from != no_group) sources.push_back(layer(source));
    if (to != no_group) readers.push_back(layer(reader));
    same = same && sources.back() == readers.back();
    next = next && sources.back() + 1 == readers.back();
  }
  if (same && from == to) return {};
  if (from != no_group && to != no_group) {
    const std::string& family = groups_[static_cast<std::size_t>(to)].family;
    const bool one_family = groups_[static_cast<std::size_t>(from)].family == family;
    return next && one_family ? "next " + one_of(family) : "of " + layer_names(from, sources);
  }
  const std::string of = from == no_group ? "" : some_layers(from, sources);
  const std::string into = to == no_group ? "" : some_layers(to, readers);
  return of.empty() ? into : "of " + of;
}

}  // namespace lazuli
