// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/graph/graph_costs.h>

#include <algorithm>

namespace lazuli::tool {
namespace {

std::vector<Cost> scheduled_costs(const Profile& profile) {
  std::vector<Cost> costs(profile.scheduled().nodes.size());
  for (const ProfiledNode& node : profile.nodes) {
    Cost& cost = costs[static_cast<std::size_t>(node.id)];
    cost.us += node.us;
    cost.bytes += node.bytes;
    cost.wall_us += node.wall_us;
  }
  return costs;
}

// The sources of a node; a node of the built stage is its own.
std::vector<Source> sources(const Graph& graph, std::int32_t id, bool built) {
  const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
  return built ? std::vector<Source>{{id, node.op}} : node.from;
}

std::vector<Cost> costs_through_sources(const Profile& profile, const Graph& graph, bool built) {
  std::vector<std::vector<std::size_t>> readers(profile.compiled->built.nodes.size());  // of a source: nodes of `graph`
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    for (const Source& source : sources(graph, static_cast<std::int32_t>(i), built))
      readers[static_cast<std::size_t>(source.node)].push_back(i);
  const std::vector<Cost> scheduled = scheduled_costs(profile);
  std::vector<Cost> costs(graph.nodes.size());
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    std::vector<std::size_t> owners;
    for (const Source& source : profile.scheduled().nodes[i].from)
      for (const std::size_t owner : readers[static_cast<std::size_t>(source.node)])
        if (!is_leaf(graph.nodes[owner].op) && !is_view(graph.nodes[owner].op)) owners.push_back(owner);
    std::sort(owners.begin(), owners.end());
    owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
    for (const std::size_t owner : owners) {
      costs[owner].us += scheduled[i].us;
      costs[owner].bytes += scheduled[i].bytes;
      costs[owner].wall_us += scheduled[i].wall_us;
      costs[owner].shared_by = std::max(costs[owner].shared_by, static_cast<int>(owners.size()));
    }
  }
  return costs;
}

}  // namespace

std::vector<Cost> node_costs(const Profile& profile, const Graph& graph, const std::string& stage) {
  return stage == "scheduled" ? scheduled_costs(profile) : costs_through_sources(profile, graph, stage == "built");
}

Annotate annotate_with(std::vector<Cost> costs, const CollapsedGraph* collapsed) {
  const auto total = [collapsed](const std::vector<Cost>& of, std::int32_t id) {
    if (!collapsed) return of[static_cast<std::size_t>(id)];
    Cost sum;
    for (const std::int32_t member : collapsed->members(id)) {
      const Cost& cost = of[static_cast<std::size_t>(member)];
      sum = {sum.us + cost.us, sum.bytes + cost.bytes, sum.wall_us + cost.wall_us,
             std::max(sum.shared_by, cost.shared_by)};
    }
    return sum;
  };
  double hottest = 0;
  for (std::size_t id = 0; id < costs.size(); ++id)
    hottest = std::max(hottest, total(costs, static_cast<std::int32_t>(id)).us);
  return [costs = std::move(costs), total, hottest, collapsed](std::int32_t id) {
    const Cost cost = total(costs, id);
    if (cost.us <= 0) return NodeNote{};
    const std::size_t members = collapsed ? collapsed->members(id).size() : 1;
    NodeNote note{fmt::format("{:.1f} us", cost.us), cost.us / hottest};
    if (members > 1) note.text += fmt::format(" ({} × {:.1f})", members, cost.us / static_cast<double>(members));
    if (cost.wall_us > 0) note.text += fmt::format(", {:.1f} GB/s", cost.bytes / cost.wall_us * 1e-3);
    if (cost.shared_by > 1) note.text += fmt::format(", one kernel of {} nodes", cost.shared_by);
    return note;
  };
}

}  // namespace lazuli::tool
