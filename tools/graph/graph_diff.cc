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
using Changes = std::vector<std::tuple<std::string, std::string, std::string>>;  // name, before, after

// Weights and caches stand outside all scopes; their names have the number of the layer.
const std::string& place_of(const SavedNode& node) {
  return node.scope.empty() && (node.op == "constant" || node.op == "input") ? node.label : node.scope;
}

// What one entry of a list is of, whatever the layer.
struct Entry {
  std::string scope;  // "layers.*.attention"
  std::string op, type;
  Changes what;
  int more = 0;  // in each layer, of what is counted there

  auto operator<=>(const Entry&) const = default;
};

// Entries in order of appearance, and how often each is in which layer.
class Summary {
 public:
  void add(const std::string& place, Entry entry, int count = 1) {
    std::int64_t layer = no_layer;
    entry.scope = place;
    if (const auto numbered = numbered_scope(place)) {
      layer = numbered->index;
      entry.scope = fmt::format("{}.*", numbered->family);
      if (!numbered->inner.empty()) entry.scope += fmt::format(".{}", numbered->inner);
    }
    const auto [known, added] = places_.try_emplace(entry, entries_.size());
    if (added) entries_.push_back({std::move(entry), {}});
    entries_[known->second].second[layer] += count;
  }

  Json json() const {
    Json list = Json::array();
    for (const auto& [entry, layers] : entries_) {
      Json object{{"scope", entry.scope}, {"op", entry.op}};
      if (!entry.type.empty()) object["type"] = entry.type;
      if (entry.more != 0) object["each"] = entry.more;
      for (const auto& [name, before, after] : entry.what) object["what"].push_back({name, before, after});
      int count = 0;
      std::vector<std::int64_t> indices;
      for (const auto& [layer, times] : layers) {
        count += times;
        if (layer != no_layer) indices.push_back(layer);
      }
      object["count"] = count;
      if (!indices.empty()) object["layers"] = index_ranges(indices);
      list.push_back(std::move(object));
    }
    return list;
  }

 private:
  static constexpr std::int64_t no_layer = -1;
  std::map<Entry, std::size_t> places_;
  std::vector<std::pair<Entry, std::map<std::int64_t, int>>> entries_;
};

Changes changes_between(const SavedNode& a, const SavedNode& b) {
  Changes changes;
  const auto compare = [&](const std::string& name, const std::string& before, const std::string& after) {
    if (before != after) changes.emplace_back(name, before, after);
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

Json op_differences(const SavedGraph& a, const SavedGraph& b) {
  std::map<std::string, std::pair<int, int>> both;
  for (const auto& [op, count] : count_ops(a)) both[op].first = count;
  for (const auto& [op, count] : count_ops(b)) both[op].second = count;
  Json list = Json::array();
  for (const auto& [op, counts] : both)
    if (counts.first != counts.second) list.push_back({{"op", op}, {"a", counts.first}, {"b", counts.second}});
  return list;
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

// Where there are more or fewer: [{"scope", "each", "layers"}].
Json moved(const std::map<std::string, int>& a, const std::map<std::string, int>& b) {
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
  Json list = Json::array();
  for (const Json& entry : summary.json()) {
    Json place{{"scope", entry["scope"]}, {"each", entry["each"]}};
    if (entry.contains("layers")) place["layers"] = entry["layers"];
    list.push_back(std::move(place));
  }
  return list;
}

std::string side_by_side(const std::string& name, const std::string& a, const std::string& b) {
  return fmt::format("{:<24} {:>9} -> {:>9}", name, a, b);
}

std::string scope_text(const Json& entry) {
  const auto scope = entry["scope"].get<std::string>();
  return scope.empty() ? "(no scope)" : scope;
}

std::string layers_text(const Json& entry) {
  return entry.contains("layers") ? fmt::format("  layers {}", entry["layers"].get<std::string>()) : std::string();
}

constexpr std::size_t max_lines = 60;  // of one list; --json has all

std::string list_text(const Json& entries, char sign) {
  std::string text;
  for (std::size_t i = 0; i < std::min(entries.size(), max_lines); ++i) {
    const Json& entry = entries[i];
    text += fmt::format("{} {:<24} {}", sign, entry["op"].get<std::string>(), scope_text(entry));
    if (entry.contains("type")) text += fmt::format("  {}", entry["type"].get<std::string>());
    if (entry.contains("what"))
      for (const Json& change : entry["what"])
        text += fmt::format("  {}: {} -> {}", change[0].get<std::string>(), change[1].get<std::string>(),
                            change[2].get<std::string>());
    if (entry["count"] != 1) text += fmt::format("  x{}", entry["count"].get<int>());
    text += layers_text(entry) + "\n";
  }
  if (entries.size() > max_lines) text += fmt::format("{} and {} more\n", sign, entries.size() - max_lines);
  return text;
}

std::string places_text(const Json& places) {
  std::string text;
  for (std::size_t i = 0; i < std::min(places.size(), max_lines); ++i)
    text +=
        fmt::format("    {:+} in {}{}\n", places[i]["each"].get<int>(), scope_text(places[i]),
                    places[i].contains("layers") ? " of each of layers " + places[i]["layers"].get<std::string>() : "");
  if (places.size() > max_lines) text += fmt::format("    and {} more\n", places.size() - max_lines);
  return text;
}

}  // namespace

Json diff_graphs(const SavedGraph& a, const SavedGraph& b) {
  const Differences differences = compare_nodes(a, b);
  const auto casts_a = op_places(a, "cast"), casts_b = op_places(b, "cast");
  const auto copies_a = op_places(a, "copy"), copies_b = op_places(b, "copy");
  return {{"stage", {{"a", a.stage}, {"b", b.stage}}},
          {"phase", {{"a", a.phase}, {"b", b.phase}}},
          {"nodes", {{"a", a.nodes.size()}, {"b", b.nodes.size()}}},
          {"casts", {{"a", total(casts_a)}, {"b", total(casts_b)}}},
          {"copies", {{"a", total(copies_a)}, {"b", total(copies_b)}}},
          {"cast_places", moved(casts_a, casts_b)},
          {"copy_places", moved(copies_a, copies_b)},
          {"ops", op_differences(a, b)},
          {"only_a", differences.only_a.json()},
          {"only_b", differences.only_b.json()},
          {"changed", differences.changed.json()}};
}

std::string diff_table(const Json& difference) {
  std::string text;
  for (const char* key : {"stage", "phase"})
    text += side_by_side(key, difference[key]["a"].get<std::string>(), difference[key]["b"].get<std::string>()) + "\n";
  for (const char* key : {"nodes", "casts", "copies"}) {
    text += side_by_side(key, difference[key]["a"].dump(), difference[key]["b"].dump()) + "\n";
    if (key == std::string_view("casts")) text += places_text(difference["cast_places"]);
    if (key == std::string_view("copies")) text += places_text(difference["copy_places"]);
  }
  text += "\n";
  for (const Json& op : difference["ops"])
    text += side_by_side(op["op"].get<std::string>(), op["a"].dump(), op["b"].dump()) + "\n";
  if (difference["ops"].empty()) text += "the same ops, equally often\n";
  const std::string nodes = list_text(difference["only_a"], '-') + list_text(difference["only_b"], '+') +
                            list_text(difference["changed"], '~');
  return nodes.empty() ? text : text + "\n" + nodes;
}

}  // namespace lazuli::tool
