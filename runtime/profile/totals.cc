// SPDX-License-Identifier: MIT
// Times by op and by layer, and how often ops stand in a graph.
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>

#include <algorithm>
#include <map>

namespace lazuli {
namespace {

// "layers.3" of "layers.3.mlp.gate"; the outermost scope where there is no number behind it.
std::string layer_of(const std::string& scope) { return scope.substr(0, level_end(scope, 0)); }

}  // namespace

std::vector<OpTime> times_by_op(const Profile& profile) {
  std::map<std::string, OpTime> by_name;
  for (const ProfiledNode& node : profile.nodes) {
    OpTime& op = by_name[node.op];
    op.op = node.op;
    ++op.launches;
    op.kind = std::min(op.kind, node.kind);
    op.us += node.us;
    op.wall_us += node.wall_us;
    op.bytes += node.bytes;
    op.operations += node.operations;
  }
  std::vector<OpTime> ops;
  for (auto& [name, op] : by_name) ops.push_back(std::move(op));
  std::stable_sort(ops.begin(), ops.end(), [](const OpTime& a, const OpTime& b) { return a.us > b.us; });
  return ops;
}

std::vector<LayerTime> times_by_layer(const Profile& profile) {
  std::map<std::string, std::size_t> place;
  std::vector<LayerTime> layers;
  for (const ProfiledNode& node : profile.nodes) {
    const std::string name = layer_of(node.scope);
    const auto [entry, added] = place.try_emplace(name, layers.size());
    if (added) layers.push_back({name});
    LayerTime& layer = layers[entry->second];
    (node.kind == StepKind::matmul      ? layer.matmul_us
     : node.kind == StepKind::attention ? layer.attention_us
                                        : layer.other_us) += node.us;
  }
  return layers;
}

std::vector<OpCount> op_histogram(const CompiledGraph& compiled) {
  std::map<std::string, OpCount> by_name;
  const auto count = [&](const Graph& graph, int OpCount::* stage) {
    for (const GraphNode& node : graph.nodes)
      if (!is_leaf(node.op)) ++(by_name[std::string(node.name())].*stage);
  };
  count(compiled.built, &OpCount::built);
  count(compiled.fused, &OpCount::fused);
  count(compiled.program->scheduled(), &OpCount::scheduled);
  std::vector<OpCount> counts;
  for (auto& [name, entry] : by_name) {
    entry.op = name;
    counts.push_back(std::move(entry));
  }
  std::stable_sort(counts.begin(), counts.end(), [](const OpCount& a, const OpCount& b) {
    return std::max({a.built, a.fused, a.scheduled}) > std::max({b.built, b.fused, b.scheduled});
  });
  return counts;
}

}  // namespace lazuli
