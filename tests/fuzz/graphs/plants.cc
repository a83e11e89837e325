// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/tests/fuzz/graphs/plants.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace lazuli::fuzz {
namespace {

// Builds the graph anew; `instead` says what a node gives way to: a value of the new graph of the node's type, or
// nothing. Nodes have one result there.
class Rebuilt {
 public:
  using Instead = std::function<std::optional<ValueId>(GraphRewriter& to, const GraphNode& node)>;

  static Graph of(const Graph& graph, const Instead& instead) {
    GraphRewriter to(graph);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const auto id = static_cast<std::int32_t>(i);
      const std::optional<ValueId> other = instead(to, graph.nodes[i]);
      if (other && to.result().type(*other) == graph.nodes[i].type())
        to.map({id, 0}, *other);
      else
        to.copy(id);
    }
    return to.finish();
  }
};

ValueId put(GraphRewriter& to, Op op, Attrs attrs, std::vector<ValueId> inputs) {
  return add_node(to.result(), op, std::move(attrs), std::move(inputs));
}

// A plant that changes single nodes of some ops.
Plant plant(std::string name, std::string says, Rebuilt::Instead instead, bool everywhere = false) {
  return {std::move(name), std::move(says), everywhere,
          [instead = std::move(instead)](const Graph& graph, PassContext&) { return Rebuilt::of(graph, instead); }};
}

// One that changes attributes of nodes of one op, where `change` says true.
template <class A>
Plant wrong_attrs(std::string name, std::string says, Op op,
                  bool (*change)(A& attrs, const Graph& graph, const GraphNode& node)) {
  return {std::move(name), std::move(says), false, [=](Graph graph, PassContext&) {
            for (GraphNode& node : graph.nodes) {
              if (node.op != op) continue;
              A attrs = node.as<A>();
              if (!change(attrs, graph, node)) continue;
              const std::vector<Type> operands = operand_types(graph, node);
              try {
                if (infer_types(op, attrs, operands) == node.types) node.attrs = std::move(attrs);
              } catch (const Error&) {
              }
            }
            return graph;
          }};
}

Plant exchanged(std::string name, Op op) {
  return {name, "the operands of " + std::string(to_string(op)) + " are exchanged", false,
          [=](Graph graph, PassContext&) {
            for (GraphNode& node : graph.nodes)
              if (node.op == op) std::swap(node.inputs[0], node.inputs[1]);
            return graph;
          }};
}

Plant another_op(std::string name, Op from, Op to) {
  return {name, std::string(to_string(from)) + " is computed as " + std::string(to_string(to)), false,
          [=](Graph graph, PassContext&) {
            for (GraphNode& node : graph.nodes)
              if (node.op == from) node.op = to;
            return graph;
          }};
}

