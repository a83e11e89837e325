// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/error.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/tests/fuzz/graphs/spellings.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace lazuli::fuzz {
namespace {

using Spelled = std::optional<ValueId>;
constexpr auto nothing = std::nullopt;

ValueId put(Graph& graph, Op op, Attrs attrs, std::vector<ValueId> inputs) {
  return add_node(graph, op, std::move(attrs), std::move(inputs));
}
ValueId put(Graph& graph, Op op, std::vector<ValueId> inputs) { return put(graph, op, NoAttrs{}, std::move(inputs)); }
ValueId number(Graph& graph, double value, DType dtype) {
  return put(graph, Op::scalar, ScalarAttrs{value, dtype}, {});
}

const Shape& shape_of(const Graph& graph, ValueId value) { return graph.type(value).shape; }
DType dtype_of(const Graph& graph, ValueId value) { return graph.type(value).dtype; }

SliceAttrs whole(const Shape& shape) { return {Dims(shape.size(), 0), shape, Dims(shape.size(), 1)}; }

std::size_t some_axis(const Shape& shape, Random& random) {
  return static_cast<std::size_t>(random.below(1 << 16)) % shape.size();
}

// What goes through ops that together change nothing

Spelled times_one(Graph& graph, ValueId x, Random&) {
  if (!is_number(dtype_of(graph, x))) return nothing;
  return put(graph, Op::mul, {x, number(graph, 1, dtype_of(graph, x))});
}
Spelled less_zero(Graph& graph, ValueId x, Random&) {
  if (!is_number(dtype_of(graph, x))) return nothing;
  return put(graph, Op::sub, {x, number(graph, 0, dtype_of(graph, x))});
}
Spelled divided_by_one(Graph& graph, ValueId x, Random&) {
  if (!is_number(dtype_of(graph, x))) return nothing;
  return put(graph, Op::div, {x, number(graph, 1, dtype_of(graph, x))});
}
Spelled negated_twice(Graph& graph, ValueId x, Random&) {
  const DType dtype = dtype_of(graph, x);
  const Op op = dtype == DType::bool_ ? Op::logical_not : is_integer(dtype) ? Op::bitwise_invert : Op::neg;
  if (!is_plain(dtype)) return nothing;
  return put(graph, op, {put(graph, op, {x})});
}
Spelled transposed_twice(Graph& graph, ValueId x, Random& random) {
  const std::size_t rank = shape_of(graph, x).size();
  if (rank < 2 || !is_plain(dtype_of(graph, x))) return nothing;
  Dims permutation, inverse(rank);
  for (std::size_t axis = 0; axis < rank; ++axis)
    permutation.insert(permutation.begin() + random.below(static_cast<int>(axis) + 1), static_cast<std::int64_t>(axis));
  for (std::size_t axis = 0; axis < rank; ++axis)
    inverse[static_cast<std::size_t>(permutation[axis])] = static_cast<std::int64_t>(axis);
  const ValueId turned = put(graph, Op::transpose, TransposeAttrs{permutation}, {x});
  return put(graph, Op::transpose, TransposeAttrs{inverse}, {turned});
}
Spelled reshaped_twice(Graph& graph, ValueId x, Random&) {
  if (!is_plain(dtype_of(graph, x))) return nothing;
  const Shape shape = shape_of(graph, x);
  const ValueId flat = put(graph, Op::reshape, ReshapeAttrs{{element_count(shape)}}, {x});
  return put(graph, Op::reshape, ReshapeAttrs{shape}, {flat});
}
Spelled turned_round_twice(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x)) || element_count(shape) == 0) return nothing;
  const std::size_t axis = some_axis(shape, random);
  SliceAttrs turned = whole(shape);
  turned.begin[axis] = shape[axis] - 1;
  turned.end[axis] = -1;
  turned.step[axis] = -1;
  return put(graph, Op::slice, turned, {put(graph, Op::slice, turned, {x})});
}
Spelled split_and_joined(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x))) return nothing;
  const std::size_t axis = some_axis(shape, random);
  SliceAttrs first = whole(shape), rest = whole(shape);
  first.end[axis] = rest.begin[axis] = random.between(0, shape[axis]);
  const ValueId low = put(graph, Op::slice, first, {x}), high = put(graph, Op::slice, rest, {x});
  return put(graph, Op::concatenate, AxisAttrs{static_cast<std::int64_t>(axis)}, {low, high});
}
Spelled joined_and_cut(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x))) return nothing;
  const std::size_t axis = some_axis(shape, random);
  const ValueId twice = put(graph, Op::concatenate, AxisAttrs{static_cast<std::int64_t>(axis)}, {x, x});
  SliceAttrs cut = whole(shape_of(graph, twice));
  if (random.chance(50))
    cut.begin[axis] = shape[axis];
  else
    cut.end[axis] = shape[axis];
  return put(graph, Op::slice, cut, {twice});
}
Spelled padded_and_cut(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x))) return nothing;
  const std::size_t axis = some_axis(shape, random);
  PadAttrs around{Dims(shape.size(), 0), Dims(shape.size(), 0)};
  around.before[axis] = 2;
  around.after[axis] = 1;
  const ValueId padded = put(graph, Op::pad, around, {x, number(graph, 1, dtype_of(graph, x))});
  SliceAttrs cut = whole(shape_of(graph, padded));
  cut.begin[axis] = 2;
  cut.end[axis] = 2 + shape[axis];
  return put(graph, Op::slice, cut, {padded});
}
Spelled cast_wider_and_back(Graph& graph, ValueId x, Random&) {
  const DType dtype = dtype_of(graph, x);
  if (!is_plain(dtype) || dtype == DType::f64 || byte_size(dtype, 1) == 8) return nothing;
  const DType wider = is_real(dtype) && dtype != DType::f32 ? DType::f32 : is_real(dtype) ? DType::f64 : DType::i64;
  return put(graph, Op::cast, CastAttrs{dtype}, {put(graph, Op::cast, CastAttrs{wider}, {x})});
}
Spelled taken_whole(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x)) || element_count(shape) == 0) return nothing;
  const std::size_t axis = some_axis(shape, random);
  const ValueId places = put(graph, Op::iota, IotaAttrs{shape[axis], DType::i32}, {});
  return put(graph, Op::take, AxisAttrs{static_cast<std::int64_t>(axis)}, {x, places});
}
Spelled written_whole(Graph& graph, ValueId x, Random& random) {
  const Shape shape = shape_of(graph, x);
  if (shape.empty() || !is_plain(dtype_of(graph, x))) return nothing;
  const std::size_t axis = some_axis(shape, random);
  const ValueId base = put(graph, Op::broadcast_to, ReshapeAttrs{shape}, {number(graph, 1, dtype_of(graph, x))});
  const SliceUpdateAttrs attrs{static_cast<std::int64_t>(axis), random.chance(50)};
  return put(graph, Op::slice_update, attrs, {base, x, number(graph, 0, DType::i32)});
}
Spelled seen_by_strides(Graph& graph, ValueId x, Random&) {
  if (!is_plain(dtype_of(graph, x))) return nothing;
  const Shape shape = shape_of(graph, x);
  return put(graph, Op::as_strided, AsStridedAttrs{shape, contiguous_strides(shape), 0}, {x});
}
Spelled chosen_either_way(Graph& graph, ValueId x, Random&) {
  const Type type = graph.type(x);
  if (!is_plain(type.dtype)) return nothing;
  return put(graph, Op::select, {put(graph, Op::equal, {x, x}), x, x});
}

