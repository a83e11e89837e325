// SPDX-License-Identifier: MIT
#include <lazuli/graph/custom_op.h>
#include <lazuli/passes/row_map.h>

#include <algorithm>

namespace lazuli {
namespace {

using Axes = std::vector<int>;

int rank(const Type& type) { return static_cast<int>(type.shape.size()); }

// Broadcasting aligns axes from the right; an axis of size one serves every index.
int aligned_axis(const Type& operand, int axis, int result_rank) {
  const int aligned = axis - (result_rank - rank(operand));
  return aligned < 0 || operand.shape[static_cast<std::size_t>(aligned)] == 1 ? whole_operand : aligned;
}

Axes first_operand(const GraphNode& node, int axis) {
  Axes axes(node.inputs.size(), whole_operand);
  axes[0] = axis;
  return axes;
}

std::optional<Axes> reduction_axes(const GraphNode& node, int axis) {
  const auto& reduce = node.as<ReduceAttrs>();
  if (reduce.keep_dims) return first_operand(node, axis);
  int operand_axis = axis;
  for (std::int64_t reduced : reduce.axes) operand_axis += reduced <= operand_axis;
  return first_operand(node, operand_axis);
}

std::optional<Axes> leading_axes(const Graph& graph, const GraphNode& node, int axis) {
  const int result_rank = rank(node.type());
  if (is_reduction(node.op)) return reduction_axes(node, axis);
  switch (node.op) {
    case Op::argmax:
    case Op::argmin:
      return first_operand(node, axis + (axis >= node.as<AxisAttrs>().axis));
    case Op::softmax:
    case Op::log_softmax:
    case Op::sort:
    case Op::argsort:
      if (axis == node.as<AxisAttrs>().axis) return std::nullopt;
      return first_operand(node, axis);
    case Op::cumsum:
    case Op::cumprod:
    case Op::cummax:
    case Op::cummin:
      if (axis == node.as<CumulativeAttrs>().axis) return std::nullopt;
      return first_operand(node, axis);
    case Op::matmul:
      if (axis == result_rank - 1) return std::nullopt;
      if (axis == result_rank - 2) return first_operand(node, rank(graph.type(node.inputs[0])) - 2);
      return Axes{aligned_axis(graph.type(node.inputs[0]), axis, result_rank),
                  aligned_axis(graph.type(node.inputs[1]), axis, result_rank)};
    default:
      if (axis == result_rank - 1) return std::nullopt;
      return first_operand(node, axis);
  }
}

std::optional<Axes> positioned_axes(const GraphNode& node, int axis) {
  if (axis != 0) return std::nullopt;
  Axes axes = first_operand(node, 0);
  const std::size_t positions = node.op == Op::attention ? 3 : node.op == Op::expert_linear ? 2 : 1;
  axes[positions] = 0;
  return axes;
}

std::optional<Axes> planes_axes(const GraphNode& node, int axis) {
  if (axis == 0 || axis == rank(node.type()) - 1) return std::nullopt;
  Axes axes(node.inputs.size(), axis - 1);
  axes[0] = axis;
  return axes;
}

// The axis survives where the sizes before it have one product on both sides.
std::optional<Axes> reshape_axes(const Graph& graph, const GraphNode& node, int axis) {
  const Shape &from = graph.type(node.inputs[0]).shape, &to = node.type().shape;
  const auto at = to.begin() + axis;
  const std::int64_t before = element_count(Shape(to.begin(), at));
  std::int64_t product = 1;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (product == before && from[i] == *at) return Axes{static_cast<int>(i)};
    product *= from[i];
  }
  return std::nullopt;
}

std::optional<Axes> slice_axes(const Graph& graph, const GraphNode& node, int axis) {
  const auto& slice = node.as<SliceAttrs>();
  const auto at = static_cast<std::size_t>(axis);
  const bool whole =
      slice.begin[at] == 0 && slice.step[at] == 1 && slice.end[at] == graph.type(node.inputs[0]).shape[at];
  if (!whole) return std::nullopt;
  return Axes{axis};
}

// Whole slices along another axis; or, along an axis of the indices, fewer of them.
std::optional<Axes> take_axes(const Graph& graph, const GraphNode& node, int axis) {
  const auto taken = static_cast<int>(node.as<AxisAttrs>().axis);
  const int indexed = rank(graph.type(node.inputs[1]));
  if (axis >= taken && axis < taken + indexed) return Axes{whole_operand, axis - taken};
  if (is_quantised(graph.type(node.inputs[0]).dtype)) return std::nullopt;
  return Axes{axis < taken ? axis : axis - indexed + 1, whole_operand};
}

// Along the gathered axis, fewer indices; the other axes belong to both operands.
Axes gather_axes(const GraphNode& node, int axis) {
  return {axis == static_cast<int>(node.as<AxisAttrs>().axis) ? whole_operand : axis, axis};
}

// The last axis is a row's own. Rows of quantised arrays cannot be picked without decoding them.
std::optional<Axes> custom_axes(const Graph& graph, const GraphNode& node, int axis) {
  const RowRule rule = node.as<CustomAttrs>().op->rows();
  if (rule == RowRule::none || axis == rank(node.type()) - 1) return std::nullopt;
  if (std::ranges::any_of(node.types, [](const Type& type) { return is_quantised(type.dtype); })) return std::nullopt;
  Axes axes = rule == RowRule::leading ? first_operand(node, axis) : Axes();
  if (rule == RowRule::aligned)
    for (ValueId input : node.inputs) axes.push_back(aligned_axis(graph.type(input), axis, rank(node.type())));
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (axes[i] != whole_operand && is_quantised(graph.type(node.inputs[i]).dtype)) return std::nullopt;
  return axes;
}

}  // namespace

std::optional<std::vector<int>> operand_axes(const Graph& graph, const GraphNode& node, int axis) {
  if (node.op == Op::take) return take_axes(graph, node, axis);
  if (node.op == Op::gather) return gather_axes(node, axis);
  if (node.op == Op::custom) return custom_axes(graph, node, axis);
  switch (info(node.op).rows) {
    case RowRule::none:
      return std::nullopt;
    case RowRule::aligned: {
      Axes axes;
      for (ValueId input : node.inputs) axes.push_back(aligned_axis(graph.type(input), axis, rank(node.type())));
      return axes;
    }
    case RowRule::leading:
      return leading_axes(graph, node, axis);
    case RowRule::positioned:
      return positioned_axes(node, axis);
    case RowRule::planes:
      return planes_axes(node, axis);
    case RowRule::reshape:
      return reshape_axes(graph, node, axis);
    case RowRule::transpose:
      return Axes{static_cast<int>(node.as<TransposeAttrs>().permutation[static_cast<std::size_t>(axis)])};
    case RowRule::slice:
      return slice_axes(graph, node, axis);
    case RowRule::concatenate:
      if (axis == node.as<AxisAttrs>().axis) return std::nullopt;
      return Axes(node.inputs.size(), axis);
  }
  return std::nullopt;
}

Attrs narrowed_attrs(const GraphNode& node, int axis, std::int64_t count) {
  Attrs attrs = node.attrs;
  const auto at = static_cast<std::size_t>(axis);
  if (node.op == Op::reshape || node.op == Op::broadcast_to) std::get<ReshapeAttrs>(attrs).shape[at] = count;
  if (node.op == Op::slice) std::get<SliceAttrs>(attrs).end[at] = count;
  return attrs;
}

}  // namespace lazuli
