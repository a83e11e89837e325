// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/tools/graph/graph_diff.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace lazuli::tool {
namespace {

using Nodes = std::vector<const SavedNode*>;
using Change = GraphDifference::Change;
using Place = GraphDifference::Place;

// Weights and caches stand outside all scopes; their names have the number of the layer.
const std::string& place_of(const SavedNode& node) {
  return node.scope.empty() && (node.op == "constant" || node.op == "input") ? node.label : node.scope;
}

// What one entry of a list is of, whatever the layer.
struct Key {
  std::string scope;  // "layers.*.attention"
  std::string op, type;
  std::vector<Change> what;
  int more = 0;  // in each layer, of what is counted there

  auto operator<=>(const Key&) const = default;
};

// Keys in order of appearance, and how often each is in which layer.
class Summary {
 public:
  void add(const std::string& place, Key key, int count = 1) {
    std::int64_t layer = no_layer;
    key.scope = place;
    if (const auto numbered = numbered_scope(place)) {
      layer = numbered->index;
      key.scope = fmt::format("{}.*", numbered->family);
      if (!numbered->inner.empty()) key.scope += fmt::format(".{}", numbered->inner);
    }
    const auto [known, added] = places_.try_emplace(key, rows_.size());
    if (added) rows_.push_back({std::move(key), 0, {}});
    Row& row = rows_[known->second];
    row.count += count;
    if (layer != no_layer) row.layers.insert(layer);
  }

  std::vector<GraphDifference::Entry> entries() const {
    std::vector<GraphDifference::Entry> entries;
    for (const auto& [key, count, layers] : rows_)
      entries.push_back({key.scope, key.op, key.type, key.what, count, ranges(layers)});
    return entries;
  }
  std::vector<Place> places() const {
    std::vector<Place> places;
    for (const auto& [key, count, layers] : rows_) places.push_back({key.scope, key.more, ranges(layers)});
    return places;
  }

 private:
  struct Row {
    Key key;
    int count;
    std::set<std::int64_t> layers;
  };
  static constexpr std::int64_t no_layer = -1;

  static std::string ranges(const std::set<std::int64_t>& layers) {
    return layers.empty() ? std::string() : index_ranges(std::vector<std::int64_t>(layers.begin(), layers.end()));
  }