// What is computed in another way

Spelled with_inputs(Graph& graph, ValueId value, std::vector<ValueId> inputs) {
  GraphNode node = graph.node(value);
  node.inputs = std::move(inputs);
  return graph.add(std::move(node));
}
// Of reals, maximum and minimum of zeros of two signs depend on the order.
Spelled commuted(Graph& graph, ValueId value, Random&) {
  const GraphNode& node = graph.node(value);
  if (!is_commutative(node.op) || node.op == Op::maximum || node.op == Op::minimum) return nothing;
  return with_inputs(graph, value, {node.inputs[1], node.inputs[0]});
}
Spelled anew(Graph& graph, ValueId value, Random&) {
  const GraphNode& node = graph.node(value);
  if (is_leaf(node.op) || node.types.size() != 1) return nothing;
  return with_inputs(graph, value, node.inputs);
}
Spelled added_negative(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (node.op != Op::sub) return nothing;
  return put(graph, Op::add, {node.inputs[0], put(graph, Op::neg, {node.inputs[1]})});
}
Spelled product_of_itself(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (node.op != Op::square) return nothing;
  return put(graph, Op::mul, {node.inputs[0], node.inputs[0]});
}
Spelled compared_from_behind(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  constexpr std::pair<Op, Op> turned[] = {{Op::less, Op::greater},
                                          {Op::greater, Op::less},
                                          {Op::less_equal, Op::greater_equal},
                                          {Op::greater_equal, Op::less_equal}};
  for (const auto& [op, other] : turned)
    if (node.op == op) return put(graph, other, {node.inputs[1], node.inputs[0]});
  if (node.op == Op::not_equal) return put(graph, Op::logical_not, {put(graph, Op::equal, node.inputs)});
  return nothing;
}
Spelled selected_by_the_opposite(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (node.op != Op::select) return nothing;
  const ValueId opposite = put(graph, Op::logical_not, {node.inputs[0]});
  return put(graph, Op::select, {opposite, node.inputs[2], node.inputs[1]});
}
Spelled spread_operands(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (!is_elementwise(node.op) || node.inputs.size() < 2) return nothing;
  std::vector<ValueId> spread;
  for (const ValueId input : node.inputs)
    spread.push_back(put(graph, Op::broadcast_to, ReshapeAttrs{node.type().shape}, {input}));
  return with_inputs(graph, value, spread);
}
Spelled by_definition(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (!is_elementwise(node.op) || !is_composite(node.op)) return nothing;
  const Graph parts = decomposition(node.op, node.attrs, operand_types(graph, node));
  return append_graph(graph, parts, node.inputs)[0];
}
Spelled kept_axis(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (!is_reduction(node.op) || node.as<ReduceAttrs>().keep_dims) return nothing;
  const ValueId kept = put(graph, node.op, ReduceAttrs{node.as<ReduceAttrs>().axes, true}, node.inputs);
  return put(graph, Op::reshape, ReshapeAttrs{node.type().shape}, {kept});
}
Spelled first_of_top(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  const Shape& shape = shape_of(graph, value);
  if (node.op != Op::argmax) return nothing;
  const Shape& from = shape_of(graph, node.inputs[0]);
  if (node.as<AxisAttrs>().axis + 1 != static_cast<std::int64_t>(from.size())) return nothing;
  const ValueId best = put(graph, Op::top_k, TopKAttrs{1}, node.inputs);
  return put(graph, Op::reshape, ReshapeAttrs{shape}, {ValueId{best.node, 1}});
}
Spelled sorted_by_places(Graph& graph, ValueId value, Random&) {
  const GraphNode node = graph.node(value);
  if (node.op != Op::sort) return nothing;
  const ValueId places = put(graph, Op::argsort, node.attrs, node.inputs);
  return put(graph, Op::gather, node.attrs, {node.inputs[0], places});
}

