// SPDX-License-Identifier: MIT
#include <lazuli/passes/fold_views.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/strided_view.h>

#include <algorithm>
#include <optional>

namespace lazuli {
namespace {

// Only ones were put in front, or taken away there: broadcasting aligns both alike.
bool aligns_alike(const Shape& a, const Shape& b) {
  const auto left = significant_sizes(a), right = significant_sizes(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

// Writes the graph anew and simplifies each node as it is added, so that its operands are simple already.
class ViewFolder {
 public:
  explicit ViewFolder(const Graph& graph) : graph_(graph), rewriter_(graph) {}

  Graph run() {
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph_.nodes.size()); ++id) {
      const GraphNode& old = graph_.nodes[static_cast<std::size_t>(id)];
      if (!may_change(old)) {
        rewriter_.copy(id);
        continue;
      }
      GraphNode node = old;
      for (ValueId& input : node.inputs) input = rewriter_.mapped(input);
      rewriter_.map({id, 0}, add(std::move(node)));
    }
    return rewriter_.finish();
  }

 private:
  static bool may_change(const GraphNode& node) {
    return is_view(node.op) || is_elementwise(node.op) || is_reduction(node.op) || node.op == Op::concatenate;
  }

  const GraphNode& result(ValueId value) { return rewriter_.result().node(value); }
  const Shape& shape(ValueId value) { return rewriter_.result().type(value).shape; }

  // A node like `origin` with another op; types are inferred.
  ValueId add_like(const GraphNode& origin, Op op, Attrs attrs, std::vector<ValueId> inputs) {
    GraphNode node;
    node.op = op;
    node.attrs = std::move(attrs);
    node.inputs = std::move(inputs);
    node.types = infer_types(op, node.attrs, operand_types(rewriter_.result(), node));
    node.scope = origin.scope;
    node.from = origin.from;
    return add(std::move(node));
  }

  ValueId add(GraphNode node) {
    if (is_no_op(rewriter_.result(), node)) return node.inputs[0];
    std::optional<ValueId> simpler;
    switch (node.op) {
      case Op::reshape:
        simpler = simplify_reshape(node);
        break;
      case Op::transpose:
        simpler = simplify_transpose(node);
        break;
      case Op::slice:
        simpler = simplify_slice(node);
        break;
      case Op::broadcast_to:
        simpler = simplify_broadcast(node);
        break;
      case Op::cast:
        simpler = simplify_cast(node);
        break;
      case Op::concatenate:
        if (node.inputs.size() == 1) return node.inputs[0];
        break;
      default:
        if (is_reduction(node.op)) simpler = simplify_reduction(node);
        break;
    }
    if (!simpler && is_elementwise(node.op)) simpler = simplify_elementwise(node);
    return simpler ? *simpler : rewriter_.add(std::move(node));
  }

  std::optional<ValueId> simplify_reshape(GraphNode& node) {
    const GraphNode& inner = result(node.inputs[0]);
    if (inner.op != Op::reshape) return std::nullopt;
    node.from = merge_sources(node.from, inner.from);
    return add_like(node, Op::reshape, node.attrs, {inner.inputs[0]});
  }

  std::optional<ValueId> simplify_transpose(GraphNode& node) {
    const GraphNode& inner = result(node.inputs[0]);
    const Dims& permutation = node.as<TransposeAttrs>().permutation;
    if (inner.op == Op::transpose) {
      Dims joined;
      for (std::int64_t axis : permutation)
        joined.push_back(inner.as<TransposeAttrs>().permutation[static_cast<std::size_t>(axis)]);
      node.from = merge_sources(node.from, inner.from);
      return add_like(node, Op::transpose, TransposeAttrs{joined}, {inner.inputs[0]});
    }
    // Where only axes of size one move, the elements stay in order.
    const Shape& sizes = shape(node.inputs[0]);
    std::int64_t previous = -1;
    for (std::int64_t axis : permutation) {
      if (sizes[static_cast<std::size_t>(axis)] == 1) continue;
      if (axis < previous) return std::nullopt;
      previous = axis;
    }
    return add_like(node, Op::reshape, ReshapeAttrs{node.type().shape}, node.inputs);
  }

  std::optional<ValueId> simplify_slice(GraphNode& node) {
    const GraphNode& inner = result(node.inputs[0]);
    if (inner.op != Op::slice) return std::nullopt;
    SliceAttrs joined = node.as<SliceAttrs>();
    const auto& first = inner.as<SliceAttrs>();
    for (std::size_t axis = 0; axis < joined.begin.size(); ++axis) {
      const std::int64_t size = node.type().shape[axis];
      if (size == 0) {
        joined.begin[axis] = joined.end[axis] = 0;
        joined.step[axis] = 1;
        continue;
      }
      joined.begin[axis] = first.begin[axis] + joined.begin[axis] * first.step[axis];
      // To a single element no step leads, and the product of two may be too large; those between elements of an axis
      // are not.
      const std::int64_t step = size == 1 ? 1 : joined.step[axis] * first.step[axis];
      joined.step[axis] = step;
      joined.end[axis] = joined.begin[axis] + (size - 1) * step + (step > 0 ? 1 : -1);
    }
    node.from = merge_sources(node.from, inner.from);
    return add_like(node, Op::slice, std::move(joined), {inner.inputs[0]});
  }

  std::optional<ValueId> simplify_broadcast(GraphNode& node) {
    const GraphNode& inner = result(node.inputs[0]);
    const bool skips = inner.op == Op::broadcast_to ||
                       (inner.op == Op::reshape && aligns_alike(shape(inner.inputs[0]), inner.type().shape) &&
                        broadcastable_to(shape(inner.inputs[0]), node.type().shape));
    if (!skips) return std::nullopt;
    node.from = merge_sources(node.from, inner.from);
    return add_like(node, Op::broadcast_to, node.attrs, {inner.inputs[0]});
  }

  // A value of 16 or 32 bits survives the way through f32 and back; one of 64 does not.
  std::optional<ValueId> simplify_cast(GraphNode& node) {
    const GraphNode& inner = result(node.inputs[0]);
    if (inner.op != Op::cast || inner.type().dtype != DType::f32) return std::nullopt;
    const Type& original = rewriter_.result().type(inner.inputs[0]);
    if (original != node.type() || !is_real(original.dtype) || original.dtype == DType::f64) return std::nullopt;
    return inner.inputs[0];
  }

  // Reductions of the last axis keep it, so that their result lines up with the rows it came from.
  std::optional<ValueId> simplify_reduction(GraphNode& node) {
    const auto& reduce = node.as<ReduceAttrs>();
    const auto last = static_cast<std::int64_t>(shape(node.inputs[0]).size()) - 1;
    if (reduce.keep_dims || reduce.axes != Dims{last}) return std::nullopt;
    const ValueId kept = add_like(node, node.op, ReduceAttrs{reduce.axes, true}, node.inputs);
    return add_like(node, Op::reshape, ReshapeAttrs{node.type().shape}, {kept});
  }

  std::optional<ValueId> simplify_elementwise(GraphNode& node) {
    for (ValueId& input : node.inputs) skip_broadcast(node, input);
    if (auto moved = sink_reshape(node)) return moved;
    return sink_broadcast(node);
  }

  Shape result_shape(const GraphNode& node) {
    Shape sizes;
    for (ValueId input : node.inputs) sizes = broadcast_shapes(sizes, shape(input), "fold_views");
    return sizes;
  }

  // Elementwise ops broadcast by themselves.
  void skip_broadcast(const GraphNode& node, ValueId& input) {
    const GraphNode& inner = result(input);
    const bool aligned = inner.op == Op::broadcast_to ||
                         (inner.op == Op::reshape && aligns_alike(shape(inner.inputs[0]), inner.type().shape));
    if (!aligned) return;
    const ValueId viewed = input;
    input = inner.inputs[0];
    if (result_shape(node) != node.type().shape) input = viewed;
  }

  // f(reshape(a), reshape(b)) = reshape(f(a, b)) where the reshapes only place ones differently.
  std::optional<ValueId> sink_reshape(GraphNode& node) {
    const Shape* source = nullptr;
    std::vector<ValueId> inputs = node.inputs;
    for (ValueId& input : inputs) {
      const GraphNode& inner = result(input);
      if (inner.op == Op::scalar) continue;
      if (inner.op != Op::reshape || inner.type().shape != node.type().shape) return std::nullopt;
      const Shape& sizes = shape(inner.inputs[0]);
      if (without_ones(sizes) != without_ones(node.type().shape) || (source && *source != sizes)) return std::nullopt;
      source = &sizes;
      input = inner.inputs[0];
    }
    if (!source) return std::nullopt;
    const ValueId computed = add_like(node, node.op, node.attrs, std::move(inputs));
    return add_like(node, Op::reshape, ReshapeAttrs{node.type().shape}, {computed});
  }

  // f(broadcast(a), broadcast(b)) = broadcast(f(a, b)): each element is computed once.
  std::optional<ValueId> sink_broadcast(GraphNode& node) {
    std::vector<ValueId> inputs = node.inputs;
    Shape sizes;
    for (ValueId& input : inputs) {
      if (result(input).op == Op::broadcast_to) input = result(input).inputs[0];
      sizes = broadcast_shapes(sizes, shape(input), "fold_views");
    }
    if (inputs == node.inputs || element_count(sizes) >= node.type().elements()) return std::nullopt;
    const ValueId computed = add_like(node, node.op, node.attrs, std::move(inputs));
    return add_like(node, Op::broadcast_to, ReshapeAttrs{node.type().shape}, {computed});
  }

  const Graph& graph_;
  GraphRewriter rewriter_;
};

}  // namespace

Graph fold_views(Graph graph, PassContext&) { return ViewFolder(graph).run(); }

}  // namespace lazuli
