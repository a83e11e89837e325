// SPDX-License-Identifier: MIT
// Graph: a flat snapshot of what is to be computed. Nodes stand in topological order and refer to each other by index,
// so that no walk needs recursion. Passes are functions Graph -> Graph.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/scope.h>
#include <lazuli/graph/op.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lazuli {

// One output of one node.
struct LAZULI_API ValueId {
  std::int32_t node = -1;
  std::int32_t output = 0;

  auto operator<=>(const ValueId&) const = default;
};

// A node of the graph as it was built, that a later node stands for.
struct LAZULI_API Source {
  std::int32_t node;
  Op op;
  std::uint16_t custom_number = 0;  // Op::custom: of its name

  std::string_view name() const;  // the op's, or that of a custom op
  bool operator==(const Source&) const = default;
};

struct LAZULI_API GraphNode {
  Op op = Op::input;
  Attrs attrs;
  std::vector<ValueId> inputs;
  std::vector<Type> types;  // one per output
  Scope::Ref scope;
  std::string label;                    // of inputs and constants
  BufferRef constant;                   // Op::constant
  std::shared_ptr<const Graph> body;    // Op::fused: its inputs are the operands, its outputs the results
  std::vector<Source> from;             // ascending, without repetition
  const CallStack* built_at = nullptr;  // source_location.h; no part of listings and keys

  const Type& type() const { return types[0]; }
  template <class T>
  const T& as() const {
    return std::get<T>(attrs);
  }
  // The op, or the rule's name where a rule made the node, or that of a custom op.
  std::string_view name() const;
  // Itself as the source of what comes to stand for it, where it is node `id` of the graph as it was built.
  Source source(std::int32_t id) const;
};

// What a program is used for. Decides the arithmetic of matmuls, so it is part of the program's key.
enum class LAZULI_API Phase : std::uint8_t { any, prefill, decode };
LAZULI_API std::string_view to_string(Phase phase);

struct LAZULI_API Graph {
  std::vector<GraphNode> nodes;
  std::vector<ValueId> outputs;
  std::vector<std::string> output_names;  // empty, or one per output
  Phase phase = Phase::any;
  // Nodes are the kernel launches of a program: what they read and give need not follow from their op, and the graph is
  // to be looked at and not to be run.
  bool scheduled = false;

  const GraphNode& node(ValueId value) const { return nodes[static_cast<std::size_t>(value.node)]; }
  const Type& type(ValueId value) const { return node(value).types[static_cast<std::size_t>(value.output)]; }
  // Op::input nodes by their index attribute.
  std::vector<ValueId> inputs() const;
  ValueId add(GraphNode node);  // appends; returns its output 0
};

// Everything `outputs` need that is not computed yet. Evaluated arrays and placeholders become inputs; `leaves`
// receives them in the order of their index attribute; leaves it already holds come first, needed or not. Iterative.
LAZULI_API Graph snapshot(std::span<const Array> outputs, std::vector<Array>* leaves = nullptr);
// The graph `outputs` ask for, for looking at.
LAZULI_API Graph graph_of(std::span<const Array> outputs);
inline Graph graph_of(std::initializer_list<Array> outputs) {
  return graph_of(std::span(outputs.begin(), outputs.size()));
}

// How many operands (and graph outputs) read each value: counts[node][output].
class LAZULI_API UseCounts {
 public:
  explicit UseCounts(const Graph& graph);
  int operator[](ValueId value) const {
    return counts_[first_[static_cast<std::size_t>(value.node)] + static_cast<std::size_t>(value.output)];
  }

 private:
  std::vector<std::size_t> first_;
  std::vector<int> counts_;
};

// Builds one graph while reading another: copies nodes, maps values, drops what no output needs.
class LAZULI_API GraphRewriter {
 public:
  explicit GraphRewriter(const Graph& source);

  const Graph& source() const { return source_; }
  Graph& result() { return result_; }
  ValueId mapped(ValueId old_value) const;  // the new value that stands for an old one
  void map(ValueId old_value, ValueId new_value);
  ValueId copy(std::int32_t old_node);  // copies with mapped operands, and maps all its outputs
  ValueId add(GraphNode node) { return result_.add(std::move(node)); }
  Graph finish();  // maps the outputs and removes dead nodes

 private:
  const Graph& source_;
  Graph result_;
  std::vector<std::vector<ValueId>> map_;
};

// Removes nodes that no output reaches. Inputs stay: they are the program's signature.
LAZULI_API Graph remove_dead(Graph graph);

// Union of provenance lists, ascending.
LAZULI_API std::vector<Source> merge_sources(const std::vector<Source>& a, const std::vector<Source>& b);

// Structure, attributes, types, phase and the identity of constants, as bytes: equal keys mean interchangeable
// programs. Scopes and labels are not part of it. Without numbers it is the key of a program that takes them from each
// run; those in fused bodies stay.
LAZULI_API std::string structural_key(const Graph& graph, NumberKey numbers = NumberKey::values);

// A copy of `node`'s definition by other ops, as a graph whose inputs are the operands (composites, and custom ops that
// decompose, only).
LAZULI_API Graph decomposition(Op op, const Attrs& attrs, std::span<const Type> operands);

}  // namespace lazuli