// Rows of products, norms and functions do not depend on the rows beside them.
Spelled rows_apart(Graph& graph, ValueId value, Random& random) {
  const GraphNode node = graph.node(value);
  const bool rowwise = node.op == Op::linear || node.op == Op::matmul || node.op == Op::rms_norm ||
                       node.op == Op::layer_norm || (node.inputs.size() == 1 && is_elementwise(node.op)) ||
                       node.op == Op::expert_linear;
  const Shape x = node.inputs.empty() ? Shape{} : shape_of(graph, node.inputs[0]);
  if (!rowwise || x.size() < 2 || x[0] < 2) return nothing;
  if (node.op == Op::matmul && (x.size() > 2 || shape_of(graph, node.inputs[1]).size() > 2)) return nothing;
  const std::int64_t border = random.between(1, x[0] - 1);
  std::vector<ValueId> parts;
  for (const bool low : {true, false}) {
    std::vector<ValueId> inputs = node.inputs;
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
      if (i == 2 && node.op != Op::expert_linear) continue;
      SliceAttrs rows = whole(shape_of(graph, inputs[i]));
      (low ? rows.end : rows.begin)[0] = border;
      inputs[i] = put(graph, Op::slice, rows, {inputs[i]});
    }
    parts.push_back(put(graph, node.op, node.attrs, inputs));
  }
  return put(graph, Op::concatenate, AxisAttrs{0}, parts);
}

