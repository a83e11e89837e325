// SPDX-License-Identifier: MIT
// Which ops take named axes (graph/types/named_axis.h), and where their results have them: named_axis_rules.def as
// data.
#pragma once

#include <lazuli/graph/op.h>

#include <span>
#include <string_view>
#include <vector>

namespace lazuli {

struct NamedAxisRule {
  std::string_view name;
  std::string_view taken;  // where operands may have a named axis, in words
  std::vector<Op> ops;
};
std::span<const NamedAxisRule> named_axis_rules();
// Null for ops that take no named axis.
const NamedAxisRule* named_axis_rule(Op op);

// Names the axes of inferred results. Throws an Error (op, found, what is taken) where an operand has a named axis that
// the op does not take so.
void name_axes(Op op, const Attrs& attrs, std::span<const Type> operands, std::vector<Type>& results);

}  // namespace lazuli