std::vector<Plant> of_operands() {
  return {
      exchanged("swapped_subtract", Op::sub),
      exchanged("swapped_less", Op::less),
      another_op("remainder_as_fmod", Op::remainder, Op::fmod),
      another_op("floor_as_trunc", Op::floor, Op::trunc),
      another_op("cumsum_as_cummax", Op::cummax, Op::cummin),
      plant("dropped_cast", "a cast to 16 bits and back is dropped",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::cast) return std::nullopt;
              const GraphNode& before = to.source().node(node.inputs[0]);
              if (before.op != Op::cast || !is_real(before.type().dtype) || !is_real(node.type().dtype))
                return std::nullopt;
              const ValueId x = to.mapped(before.inputs[0]);
              return is_real(to.result().type(x).dtype) ? std::optional(put(to, Op::cast, node.attrs, {x}))
                                                        : std::nullopt;
            }),
      plant("unrounded", "values of 16 bits are computed in f32 through chains of additions",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::add || byte_size(node.type().dtype, 1) != 2 || !is_real(node.type().dtype))
                return std::nullopt;
              const GraphNode& before = to.source().node(node.inputs[0]);
              if (before.inputs.size() != 2 || (before.op != Op::add && before.op != Op::mul && before.op != Op::sub))
                return std::nullopt;
              const auto wide = [&](ValueId x) { return put(to, Op::cast, CastAttrs{DType::f32}, {to.mapped(x)}); };
              const ValueId left = wide(before.inputs[0]), right = wide(before.inputs[1]), more = wide(node.inputs[1]);
              const ValueId first = put(to, before.op, NoAttrs{}, {left, right});
              return put(to, Op::cast, CastAttrs{node.type().dtype}, {put(to, Op::add, NoAttrs{}, {first, more})});
            }),
      plant("lost_broadcast", "a column that is spread is taken from the first row",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (!is_elementwise(node.op) || node.inputs.size() != 2) return std::nullopt;
              const Type& spread = to.source().type(node.inputs[1]);
              if (spread.shape.size() < 2 || spread.shape[0] < 2 || spread.shape == node.type().shape)
                return std::nullopt;
              SliceAttrs first{Dims(spread.shape.size(), 0), spread.shape, Dims(spread.shape.size(), 1)};
              first.end[0] = 1;
              const ValueId row = put(to, Op::slice, first, {to.mapped(node.inputs[1])});
              return put(to, node.op, node.attrs, {to.mapped(node.inputs[0]), row});
            }),
      plant("negated_by_subtraction", "-x is 0 - x, which has another zero",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::neg || !is_real(node.type().dtype)) return std::nullopt;
              const ValueId zero = put(to, Op::scalar, ScalarAttrs{0, node.type().dtype}, {});
              return put(to, Op::sub, NoAttrs{}, {zero, to.mapped(node.inputs[0])});
            }),
      plant("division_by_reciprocal", "x / y is x (1 / y)",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::div || !is_real(node.type().dtype)) return std::nullopt;
              const ValueId y = put(to, Op::reciprocal, NoAttrs{}, {to.mapped(node.inputs[1])});
              return put(to, Op::mul, NoAttrs{}, {to.mapped(node.inputs[0]), y});
            }),
      plant("nan_ignoring_max", "a maximum passes over NaN",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::max || !is_real(node.type().dtype)) return std::nullopt;
              const ValueId x = to.mapped(node.inputs[0]);
              const ValueId lowest =
                  put(to, Op::scalar, ScalarAttrs{-std::numeric_limits<double>::infinity(), node.type().dtype}, {});
              const ValueId numbers =
                  put(to, Op::select, NoAttrs{}, {put(to, Op::equal, NoAttrs{}, {x, x}), x, lowest});
              return put(to, Op::max, node.attrs, {numbers});
            }),
  };
}

std::vector<Plant> of_attributes() {
  return {
      wrong_attrs<SliceAttrs>("wrong_slice_start", "a slice begins an element too early", Op::slice,
                              [](SliceAttrs& attrs, const Graph&, const GraphNode&) {
                                for (std::size_t axis = 0; axis < attrs.begin.size(); ++axis)
                                  if (attrs.begin[axis] > 0 && attrs.step[axis] == 1) {
                                    --attrs.begin[axis], --attrs.end[axis];
                                    return true;
                                  }
                                return false;
                              }),
      wrong_attrs<SliceAttrs>("wrong_step", "a slice goes with a step of 1", Op::slice,
                              [](SliceAttrs& attrs, const Graph&, const GraphNode& node) {
                                for (std::size_t axis = 0; axis < attrs.step.size(); ++axis)
                                  if (attrs.step[axis] > 1) {
                                    attrs.step[axis] = 1;
                                    attrs.end[axis] = attrs.begin[axis] + node.type().shape[axis];
                                    return true;
                                  }
                                return false;
                              }),
      wrong_attrs<SoftcapAttrs>("wrong_cap", "a softcap has another one's cap", Op::softcap,
                                [](SoftcapAttrs& attrs, const Graph&, const GraphNode&) {
                                  attrs.cap = 29;
                                  return true;
                                }),
      wrong_attrs<RmsNormAttrs>("wrong_epsilon", "a norm has a fixed epsilon", Op::rms_norm,
                                [](RmsNormAttrs& attrs, const Graph&, const GraphNode&) {
                                  attrs.epsilon = 1e-3;
                                  return true;
                                }),
      wrong_attrs<ReduceAttrs>("wrong_axis", "a sum goes along the other of two equal axes", Op::sum,
                               [](ReduceAttrs& attrs, const Graph& graph, const GraphNode& node) {
                                 const auto rank = static_cast<std::int64_t>(graph.type(node.inputs[0]).shape.size());
                                 if (attrs.axes.size() != 1 || rank < 2) return false;
                                 attrs.axes[0] = attrs.axes[0] == rank - 1 ? rank - 2 : rank - 1;
                                 return true;
                               }),
      wrong_attrs<CumulativeAttrs>(
          "inclusive_sum", "an exclusive sum takes the element itself", Op::cumsum,
          [](CumulativeAttrs& attrs, const Graph&, const GraphNode&) { return std::exchange(attrs.exclusive, false); }),
      wrong_attrs<TransposeAttrs>("inverse_transpose", "a transpose goes the other way round", Op::transpose,
                                  [](TransposeAttrs& attrs, const Graph&, const GraphNode&) {
                                    Dims inverse(attrs.permutation.size());
                                    for (std::size_t axis = 0; axis < inverse.size(); ++axis)
                                      inverse[static_cast<std::size_t>(attrs.permutation[axis])] =
                                          static_cast<std::int64_t>(axis);
                                    return std::exchange(attrs.permutation, inverse) != inverse;
                                  }),
      wrong_attrs<ScanAttrs>("scan_backwards", "a scan goes from the last element", Op::scan,
                             [](ScanAttrs& attrs, const Graph&, const GraphNode&) {
                               attrs.reverse = !attrs.reverse;
                               return true;
                             }),
      wrong_attrs<CondAttrs>("wrong_branch", "the branches change places", Op::cond,
                             [](CondAttrs& attrs, const Graph&, const GraphNode&) {
                               std::swap(attrs.then_body, attrs.else_body);
                               return true;
                             }),
      wrong_attrs<SliceUpdateAttrs>(
          "no_ring", "rows past the end are dropped where they go round", Op::slice_update,
          [](SliceUpdateAttrs& attrs, const Graph&, const GraphNode&) { return std::exchange(attrs.ring, false); }),
      wrong_attrs<AttentionAttrs>(
          "lost_window", "attention sees keys before its window", Op::attention,
          [](AttentionAttrs& attrs, const Graph&, const GraphNode&) { return std::exchange(attrs.window, 0) != 0; }),
      wrong_attrs<PoolAttrs>("counted_padding", "a mean divides by the padding too", Op::mean_pool,
                             [](PoolAttrs& attrs, const Graph&, const GraphNode&) {
                               return !std::exchange(attrs.count_include_pad, true);
                             }),
  };
}

