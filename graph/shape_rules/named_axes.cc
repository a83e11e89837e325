// SPDX-License-Identifier: MIT
// A rule gives the axis of the results that has the name of the operands, or none. The shapes have been checked.
#include <lazuli/graph/shape_rules/infer_call.h>
#include <lazuli/graph/shape_rules/named_axes.h>

#include <algorithm>

namespace lazuli {
namespace infer {
namespace {

// Of the results: an axis and its name.
using Named = NamedAxis;
constexpr Named none = {};

int rank(const Type& type) { return static_cast<int>(type.shape.size()); }
std::int64_t size(const Type& type, int axis) { return type.shape[static_cast<std::size_t>(axis)]; }

[[noreturn]] void reject_axes(const Call& call) {
  std::string found;
  for (const Type& operand : call.operands) found += (found.empty() ? "" : ", ") + to_string(operand);
  const NamedAxisRule* rule = named_axis_rule(call.op);
  const std::string taken = rule ? "a named axis by this rule: " + std::string(rule->taken)
                                 : std::string("no named axis; docs/named-dimensions.md lists the ops that take one");
  call.reject_shape(taken, found, "found {}, expected {}", found, taken);
}

void require(const Call& call, bool is_taken) {
  if (!is_taken) reject_axes(call);
}
// The operands from `first` on have no named axis.
void require_plain(const Call& call, std::size_t first) {
  for (std::size_t i = first; i < call.operands.size(); ++i) require(call, !call.operand(i).named);
}

// Operand 0 alone has one, at the axis that comes back.
int first_operand_alone(const Call& call) {
  require_plain(call, 1);
  return call.operand(0).named.axis;
}

// Broadcasting aligns axes from the right.
Named aligned(const Call& call, const Type& result) {
  Named found;
  for (const Type& operand : call.operands) {
    if (!operand.named) continue;
    const Named here{operand.named.name, operand.named.axis + rank(result) - rank(operand)};
    require(call, !found || found == here);
    found = here;
  }
  for (const Type& operand : call.operands) {
    const int axis = found.axis - (rank(result) - rank(operand));
    require(call, operand.named || axis < 0 || size(operand, axis) == 1);
  }
  return found;
}

Named reduction(const Call& call, const Type&) {
  const int axis = first_operand_alone(call);
  const auto& [axes, keep_dims] = call.as<ReduceAttrs>();
  const bool over = std::binary_search(axes.begin(), axes.end(), std::int64_t{axis});
  require(call, !over || axes.size() == 1);
  if (over) return none;
  const auto before = std::count_if(axes.begin(), axes.end(), [&](std::int64_t reduced) { return reduced < axis; });
  return {call.operand(0).named.name, keep_dims ? axis : axis - static_cast<int>(before)};
}

Named beside(const Call& call, const Type&) {
  const int axis = first_operand_alone(call);
  const auto* cumulative = std::get_if<CumulativeAttrs>(&call.attrs);
  require(call, axis < (cumulative ? cumulative->axis : call.as<AxisAttrs>().axis));
  return call.operand(0).named;
}

Named row(const Call& call, const Type&) {
  const int axis = first_operand_alone(call);
  require(call, axis + 1 < rank(call.operand(0)));
  return call.operand(0).named;
}

Named matmul(const Call& call, const Type& result) {
  const int axis = first_operand_alone(call), last = rank(call.operand(0)) - 1;
  require(call, axis < last);
  if (axis + 1 < last) {  // an axis of the batch, which broadcasts
    const int other = axis + rank(call.operand(1)) - rank(call.operand(0));
    require(call, other < 0 || size(call.operand(1), other) == 1);
  }
  return {call.operand(0).named.name, axis + rank(result) - rank(call.operand(0))};
}

// The first axis longer than 1 must be the named one: the sizes behind it then have one product.
Named reshape(const Call& call, const Type& result) {
  const auto first = std::find_if(result.shape.begin(), result.shape.end(), [](std::int64_t n) { return n != 1; });
  require(call, first != result.shape.end() && *first == bound_of(call.operand(0)));
  return {call.operand(0).named.name, static_cast<int>(first - result.shape.begin())};
}

Named transpose(const Call& call, const Type&) {
  const Dims& permutation = call.as<TransposeAttrs>().permutation;
  const auto at = std::find(permutation.begin(), permutation.end(), std::int64_t{call.operand(0).named.axis});
  return {call.operand(0).named.name, static_cast<int>(at - permutation.begin())};
}

Named slice(const Call& call, const Type& result) {
  const Named& named = call.operand(0).named;
  const auto axis = static_cast<std::size_t>(named.axis);
  require(call, size(result, named.axis) == bound_of(call.operand(0)) && call.as<SliceAttrs>().step[axis] == 1);
  return named;
}

Named broadcast_to(const Call& call, const Type& result) {
  return {call.operand(0).named.name, call.operand(0).named.axis + rank(result) - rank(call.operand(0))};
}

Named concatenate(const Call& call, const Type&) {
  const Named& named = call.operand(0).named;
  require(call, named && call.as<AxisAttrs>().axis != named.axis);
  for (const Type& operand : call.operands) require(call, operand.named == named);
  return named;
}

Named take(const Call& call, const Type&) {
  const auto axis = static_cast<int>(call.as<AxisAttrs>().axis);
  const Type &x = call.operand(0), &indices = call.operand(1);
  require(call, !x.named || !indices.named);
  if (indices.named) return {indices.named.name, axis + indices.named.axis};
  require(call, x.named.axis < axis);
  return x.named;
}

Named gather(const Call& call, const Type&) {
  const auto axis = static_cast<int>(call.as<AxisAttrs>().axis);
  const Type &x = call.operand(0), &indices = call.operand(1);
  require(call, static_cast<bool>(indices.named));
  require(call, x.named ? x.named == indices.named && axis > indices.named.axis : axis == indices.named.axis);
  return indices.named;
}

Named rope(const Call& call, const Type&) {
  require(call, call.operand(0).named == call.operand(1).named && call.operand(0).named.axis == 0);
  require_plain(call, 2);
  return call.operand(0).named;
}

Named attention(const Call& call, const Type&) {
  const Type &q = call.operand(0), &k = call.operand(1), &v = call.operand(2), &positions = call.operand(3);
  require(call, q.named == positions.named && q.named.axis == 0 && k.named == v.named && k.named.axis == 0);
  require_plain(call, 4);
  require(call, q.dtype == DType::f32);
  return q.named;
}

using Rule = Named (*)(const Call& call, const Type& result);
Rule rule_of(std::string_view name) {
#define LAZULI_NAMED_AXIS(rule, taken, ops) \
  if (name == #rule) return rule;
#include <lazuli/graph/types/named_axis_rules.def>
  return nullptr;
}

}  // namespace
}  // namespace infer

std::span<const NamedAxisRule> named_axis_rules() {
  using enum Op;
  static const std::vector<NamedAxisRule> rules = {
#define LAZULI_NAMED_AXIS(rule, taken, ops) {#rule, taken, ops},
#include <lazuli/graph/types/named_axis_rules.def>
  };
  return rules;
}

const NamedAxisRule* named_axis_rule(Op op) {
  for (const NamedAxisRule& rule : named_axis_rules())
    if (std::find(rule.ops.begin(), rule.ops.end(), op) != rule.ops.end()) return &rule;
  return nullptr;
}

void name_axes(Op op, const Attrs& attrs, std::span<const Type> operands, std::vector<Type>& results) {
  if (std::none_of(operands.begin(), operands.end(), [](const Type& type) { return static_cast<bool>(type.named); }))
    return;
  const infer::Call call{op, attrs, operands};
  const NamedAxisRule* rule = named_axis_rule(op);
  if (rule == nullptr) infer::reject_axes(call);
  const auto named_of = infer::rule_of(rule->name);
  for (Type& result : results) {
    result.named = {};
    result.named = named_of(call, result);
    if (!named_axis_fault(result).empty()) infer::reject_axes(call);
  }
}

}  // namespace lazuli
