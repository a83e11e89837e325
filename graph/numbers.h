// SPDX-License-Identifier: MIT
// The numbers of a graph: scalars, and numeric attributes such as an epsilon. Built graphs hold literals; for compiling
// they get slots, in the order of the nodes and of their attributes; those in bodies of control flow have theirs behind
// their node's. Fused bodies of a built graph keep their literals.
#pragma once

#include <lazuli/graph/graph.h>

#include <span>
#include <type_traits>
#include <variant>
#include <vector>

namespace lazuli {

// Calls visit(number) for each number among the attributes, in order; `attrs` is Attrs or const Attrs.
template <class AnyAttrs, class Visit>
void for_each_number(AnyAttrs& attrs, Visit&& visit) {
  std::visit(
      [&](auto& fields) {
        fields.visit(fields, [&](const char*, auto& field) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, Number>) visit(field);
        });
      },
      attrs);
}

// The values by slot, which a run of the graph's program is given.
std::vector<double> number_values(const Graph& built);
Graph with_slots(Graph built);
// The graph of one run: its numbers are literals again, those in fused bodies too.
Graph with_literals(Graph graph, std::span<const double> values);

// Without values, that of the graph.
inline double value_of(const Number& number, std::span<const double> values) {
  const auto slot = static_cast<std::size_t>(number.slot);
  return !number.is_literal() && slot < values.size() ? values[slot] : number.value;
}

// How -0 and NaNs differ.
bool same_bits(double a, double b);

}  // namespace lazuli
