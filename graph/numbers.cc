// SPDX-License-Identifier: MIT
#include <lazuli/graph/numbers.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

namespace lazuli {
namespace {

bool has_slots(const Graph& body) {
  bool found = false;
  for (const GraphNode& node : body.nodes)
    for_each_number(node.attrs, [&](const Number& number) { found = found || !number.is_literal(); });
  return found;
}

void write_literals(Graph& graph, std::span<const double> values) {
  for (GraphNode& node : graph.nodes)
    for_each_number(node.attrs, [&](Number& number) { number = value_of(number, values); });
}

}  // namespace

std::vector<double> number_values(const Graph& built) {
  std::vector<double> values;
  for (const GraphNode& node : built.nodes)
    for_each_number(node.attrs, [&](const Number& number) { values.push_back(number.value); });
  return values;
}

Graph with_slots(Graph built) {
  std::int32_t next = 0;
  for (GraphNode& node : built.nodes) for_each_number(node.attrs, [&](Number& number) { number.slot = next++; });
  return built;
}

Graph with_literals(Graph graph, std::span<const double> values) {
  write_literals(graph, values);
  for (GraphNode& node : graph.nodes) {
    if (!node.body || !has_slots(*node.body)) continue;
    Graph body = *node.body;
    write_literals(body, values);
    node.body = std::make_shared<const Graph>(std::move(body));
  }
  return graph;
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

}  // namespace lazuli