  std::map<Key, std::size_t> places_;
  std::vector<Row> rows_;
};

std::vector<Change> changes_between(const SavedNode& a, const SavedNode& b) {
  std::vector<Change> changes;
  const auto compare = [&](const std::string& name, const std::string& before, const std::string& after) {
    if (before != after) changes.push_back({name, before, after});
  };
  compare("type", a.type, b.type);
  compare("label", a.label, b.label);
  std::map<std::string, std::pair<std::string, std::string>> attrs;
  for (const auto& [name, value] : a.attrs) attrs[name].first = value;
  for (const auto& [name, value] : b.attrs) attrs[name].second = value;
  for (const auto& [name, values] : attrs) compare(name, values.first, values.second);
  compare("body", fmt::format("{}", fmt::join(a.body, " ")), fmt::format("{}", fmt::join(b.body, " ")));
  return changes;
}

// Nodes of one place and op: takes away what is the same in both.
void cancel_equal(Nodes& a, Nodes& b) {
  const auto key = [](const SavedNode* node) { return std::tie(node->type, node->label, node->attrs, node->body); };
  std::map<decltype(key(nullptr)), Nodes> unmatched;  // of b
  for (const SavedNode* node : b) unmatched[key(node)].push_back(node);
  std::set<const SavedNode*> equal;
  for (const SavedNode* node : a)
    if (const auto same = unmatched.find(key(node)); same != unmatched.end() && !same->second.empty()) {
      equal.insert({node, same->second.back()});
      same->second.pop_back();
    }
  const auto is_equal = [&](const SavedNode* node) { return equal.contains(node); };
  std::erase_if(a, is_equal);
  std::erase_if(b, is_equal);
}

struct Differences {
  Summary only_a, only_b, changed;
};

Differences compare_nodes(const SavedGraph& a, const SavedGraph& b) {
  using Sides = std::pair<Nodes, Nodes>;
  std::map<std::pair<std::string, std::string>, std::size_t> known;  // place, op
  std::vector<Sides> groups;
  const auto collect = [&](const SavedGraph& graph, Nodes Sides::* side) {
    for (const SavedNode& node : graph.nodes) {
      const auto [group, added] = known.try_emplace({place_of(node), node.op}, groups.size());
      if (added) groups.emplace_back();
      (groups[group->second].*side).push_back(&node);
    }
  };
  collect(a, &Sides::first);
  collect(b, &Sides::second);
  Differences differences;
  for (auto& [left, right] : groups) {
    cancel_equal(left, right);
    const std::size_t pairs = std::min(left.size(), right.size());
    for (std::size_t i = 0; i < pairs; ++i)
      differences.changed.add(place_of(*left[i]), {{}, left[i]->op, {}, changes_between(*left[i], *right[i])});
    for (std::size_t i = pairs; i < left.size(); ++i)
      differences.only_a.add(place_of(*left[i]), {{}, left[i]->op, left[i]->type, {}});
    for (std::size_t i = pairs; i < right.size(); ++i)
      differences.only_b.add(place_of(*right[i]), {{}, right[i]->op, right[i]->type, {}});
  }
  return differences;
}

std::map<std::string, int> count_ops(const SavedGraph& graph) {
  std::map<std::string, int> counts;
  for (const SavedNode& node : graph.nodes) ++counts[node.op];
  return counts;
}

std::vector<GraphDifference::OpCount> op_differences(const SavedGraph& a, const SavedGraph& b) {
  std::map<std::string, std::pair<int, int>> both;
  for (const auto& [op, count] : count_ops(a)) both[op].first = count;
  for (const auto& [op, count] : count_ops(b)) both[op].second = count;
  std::vector<GraphDifference::OpCount> differences;
  for (const auto& [op, counts] : both)
    if (counts.first != counts.second) differences.push_back({op, counts.first, counts.second});
  return differences;
}

// How often `op` is computed in each scope, by itself or inside a fused body.
std::map<std::string, int> op_places(const SavedGraph& graph, std::string_view op) {
  std::map<std::string, int> places;
  for (const SavedNode& node : graph.nodes) {
    const auto inside = static_cast<int>(std::count(node.body.begin(), node.body.end(), op));
    const int count = node.body.empty() ? node.op == op : std::max(inside, node.op == op ? 1 : 0);
    if (count > 0) places[node.scope] += count;
  }
  return places;
}

int total(const std::map<std::string, int>& places) {
  int sum = 0;
  for (const auto& [scope, count] : places) sum += count;
  return sum;
}

// Where there are more or fewer.
std::vector<Place> moved(const std::map<std::string, int>& a, const std::map<std::string, int>& b) {
  std::set<std::string> scopes;
  for (const auto& [scope, count] : a) scopes.insert(scope);
  for (const auto& [scope, count] : b) scopes.insert(scope);
  const auto count = [](const std::map<std::string, int>& places, const std::string& scope) {
    const auto place = places.find(scope);
    return place == places.end() ? 0 : place->second;
  };
  Summary summary;
  for (const std::string& scope : scopes)
    if (const int more = count(b, scope) - count(a, scope); more != 0) summary.add(scope, {{}, {}, {}, {}, more});
  return summary.places();
}

Json json_of(const GraphDifference::Entry& entry) {
  Json object{{"scope", entry.scope}, {"op", entry.op}};
  if (!entry.type.empty()) object["type"] = entry.type;
  for (const auto& [name, before, after] : entry.what) object["what"].push_back({name, before, after});
  object["count"] = entry.count;
  if (!entry.layers.empty()) object["layers"] = entry.layers;
  return object;
}

Json json_of(const Place& place) {
  Json object{{"scope", place.scope}, {"each", place.each}};
  if (!place.layers.empty()) object["layers"] = place.layers;
  return object;
}

Json json_of(const GraphDifference::OpCount& op) { return {{"op", op.op}, {"a", op.a}, {"b", op.b}}; }

template <class T>
Json json_of(const GraphDifference::Pair<T>& pair) {
  return {{"a", pair.a}, {"b", pair.b}};
}

template <class T>
Json json_of(const std::vector<T>& list) {
  Json array = Json::array();
  for (const T& entry : list) array.push_back(json_of(entry));
  return array;
}

template <class T>
std::string side_by_side(const std::string& name, const T& a, const T& b) {
  return fmt::format("{:<24} {:>9} -> {:>9}\n", name, a, b);
}

std::string scope_text(const std::string& scope) { return scope.empty() ? "(no scope)" : scope; }

constexpr std::size_t max_lines = 60;  // of one list; --json has all

std::string list_text(const std::vector<GraphDifference::Entry>& entries, char sign) {
  std::string text;
  for (std::size_t i = 0; i < std::min(entries.size(), max_lines); ++i) {
    const GraphDifference::Entry& entry = entries[i];
    text += fmt::format("{} {:<24} {}", sign, entry.op, scope_text(entry.scope));
    if (!entry.type.empty()) text += fmt::format("  {}", entry.type);
    for (const auto& [name, before, after] : entry.what) text += fmt::format("  {}: {} -> {}", name, before, after);
    if (entry.count != 1) text += fmt::format("  x{}", entry.count);
    if (!entry.layers.empty()) text += fmt::format("  layers {}", entry.layers);
    text += "\n";
  }
  if (entries.size() > max_lines) text += fmt::format("{} and {} more\n", sign, entries.size() - max_lines);
  return text;
}

std::string places_text(const std::vector<Place>& places) {
  std::string text;
  for (std::size_t i = 0; i < std::min(places.size(), max_lines); ++i)
    text += fmt::format("    {:+} in {}{}\n", places[i].each, scope_text(places[i].scope),
                        places[i].layers.empty() ? "" : " of each of layers " + places[i].layers);
  if (places.size() > max_lines) text += fmt::format("    and {} more\n", places.size() - max_lines);
  return text;
}

}  // namespace