constexpr Spelling all_spellings[] = {
    {"times_one", times_one},
    {"less_zero", less_zero},
    {"divided_by_one", divided_by_one},
    {"negated_twice", negated_twice},
    {"transposed_twice", transposed_twice},
    {"reshaped_twice", reshaped_twice},
    {"turned_round_twice", turned_round_twice},
    {"split_and_joined", split_and_joined},
    {"joined_and_cut", joined_and_cut},
    {"padded_and_cut", padded_and_cut},
    {"cast_wider_and_back", cast_wider_and_back},
    {"taken_whole", taken_whole},
    {"written_whole", written_whole},
    {"seen_by_strides", seen_by_strides},
    {"chosen_either_way", chosen_either_way},
    {"commuted", commuted},
    {"anew", anew},
    {"added_negative", added_negative},
    {"product_of_itself", product_of_itself},
    {"compared_from_behind", compared_from_behind},
    {"selected_by_the_opposite", selected_by_the_opposite},
    {"spread_operands", spread_operands},
    {"by_definition", by_definition},
    {"kept_axis", kept_axis},
    {"first_of_top", first_of_top},
    {"sorted_by_places", sorted_by_places},
    {"rows_apart", rows_apart},
};

}  // namespace

std::span<const Spelling> spellings() { return all_spellings; }

std::optional<RandomGraph> spelled(const RandomGraph& graph, const Spelling& spelling, std::int32_t at,
                                   std::uint64_t draw) {
  RandomGraph result;
  result.inputs = graph.inputs;
  result.graph.phase = graph.graph.phase;
  std::vector<std::int32_t> moved;
  std::optional<ValueId> other;
  const auto mapped = [&](ValueId value) {
    if (other && value == ValueId{at, 0}) return *other;
    return ValueId{moved[static_cast<std::size_t>(value.node)], value.output};
  };
  for (std::size_t i = 0; i < graph.graph.nodes.size(); ++i) {
    GraphNode node = graph.graph.nodes[i];
    for (ValueId& input : node.inputs) input = mapped(input);
    const ValueId copy = result.graph.add(std::move(node));
    moved.push_back(copy.node);
    if (static_cast<std::int32_t>(i) != at) continue;
    Random random(draw);
    try {
      other = spelling.spell(result.graph, copy, random);
    } catch (const InternalError&) {
      throw;
    } catch (const Error&) {  // a shape that it is not meant for
    }
    if (!other || result.graph.type(*other) != graph.graph.type({at, 0})) return std::nullopt;
  }
  for (const ValueId output : graph.graph.outputs) result.graph.outputs.push_back(mapped(output));
  return result;
}

}  // namespace lazuli::fuzz
