// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/body_trace.h>
#include <lazuli/graph/ops/ops_parts.h>
#include <lazuli/graph/snapshot_within.h>

#include <algorithm>
#include <utility>

namespace lazuli {

BodyTrace::BodyTrace(std::string_view op, std::vector<Array> parameters, Invariant invariant)
    : op_(op), parameters_(std::move(parameters)), leaves_(parameters_), invariant_(invariant) {
  for (const Array& parameter : parameters_) places_.emplace(parameter.node().get(), Place::inside);
}

// Of a node that is decided: what was there before, or has its value, or is a leaf of data, lies outside. Numbers lie
// inside, where they are operands of the loops that read them.
BodyTrace::Place BodyTrace::place_of(const Node& node) const {
  if (const auto known = places_.find(&node); known != places_.end()) return known->second;
  return node.op == Op::scalar && !node.evaluated() ? Place::number : Place::outside;
}

bool BodyTrace::is_done(const Node& node) const {
  const bool is_open = record_.contains(node) && !node.evaluated() && node.op != Op::input && node.op != Op::constant &&
                       node.op != Op::scalar;
  return !is_open || places_.contains(&node);
}

void BodyTrace::find_places(const Node& root) {
  if (is_done(root)) return;
  std::vector<std::pair<const Node*, std::size_t>> stack{{&root, 0}};
  while (!stack.empty()) {
    auto& [node, next] = stack.back();
    if (next < node->inputs.size()) {
      const Node* input = node->inputs[next++].node().get();
      if (!is_done(*input)) stack.emplace_back(input, 0);
      continue;
    }
    bool any_inside = false, all_numbers = !node->inputs.empty();
    for (const Array& input : node->inputs) {
      const Place place = place_of(*input.node());
      any_inside = any_inside || place == Place::inside;
      all_numbers = all_numbers && place == Place::number;
    }
    const bool stays_number = all_numbers && (is_view(node->op) || is_elementwise(node->op));
    places_.emplace(node, any_inside || invariant_ == Invariant::inside ? Place::inside
                          : stays_number                                ? Place::number
                                                                        : Place::outside);
    stack.pop_back();
  }
}

Graph BodyTrace::body(std::span<const Array> outputs) {
  for (const Array& output : outputs)
    if (!output.defined()) reject_call(op_, "the body gives an empty array");
  const auto lock = lock_operands();
  for (const Array& output : outputs) find_places(*output.node());
  Graph graph =
      snapshot_within(outputs, &leaves_, [this](const Node& node) { return place_of(node) == Place::outside; });
  for (GraphNode& node : graph.nodes) node.from.clear();  // the numbers of a body's nodes say nothing outside
  return graph;
}

void BodyTrace::complete(Graph& body) const {
  for (std::size_t i = body.inputs().size(); i < leaves_.size(); ++i) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(i)};
    input.types = {leaves_[i].type()};
    input.label = leaves_[i].node()->label;
    body.add(std::move(input));
  }
}

std::vector<Array> BodyTrace::captures() const {
  return {leaves_.begin() + static_cast<std::ptrdiff_t>(parameters_.size()), leaves_.end()};
}

std::vector<Array> make_parameters(std::string_view kind, std::span<const Type> types) {
  std::vector<Array> parameters;
  for (std::size_t i = 0; i < types.size(); ++i)
    parameters.push_back(placeholder(types[i], fmt::format("{} {}", kind, i)));
  return parameters;
}

}  // namespace lazuli