GraphDifference diff_graphs(const SavedGraph& a, const SavedGraph& b) {
  const Differences differences = compare_nodes(a, b);
  const auto casts_a = op_places(a, "cast"), casts_b = op_places(b, "cast");
  const auto copies_a = op_places(a, "copy"), copies_b = op_places(b, "copy");
  GraphDifference difference;
  difference.stage = {a.stage, b.stage};
  difference.phase = {a.phase, b.phase};
  difference.nodes = {a.nodes.size(), b.nodes.size()};
  difference.casts = {total(casts_a), total(casts_b)};
  difference.copies = {total(copies_a), total(copies_b)};
  difference.cast_places = moved(casts_a, casts_b);
  difference.copy_places = moved(copies_a, copies_b);
  difference.ops = op_differences(a, b);
  difference.only_a = differences.only_a.entries();
  difference.only_b = differences.only_b.entries();
  difference.changed = differences.changed.entries();
  return difference;
}

Json to_json(const GraphDifference& d) {
  return {{"stage", json_of(d.stage)},
          {"phase", json_of(d.phase)},
          {"nodes", json_of(d.nodes)},
          {"casts", json_of(d.casts)},
          {"copies", json_of(d.copies)},
          {"cast_places", json_of(d.cast_places)},
          {"copy_places", json_of(d.copy_places)},
          {"ops", json_of(d.ops)},
          {"only_a", json_of(d.only_a)},
          {"only_b", json_of(d.only_b)},
          {"changed", json_of(d.changed)}};
}

std::string to_table(const GraphDifference& d) {
  std::string text = side_by_side("stage", d.stage.a, d.stage.b) + side_by_side("phase", d.phase.a, d.phase.b) +
                     side_by_side("nodes", d.nodes.a, d.nodes.b) + side_by_side("casts", d.casts.a, d.casts.b) +
                     places_text(d.cast_places) + side_by_side("copies", d.copies.a, d.copies.b) +
                     places_text(d.copy_places) + "\n";
  for (const GraphDifference::OpCount& op : d.ops) text += side_by_side(op.op, op.a, op.b);
  if (d.ops.empty()) text += "the same ops, equally often\n";
  const std::string nodes = list_text(d.only_a, '-') + list_text(d.only_b, '+') + list_text(d.changed, '~');
  return nodes.empty() ? text : text + "\n" + nodes;
}

}  // namespace lazuli::tool
