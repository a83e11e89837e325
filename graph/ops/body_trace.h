// SPDX-License-Identifier: MIT
// How a body becomes a graph of its own (closure conversion): what it uses of the graph around it becomes its operands.
// Private to graph/ops.
#pragma once

#include <lazuli/graph/graph.h>
#include <lazuli/graph/node_record.h>

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lazuli {

// Of one node of control flow. What is built during its life, by calls of the bodies with `parameters`, belongs to the
// bodies.
class BodyTrace {
 public:
  enum class Invariant : bool {
    hoisted,  // what no parameter has part in is computed before the loop begins
    inside    // it stays in the body, which may never run
  };

  // `op` is the name in errors.
  BodyTrace(std::string_view op, std::vector<Array> parameters, Invariant invariant);

  const std::vector<Array>& parameters() const { return parameters_; }
  // The graph of a body that gave `outputs`. Its inputs are the parameters and the captures, those of earlier bodies
  // first.
  Graph body(std::span<const Array> outputs);
  // Gives a body made before later captures the inputs it lacks.
  void complete(Graph& body) const;
  // What bodies use of the graph around them: the operands behind those of the parameters.
  std::vector<Array> captures() const;

 private:
  enum class Place : unsigned char { number, inside, outside };

  Place place_of(const Node& node) const;
  bool is_done(const Node& node) const;
  void find_places(const Node& root);

  std::string_view op_;
  std::vector<Array> parameters_;
  std::vector<Array> leaves_;  // the parameters, then the captures
  Invariant invariant_;
  NodeRecord record_;
  std::unordered_map<const Node*, Place> places_;
};

// Placeholders of the types, "kind 0", "kind 1", ...
std::vector<Array> make_parameters(std::string_view kind, std::span<const Type> types);

}  // namespace lazuli
