// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/pictures/dot/clusters.h>
#include <lazuli/graph/pictures/placement.h>

#include <algorithm>
#include <set>
#include <utility>

namespace lazuli::dot {

ClusterTree::ClusterTree(const Drawing& drawing)
    : clusters_(1), home_(drawing.graph().nodes.size()), repeated_(drawing.graph().nodes.size()) {
  const std::vector<Scope::Ref> places = placement(drawing.graph());
  place(drawing, places);
  if (drawing.options().collapsed) name_groups(drawing, places);
}

std::size_t ClusterTree::cluster_of(const std::string& path) {
  std::size_t parent = root;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = level_end(path, begin);
    const auto [known, added] = ids_.try_emplace(path.substr(0, end), clusters_.size());
    if (added) {
      clusters_[parent].children.push_back(clusters_.size());
      clusters_.push_back({path.substr(0, end), path.substr(begin, end - begin), {}, {}});
    }
    parent = known->second;
    begin = end + 1;
  }
  return parent;
}

void ClusterTree::place(const Drawing& drawing, const std::vector<Scope::Ref>& places) {
  const Graph& graph = drawing.graph();
  std::set<std::pair<std::size_t, std::size_t>> readings;  // input, cluster
  const auto read = [&](ValueId value, std::size_t cluster) {
    if (const ValueId source = drawing.shown(value); drawing.node(source).op == Op::input)
      readings.emplace(static_cast<std::size_t>(source.node), cluster);
  };
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    if (!drawing.drawn(id)) continue;
    ++drawn_count_;
    if (graph.nodes[id].op == Op::input) continue;
    home_[id] = places[id] ? cluster_of(*places[id]) : root;
    for (const ValueId input : graph.nodes[id].inputs) read(input, home_[id]);
  }
  for (const ValueId output : graph.outputs) read(output, root);
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    if (!drawing.drawn(id)) continue;
    std::vector<std::size_t> readers;
    for (auto reading = readings.lower_bound({id, 0}); reading != readings.end() && reading->first == id; ++reading)
      readers.push_back(reading->second);
    repeated_[id] = readers.size() >= (drawing.options().collapsed ? 2 : 3);
    if (repeated_[id])
      home_[id] = readers[0];
    else if (graph.nodes[id].op == Op::input)
      home_[id] = places[id] ? cluster_of(*places[id]) : root;
    if (!repeated_[id]) readers = {home_[id]};
    for (const std::size_t cluster : readers) clusters_[cluster].nodes.push_back(id);
  }
}

void ClusterTree::name_groups(const Drawing& drawing, const std::vector<Scope::Ref>& places) {
  const CollapsedGraph& collapsed = *drawing.options().collapsed;
  for (std::size_t id = 0; id < places.size(); ++id) {
    const std::int32_t group = collapsed.group(static_cast<std::int32_t>(id));
    if (group == CollapsedGraph::no_group || !drawing.drawn(id)) continue;
    Cluster& cluster = clusters_[cluster_of(std::string(numbered_scope(*places[id])->layer))];
    if (cluster.group == group) continue;
    cluster.group = group;
    cluster.title = collapsed.title(group);
  }
}

}  // namespace lazuli::dot
