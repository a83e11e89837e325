// SPDX-License-Identifier: MIT
// The graphs inside nodes: of fused nodes, and of control flow.
#pragma once

#include <lazuli/graph/graph.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace lazuli {

// Calls visit(name, body) for each body among the attributes, in order; `attrs` is Attrs or const Attrs.
template <class AnyAttrs, class Visit>
void for_each_body(AnyAttrs& attrs, Visit&& visit) {
  std::visit(
      [&](auto& fields) {
        fields.visit(fields, [&](const char* name, auto& field) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, BodyRef>) visit(name, field);
        });
      },
      attrs);
}

inline bool is_control_flow(Op op) { return op == Op::scan || op == Op::while_loop || op == Op::cond; }

struct NamedBody {
  std::string_view name;  // of the attribute; "body" of a fused node
  const Graph* graph;
};
// Those that are there.
std::vector<NamedBody> bodies_of(const GraphNode& node);

// What a body computes, in order: the names of its nodes without leaves.
std::vector<std::string_view> op_names(const Graph& body);

// The node with `rewrite(body)` in the place of each body of control flow.
template <class Rewrite>
void rewrite_bodies_of(GraphNode& node, Rewrite&& rewrite) {
  for_each_body(node.attrs, [&](const char*, BodyRef& body) {
    if (body) body = BodyRef(rewrite(*body));
  });
}

}  // namespace lazuli
