// SPDX-License-Identifier: MIT
// Times by op and by layer, and how often ops stand in a graph.
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>
#include <map>

namespace lazuli {
namespace {

// "layers.3" of "layers.3.mlp.gate"; the outermost scope where there is no number behind it.
std::string layer_of(const std::string& scope) { return scope.substr(0, level_end(scope, 0)); }

// A launch, or a part of one.
template <class Ran>
void add(OpTime& op, const Ran& ran) {
  op.op = ran.op;
  ++op.launches;
  op.kind = std::min(op.kind, ran.kind);
  op.us += ran.us;
  op.wall_us += ran.wall_us;
  op.bytes += ran.bytes;
  op.operations += ran.operations;
}

std::vector<OpTime> longest_first(std::map<std::string, OpTime> by_name) {
  std::vector<OpTime> ops;
  for (auto& [name, op] : by_name) ops.push_back(std::move(op));
  std::stable_sort(ops.begin(), ops.end(), [](const OpTime& a, const OpTime& b) { return a.us > b.us; });
  return ops;
}

}  // namespace

std::vector<OpTime> times_by_op(const Profile& profile) {
  std::map<std::string, OpTime> by_name;
  std::map<std::string, std::map<std::string, OpTime>> parts_by_name;  // of each op
  for (const ProfiledNode& node : profile.nodes) {
    add(by_name[node.op], node);
    for (const ProfiledPart& part : node.parts) add(parts_by_name[node.op][part.op], part);
  }
  for (auto& [name, parts] : parts_by_name) by_name.at(name).parts = longest_first(std::move(parts));
  return longest_first(std::move(by_name));
}

std::vector<LayerTime> times_by_layer(const Profile& profile) {
  std::map<std::string, std::size_t> place;
  std::vector<LayerTime> layers;
  for (const ProfiledNode& node : profile.nodes)
    for (const ProfiledPart& part : parts_of(node)) {
      const std::string name = layer_of(part.scope);
      const auto [entry, added] = place.try_emplace(name, layers.size());
      if (added) layers.push_back({name});
      LayerTime& layer = layers[entry->second];
      (part.kind == StepKind::matmul      ? layer.matmul_us
       : part.kind == StepKind::attention ? layer.attention_us
                                          : layer.other_us) += part.us;
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