// A number that one node reads is another's.
Graph with_wrong_number(Graph graph, PassContext&) {
  std::optional<Number> before;
  for (GraphNode& node : graph.nodes) {
    if (node.op != Op::scalar || node.type().dtype != DType::f32) continue;
    auto& attrs = std::get<ScalarAttrs>(node.attrs);
    const Number own = attrs.value;
    if (before) attrs.value = *before;
    before = own;
  }
  return graph;
}

// Readers of a base behind its update see the new rows.
Graph with_wrong_order(Graph graph, PassContext&) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op != Op::slice_update) continue;
    const ValueId base = graph.nodes[i].inputs[0], updated{static_cast<std::int32_t>(i), 0};
    for (std::size_t reader = i + 1; reader < graph.nodes.size(); ++reader)
      std::replace(graph.nodes[reader].inputs.begin(), graph.nodes[reader].inputs.end(), base, updated);
    std::replace(graph.outputs.begin(), graph.outputs.end(), base, updated);
  }
  return graph;
}

std::vector<Plant> of_structure() {
  return {
      {"wrong_number", "a number comes from another one's place", false, with_wrong_number},
      {"wrong_step_order", "a value is read after it was written over", false, with_wrong_order},
      plant("one_row_short", "the last row is computed from the one before it",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              const bool rowwise = node.op == Op::softmax || node.op == Op::tanh || node.op == Op::linear;
              const Shape& shape = node.type().shape;
              if (!rowwise || shape.size() < 2 || shape[0] < 3) return std::nullopt;
              const ValueId x = to.mapped(node.inputs[0]);
              SliceAttrs rows{Dims(shape.size(), 0), to.result().type(x).shape, Dims(shape.size(), 1)};
              --rows.end[0];
              const ValueId most = put(to, Op::slice, rows, {x});
              rows.begin[0] = rows.end[0] - 1;
              const ValueId again = put(to, Op::slice, rows, {x});
              std::vector<ValueId> inputs{put(to, Op::concatenate, AxisAttrs{0}, {most, again})};
              for (std::size_t i = 1; i < node.inputs.size(); ++i) inputs.push_back(to.mapped(node.inputs[i]));
              return put(to, node.op, node.attrs, inputs);
            }),
      plant("last_of_equals", "argmax gives the last of equals",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::argmax) return std::nullopt;
              const ValueId x = to.mapped(node.inputs[0]);
              const Shape shape = to.result().type(x).shape;
              const auto axis = static_cast<std::size_t>(node.as<AxisAttrs>().axis);
              SliceAttrs turned{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
              turned.begin[axis] = shape[axis] - 1;
              turned.end[axis] = -1;
              turned.step[axis] = -1;
              const ValueId place = put(to, Op::argmax, node.attrs, {put(to, Op::slice, turned, {x})});
              const ValueId last =
                  put(to, Op::scalar, ScalarAttrs{static_cast<double>(shape[axis] - 1), DType::i32}, {});
              return put(to, Op::sub, NoAttrs{}, {last, place});
            }),
      plant("concatenated_backwards", "two parts change places",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::concatenate || node.inputs.size() < 2) return std::nullopt;
              std::vector<ValueId> parts;
              for (const ValueId input : node.inputs) parts.push_back(to.mapped(input));
              std::swap(parts[0], parts[1]);
              return put(to, node.op, node.attrs, parts);
            }),
      plant("reassociated_sum", "a sum of a row is the sum of its halves",
            [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
              if (node.op != Op::sum || !is_real(node.type().dtype)) return std::nullopt;
              const ValueId x = to.mapped(node.inputs[0]);
              const Shape shape = to.result().type(x).shape;
              const auto& attrs = node.as<ReduceAttrs>();
              const auto axis = static_cast<std::size_t>(attrs.axes[0]);
              if (attrs.axes.size() != 1 || shape[axis] < 4) return std::nullopt;
              SliceAttrs half{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
              half.end[axis] = shape[axis] / 2;
              const ValueId left = put(to, Op::sum, attrs, {put(to, Op::slice, half, {x})});
              half.begin[axis] = shape[axis] / 2;
              half.end[axis] = shape[axis];
              const ValueId right = put(to, Op::sum, attrs, {put(to, Op::slice, half, {x})});
              return put(to, Op::add, NoAttrs{}, {left, right});
            }),
      plant(
          "exp_off_by_a_little", "exp is wrong by a hundred thousandth, in every variant",
          [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
            if (node.op != Op::exp || node.type().dtype != DType::f32) return std::nullopt;
            const ValueId factor = put(to, Op::scalar, ScalarAttrs{1.00001f, DType::f32}, {});
            const ValueId y = put(to, Op::exp, NoAttrs{}, {to.mapped(node.inputs[0])});
            return put(to, Op::mul, NoAttrs{}, {y, factor});
          },
          true),
      plant(
          "commuted_wrongly", "x + y with a number on the left is that number, in every variant",
          [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
            if (node.op != Op::mul || to.source().node(node.inputs[0]).op != Op::scalar) return std::nullopt;
            return put(to, Op::broadcast_to, ReshapeAttrs{node.type().shape}, {to.mapped(node.inputs[0])});
          },
          true),
      plant(
          "sort_without_its_last", "the largest of a row stays where it was, in every variant",
          [](GraphRewriter& to, const GraphNode& node) -> std::optional<ValueId> {
            const Shape& shape = node.type().shape;
            if (node.op != Op::sort || shape.back() < 3) return std::nullopt;
            const ValueId x = to.mapped(node.inputs[0]);
            SliceAttrs part{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
            --part.end.back();
            const ValueId sorted = put(to, Op::sort, node.attrs, {put(to, Op::slice, part, {x})});
            part.begin.back() = shape.back() - 1;
            part.end.back() = shape.back();
            const ValueId rest = put(to, Op::slice, part, {x});
            return put(to, Op::concatenate, AxisAttrs{static_cast<std::int64_t>(shape.size()) - 1}, {sorted, rest});
          },
          true),
  };
}

}  // namespace

std::span<const Plant> plants() {
  static const std::vector<Plant> all = [] {
    std::vector<Plant> list = of_operands();
    for (std::vector<Plant>& more : std::vector{of_attributes(), of_structure()})
      for (Plant& each : more) list.push_back(std::move(each));
    return list;
  }();
  return all;
}

const Plant* find_plant(std::string_view name) {
  const auto found =
      std::find_if(plants().begin(), plants().end(), [&](const Plant& each) { return each.name == name; });
  return found == plants().end() ? nullptr : &*found;
}

}  // namespace lazuli::fuzz
