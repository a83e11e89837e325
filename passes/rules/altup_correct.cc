// SPDX-License-Identifier: MIT
// y_j = p_j + (c_j + 1) (activated - p_active), in three formulations: the composite; all planes at once by
// broadcasting; and plane by plane. Each element goes through the same operations in all of them.
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/altup_island.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>

namespace lazuli {
namespace {

using namespace altup;

struct Correction {
  std::int64_t active = 0;
  bool plus_one = true;  // the coefficients come without the one that is added to them
  DType innovation{};    // of the difference
  DType arithmetic{};    // of the rest
  DType result{};
};

// Operands: planes, activated, coefficients.
Graph correct_body(const std::vector<Type>& operands, const Correction& correction) {
  IslandBuilder build(operands);
  const Type& planes = operands[0];
  const Shape plane_shape(planes.shape.begin() + 1, planes.shape.end());
  std::vector<ValueId> predicted, corrected;
  for (std::int64_t j = 0; j < planes.shape[0]; ++j) predicted.push_back(build.plane(build.operand(0), j));
  const ValueId activated = build.cast(build.reshaped(build.operand(1), plane_shape), correction.innovation);
  const ValueId active = build.cast(predicted[static_cast<std::size_t>(correction.active)], correction.innovation);
  const ValueId innovation = build.cast(build.apply(Op::sub, activated, active), correction.arithmetic);
  for (std::int64_t j = 0; j < planes.shape[0]; ++j) {
    ValueId gain = build.cast(build.column(build.operand(2), plane_shape, j), correction.arithmetic);
    if (correction.plus_one) gain = build.plus_one(gain);
    const ValueId plane = build.cast(predicted[static_cast<std::size_t>(j)], correction.arithmetic);
    corrected.push_back(build.apply(Op::add, plane, build.apply(Op::mul, gain, innovation)));
  }
  return build.stack(std::move(corrected), correction.result);
}

Attempt match_composite(const Graph& graph, const UseCounts& uses, std::int32_t root) {
  const GraphNode& node = graph.nodes[static_cast<std::size_t>(root)];
  const DType dtype = node.type().dtype, arithmetic = arithmetic_of(dtype);
  Coverage coverage;
  coverage.covers = {root};
  coverage.operands = node.inputs;
  return replace(
      graph, uses, root, std::move(coverage),
      correct_body(operand_types(graph, node), {node.as<AltupAttrs>().active, true, arithmetic, arithmetic, dtype}));
}

// x, where the value is x + 1 and nobody else reads it.
std::optional<ValueId> without_one(const Graph& graph, const UseCounts& uses, NumberGuards& numbers, ValueId value) {
  const GraphNode& node = graph.node(value);
  if (node.op != Op::add || uses[value] != 1) return std::nullopt;
  for (std::size_t one : {1, 0})
    if (const auto number = scalar_value(graph, node.inputs[one]);
        number && numbers.ask({NumberQuestion::Kind::same, *number, 1.0}))
      return node.inputs[1 - one];
  return std::nullopt;
}

// Coefficients [..., P] moved to the front of their rows: a view, with "+ 1" before or after it.
struct Gain {
  ValueId coefficients;
  bool plus_one = false;
  std::vector<std::int32_t> covers;
};

std::optional<Gain> match_gain(const Graph& graph, const UseCounts& uses, NumberGuards& numbers, const Planes& planes,
                               ValueId value) {
  Shape sizes{planes.count};
  sizes.insert(sizes.end(), planes.rows.begin(), planes.rows.end());
  Dims strides{1};
  const Dims rows = row_strides(planes, planes.count);
  strides.insert(strides.end(), rows.begin(), rows.end());
  Gain gain;
  if (const auto inner = without_one(graph, uses, numbers, value)) {  // after the view
    gain = {*inner, true, {value.node}};
    value = *inner;
  }
  const StridedView view = strided_view(graph, value);
  gain.coefficients = view.base;
  if (graph.type(view.base).elements() != planes.row_count() * planes.count || !is_window(view, sizes, strides))
    return std::nullopt;
  const auto inner = without_one(graph, uses, numbers, view.base);
  if (inner && !gain.plus_one) {  // before it
    gain = {*inner, true, view.chain};
    gain.covers.push_back(view.base.node);
  }
  return gain;
}

struct Innovation {
  ValueId activated;
  std::int64_t active = 0;
  DType dtype{};
  std::vector<std::int32_t> covers;
};

// activated - p_active, as one plane: a view or a cast of the difference.
std::optional<Innovation> match_innovation(const Graph& graph, const Planes& planes, ValueId value) {
  const StridedView view = strided_view(graph, value);
  Shape sizes = planes.rows;
  sizes.push_back(planes.width);
  if (!is_window(view, sizes, contiguous_strides(sizes))) return std::nullopt;
  Innovation innovation;
  innovation.covers = view.chain;
  ValueId difference = view.base;
  if (graph.node(difference).op == Op::cast) {
    innovation.covers.push_back(difference.node);
    difference = graph.node(difference).inputs[0];
  }
  const GraphNode& node = graph.node(difference);
  if (node.op != Op::sub || without_ones(graph.type(node.inputs[0]).shape) != sizes) return std::nullopt;
  innovation.covers.push_back(difference.node);
  Planes stored = planes;
  stored.value = before_cast(graph, planes.value);
  std::optional<std::int64_t> active = plane_index(graph, planes, node.inputs[1]);
  if (!active) active = plane_index(graph, stored, node.inputs[1]);
  if (!active) active = plane_index(graph, stored, before_cast(graph, node.inputs[1]));
  if (!active) return std::nullopt;
  innovation.activated = node.inputs[0];
  innovation.active = *active;
  innovation.dtype = node.type().dtype;
  return innovation;
}

// planes + gain * innovation with the gain as [P, ..., 1], and a cast of it.
Attempt match_stacked(const Graph& graph, const UseCounts& uses, std::int32_t root, NumberGuards& numbers) {
  Coverage coverage;
  coverage.covers = {root};
  const GraphNode* sum = &graph.nodes[static_cast<std::size_t>(root)];
  if (sum->op == Op::cast) {
    coverage.cover(sum->inputs[0]);
    sum = &graph.node(sum->inputs[0]);
  }
  if (sum->op != Op::add) return {};
  const std::size_t product_at = graph.node(sum->inputs[0]).op == Op::mul ? 0 : 1;
  const ValueId product_value = sum->inputs[product_at];
  const GraphNode& product = graph.node(product_value);
  if (product.op != Op::mul) return {};
  const std::optional<Planes> planes = as_planes(graph, sum->inputs[1 - product_at]);
  const Type& result = graph.type({root, 0});
  if (!planes || graph.type(planes->value).shape != result.shape) return {};
  for (std::size_t gain_at : {0, 1}) {
    const auto gain = match_gain(graph, uses, numbers, *planes, product.inputs[gain_at]);
    const auto innovation = gain ? match_innovation(graph, *planes, product.inputs[1 - gain_at]) : std::nullopt;
    if (!innovation) continue;
    coverage.cover(product_value);
    coverage.covers.insert(coverage.covers.end(), gain->covers.begin(), gain->covers.end());
    coverage.covers.insert(coverage.covers.end(), innovation->covers.begin(), innovation->covers.end());
    const ValueId stored = before_cast(graph, planes->value);
    coverage.operands = {stored, innovation->activated, gain->coefficients};
    const std::vector<Type> types = {graph.type(stored), graph.type(innovation->activated),
                                     graph.type(gain->coefficients)};
    return replace(graph, uses, root, std::move(coverage),
                   correct_body(types, {innovation->active, gain->plus_one, innovation->dtype,
                                        graph.type(planes->value).dtype, result.dtype}));
  }
  return {};
}

// concatenate of p_j + gain_j * innovation, one part a plane.
Attempt match_split(const Graph& graph, const UseCounts& uses, std::int32_t root, NumberGuards& numbers) {
  const GraphNode& stack = graph.nodes[static_cast<std::size_t>(root)];
  if (stack.as<AxisAttrs>().axis != 0 || stack.inputs.size() < 2) return {};
  Coverage coverage;
  coverage.covers = {root};
  std::vector<ValueId> planes, gains;
  std::optional<ValueId> innovation;
  for (ValueId part : stack.inputs) {
    for (; graph.node(part).op == Op::reshape; part = graph.node(part).inputs[0]) coverage.cover(part);
    const GraphNode& sum = graph.node(part);
    if (sum.op != Op::add) return {};
    const std::size_t product_at = graph.node(sum.inputs[0]).op == Op::mul ? 0 : 1;
    const GraphNode& product = graph.node(sum.inputs[product_at]);
    if (product.op != Op::mul) return {};
    const auto is_column = [&](ValueId value) {
      return !graph.type(value).shape.empty() && graph.type(value).shape.back() == 1;
    };
    const std::size_t gain_at = is_column(product.inputs[0]) ? 0 : 1;
    const ValueId correction = product.inputs[1 - gain_at];
    if (!is_column(product.inputs[gain_at]) || (innovation && *innovation != correction)) return {};
    innovation = correction;
    coverage.cover(part);
    coverage.cover(sum.inputs[product_at]);
    planes.push_back(sum.inputs[1 - product_at]);
    gains.push_back(product.inputs[gain_at]);
  }
  const GraphNode& difference = graph.node(*innovation);
  if (difference.op != Op::sub || std::find(planes.begin(), planes.end(), difference.inputs[1]) == planes.end())
    return {std::nullopt, "the planes are not corrected by the difference to one of them"};
  coverage.cover(*innovation);
  for (ValueId plane : planes) coverage.copy_views(graph, plane);
  coverage.copy_views(graph, difference.inputs[0]);
  for (ValueId gain : gains) {
    const auto inner = without_one(graph, uses, numbers, gain);
    if (inner) coverage.cover(gain);
    coverage.copy_views(graph, inner ? *inner : gain);
  }
  return replace(graph, uses, root, std::move(coverage));
}

}  // namespace

Rule altup_correct_rule() {
  return {"altup_correct",
          {Op::altup_correct, Op::add, Op::cast, Op::concatenate},
          [](const Graph& graph, const UseCounts& uses, std::int32_t root, NumberGuards& numbers) {
            switch (graph.nodes[static_cast<std::size_t>(root)].op) {
              case Op::altup_correct:
                return match_composite(graph, uses, root);
              case Op::concatenate:
                return match_split(graph, uses, root, numbers);
              default:
                return match_stacked(graph, uses, root, numbers);
            }
          }};
}

}  // namespace lazuli
