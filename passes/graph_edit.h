// SPDX-License-Identifier: MIT
// What rewriting passes share: scopes and sources of merged nodes, inlining a graph, cutting a region out into a body.
#pragma once

#include <lazuli/graph/base/function_ref.h>
#include <lazuli/graph/graph.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace lazuli {

// common_path of the two; null where that is "".
Scope::Ref common_scope(const Scope::Ref& a, const Scope::Ref& b);

std::vector<Type> operand_types(const Graph& graph, const GraphNode& node);

// The number `value` holds in every element: a scalar, seen through broadcasts, reshapes and casts to its own dtype.
std::optional<Number> scalar_value(const Graph& graph, ValueId value);

// A view or a cast that changes nothing.
bool is_no_op(const Graph& graph, const GraphNode& node);

// Sizes without leading ones: what a row-major loop over the array sees.
std::span<const std::int64_t> significant_sizes(const Shape& shape);

// Appends a node with inferred types.
ValueId add_node(Graph& graph, Op op, Attrs attrs, std::vector<ValueId> inputs, const Scope::Ref& scope = nullptr,
                 const std::vector<Source>& from = {});

// Appends the nodes of `part` to `graph` with `operands` in the place of its inputs; they all get `scope` and `from`.
// Returns the values of the outputs of `part`.
std::vector<ValueId> append_graph(Graph& graph, const Graph& part, std::span<const ValueId> operands,
                                  const Scope::Ref& scope = nullptr, const std::vector<Source>& from = {});

// The graph with the definition (decompose.cc) of each node that `chosen` names in the node's place. What stands for a
// node keeps its scope and sources.
Graph spell_out(const Graph& graph, FunctionRef<bool(const GraphNode&)> chosen);

// How many operands of the nodes (ascending) each of them is.
std::vector<int> inner_reads(const Graph& graph, std::span<const std::int32_t> nodes);

void sort_unique(std::vector<std::int32_t>& nodes);

// Part of a graph as a graph of its own. Inputs are the operands, in this order.
struct Region {
  Graph body;
  std::vector<ValueId> operands;  // values of the graph the region was cut from
};

// Cuts out `nodes` (ascending). `operands` fixes the first operands of the region; the rest follow in order of
// appearance, scalars are copied into the body, and composites that are not elementwise are spelled out, so that the
// body of a loop holds elementwise ops, views and reductions only. The body carries no labels, scopes or sources:
// equal regions give equal bodies.
Region cut_region(const Graph& graph, std::span<const std::int32_t> nodes, std::span<const ValueId> results,
                  std::span<const ValueId> operands = {});

// One copy of each distinct body, so that a graph with thousands of equal fused nodes holds their body once.
class BodyPool {
 public:
  std::shared_ptr<const Graph> share(Graph body);

 private:
  std::unordered_map<std::string, std::shared_ptr<const Graph>> bodies_;
};

// A fused node without scope and sources.
GraphNode make_fused(std::string name, std::vector<ValueId> operands, std::shared_ptr<const Graph> body);

}  // namespace lazuli
