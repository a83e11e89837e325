#include <lazuli/graph/error.h>
#include <lazuli/tools/graph_diff.h>
#include <lazuli/tools/options.h>

#include <map>
#include <utility>

namespace lazuli::tool {
namespace {

using Place = std::pair<std::string, std::string>;  // scope, op

std::map<Place, int> count_places(const Json& graph) {
  std::map<Place, int> counts;
  for (const Json& node : graph["nodes"]) ++counts[{node.value("scope", std::string()), node["op"].get<std::string>()}];
  return counts;
}

std::map<std::string, int> count_ops(const Json& graph) {
  std::map<std::string, int> counts;
  for (const Json& node : graph["nodes"]) ++counts[node["op"].get<std::string>()];
  return counts;
}

int count_casts(const Json& graph) {
  int casts = 0;
  for (const Json& node : graph["nodes"]) {
    casts += node["op"] == "cast";
    if (const auto body = node.find("body"); body != node.end())
      for (const Json& op : *body) casts += op == "cast";
  }
  return casts;
}

// What of `counts` has no counterpart in `others`.
Json only_here(const std::map<Place, int>& counts, const std::map<Place, int>& others) {
  Json list = Json::array();
  for (const auto& [place, count] : counts) {
    const auto other = others.find(place);
    const int more = count - (other == others.end() ? 0 : other->second);
    if (more > 0) list.push_back({{"scope", place.first}, {"op", place.second}, {"count", more}});
  }
  return list;
}

Json op_differences(const Json& a, const Json& b) {
  std::map<std::string, std::pair<int, int>> both;
  for (const auto& [op, count] : count_ops(a)) both[op].first = count;
  for (const auto& [op, count] : count_ops(b)) both[op].second = count;
  Json list = Json::array();
  for (const auto& [op, counts] : both)
    if (counts.first != counts.second) list.push_back({{"op", op}, {"a", counts.first}, {"b", counts.second}});
  return list;
}

bool is_graph(const Json& document) {
  if (!document.is_object() || !document.contains("nodes") || !document["nodes"].is_array()) return false;
  for (const Json& node : document["nodes"])
    if (!node.is_object() || !node.contains("op") || !node["op"].is_string()) return false;
  return true;
}

std::string side(const Json& nodes, char sign) {
  std::string text;
  for (const Json& node : nodes) {
    const auto scope = node["scope"].get<std::string>();
    text += fmt::format("{} {:<24} {}{}\n", sign, node["op"].get<std::string>(), scope.empty() ? "(no scope)" : scope,
                        node["count"] == 1 ? "" : fmt::format("  x{}", node["count"].get<int>()));
  }
  return text;
}

}  // namespace

Json read_graph_file(const std::string& path) {
  Json document;
  try {
    document = Json::parse(read_file(path));
  } catch (const Json::parse_error& error) {
    fail("{}: no JSON at byte {}; expected a graph saved by `lazuli graph -o F.json`", path, error.byte);
  }
  if (!is_graph(document))
    fail("{}: no \"nodes\" with an \"op\" each; expected a graph saved by `lazuli graph -o F.json`", path);
  return document;
}

Json diff_graphs(const Json& a, const Json& b) {
  const std::map<Place, int> places_a = count_places(a), places_b = count_places(b);
  return {{"nodes", {{"a", a["nodes"].size()}, {"b", b["nodes"].size()}}},
          {"casts", {{"a", count_casts(a)}, {"b", count_casts(b)}}},
          {"ops", op_differences(a, b)},
          {"only_a", only_here(places_a, places_b)},
          {"only_b", only_here(places_b, places_a)}};
}

std::string diff_table(const Json& difference) {
  const auto counts = [&](const char* key) {
    return fmt::format("{:<24} {:>6} -> {:>6}\n", key, difference[key]["a"].get<int>(),
                       difference[key]["b"].get<int>());
  };
  std::string text = counts("nodes") + counts("casts") + "\n";
  for (const Json& op : difference["ops"])
    text += fmt::format("{:<24} {:>6} -> {:>6}\n", op["op"].get<std::string>(), op["a"].get<int>(), op["b"].get<int>());
  if (difference["ops"].empty()) text += "the same ops, equally often\n";
  text += "\n" + side(difference["only_a"], '-') + side(difference["only_b"], '+');
  return text;
}

}  // namespace lazuli::tool
