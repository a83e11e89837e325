// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/numbers.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

namespace lazuli {
namespace {

void append_values(const Graph& graph, std::vector<double>& values) {
  for (const GraphNode& node : graph.nodes) {
    for_each_number(node.attrs, [&](const Number& number) { values.push_back(number.value); });
    for_each_body(node.attrs, [&](const char*, const BodyRef& body) {
      if (body) append_values(*body, values);
    });
  }
}

void set_slots(Graph& graph, std::int32_t& next) {
  for (GraphNode& node : graph.nodes) {
    for_each_number(node.attrs, [&](Number& number) { number.slot = next++; });
    rewrite_bodies_of(node, [&](Graph body) {
      set_slots(body, next);
      return body;
    });
  }
}

bool has_slots(const Graph& graph) {
  bool found = false;
  for (const GraphNode& node : graph.nodes) {
    for_each_number(node.attrs, [&](const Number& number) { found = found || !number.is_literal(); });
    for (const NamedBody& body : bodies_of(node)) found = found || has_slots(*body.graph);
  }
  return found;
}

void write_literals(Graph& graph, std::span<const double> values) {
  for (GraphNode& node : graph.nodes) {
    for_each_number(node.attrs, [&](Number& number) { number = value_of(number, values); });
    const auto written = [&](Graph body) {
      write_literals(body, values);
      return body;
    };
    if (node.body && has_slots(*node.body)) node.body = std::make_shared<const Graph>(written(*node.body));
    for_each_body(node.attrs, [&](const char*, BodyRef& body) {
      if (body && has_slots(*body)) body = BodyRef(written(*body));
    });
  }
}

}  // namespace

std::vector<double> number_values(const Graph& built) {
  std::vector<double> values;
  append_values(built, values);
  return values;
}

Graph with_slots(Graph built) {
  std::int32_t next = 0;
  set_slots(built, next);
  return built;
}

Graph with_literals(Graph graph, std::span<const double> values) {
  write_literals(graph, values);
  return graph;
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

}  // namespace lazuli
