// SPDX-License-Identifier: MIT
// p_j = x_j + sum_i c_ji x_i, in three formulations: the composite; planes permuted to the back, a matmul with the
// coefficients, and back again; and plane by plane. What a layer adds to some of the planes x right before a composite
// comes into the island, which spares writing and reading all of them once more.
#include <fmt/format.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/altup_island.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>

namespace lazuli {
namespace {

using namespace altup;

// Where c_ji stands in a row of coefficients.
struct CoefficientLayout {
  std::int64_t input_stride = 1, output_stride = 0;
};

// What is added to planes [P, ..., H] before they are mixed.
struct Update {
  ValueId planes, value;      // the value [..., H]
  std::vector<bool> reaches;  // by plane
};

// select(mask, planes + update, planes), with a constant for each plane in the mask. In f32, where nothing is rounded
// between the addition and the mixing.
std::optional<Update> as_update(const Graph& graph, const UseCounts& uses, ValueId value) {
  const GraphNode& choice = graph.node(value);
  if (choice.op != Op::select || uses[value] != 1 || choice.type().dtype != DType::f32) return std::nullopt;
  const GraphNode& sum = graph.node(choice.inputs[1]);
  const ValueId planes = choice.inputs[2];
  const Shape& shape = graph.type(planes).shape;
  if (shape != choice.type().shape || sum.op != Op::add || uses[choice.inputs[1]] != 1) return std::nullopt;
  if (sum.inputs[0] != planes && sum.inputs[1] != planes) return std::nullopt;
  const ValueId added = sum.inputs[sum.inputs[0] == planes ? 1 : 0];
  Shape per_plane(shape.size(), 1);
  per_plane[0] = shape[0];
  const StridedView flags = strided_view(graph, choice.inputs[0]);
  const GraphNode& mask = graph.node(flags.base);
  if (graph.type(choice.inputs[0]).shape != per_plane || !is_window(flags, {shape[0]}, {1})) return std::nullopt;
  if (mask.op != Op::constant || !mask.constant || mask.type().dtype != DType::bool_) return std::nullopt;
  const Shape plane(shape.begin() + 1, shape.end());
  if (!std::ranges::equal(significant_sizes(graph.type(added).shape), significant_sizes(plane))) return std::nullopt;
  Update update{planes, added, {}};
  for (std::int64_t j = 0; j < shape[0]; ++j) update.reaches.push_back(mask.constant->as<std::uint8_t>()[j] != 0);
  return update;
}

// The operands are the planes, the coefficients, and the value of an update.
Graph predict_body(std::vector<Type> operands, CoefficientLayout layout, DType arithmetic, DType result,
                   const std::vector<bool>& reaches = {}) {
  const Type planes = operands[0];
  IslandBuilder build(std::move(operands));
  const std::int64_t count = planes.shape[0];
  const Shape plane_shape(planes.shape.begin() + 1, planes.shape.end());
  std::vector<ValueId> x, predicted;
  for (std::int64_t i = 0; i < count; ++i) {
    x.push_back(build.cast(build.plane(build.operand(0), i), arithmetic));
    if (!reaches.empty() && reaches[static_cast<std::size_t>(i)])
      x.back() = build.apply(Op::add, x.back(), build.reshaped(build.operand(2), plane_shape));
  }
  for (std::int64_t j = 0; j < count; ++j) {
    std::optional<ValueId> mixed;
    for (std::int64_t i = 0; i < count; ++i) {
      const ValueId c = build.column(build.operand(1), plane_shape, i * layout.input_stride + j * layout.output_stride);
      const ValueId term = build.apply(Op::mul, build.cast(c, arithmetic), x[static_cast<std::size_t>(i)]);
      mixed = mixed ? build.apply(Op::add, *mixed, term) : term;
    }
    predicted.push_back(build.apply(Op::add, x[static_cast<std::size_t>(j)], *mixed));
  }
  return build.stack(std::move(predicted), result);
}

Attempt match_composite(const Graph& graph, const UseCounts& uses, std::int32_t root) {
  const GraphNode& node = graph.nodes[static_cast<std::size_t>(root)];
  const std::optional<Update> update = as_update(graph, uses, node.inputs[0]);
  Coverage coverage;
  coverage.covers = {root};
  coverage.operands = node.inputs;
  if (update) {
    coverage.cover(node.inputs[0]);
    coverage.cover(graph.node(node.inputs[0]).inputs[1]);
    coverage.operands = {update->planes, node.inputs[1], update->value};
  }
  std::vector<Type> types;
  for (ValueId operand : coverage.operands) types.push_back(graph.type(operand));
  const CoefficientLayout layout{1, types[0].shape[0]};
  const DType result = node.type().dtype;
  Graph body = predict_body(std::move(types), layout, arithmetic_of(result), result,
                            update ? update->reaches : std::vector<bool>{});
  return replace(graph, uses, root, std::move(coverage), std::move(body));
}

// Coefficients [..., P, P] as a matmul's right operand: axis -2 runs over the planes read, axis -1 over those written.
std::optional<CoefficientLayout> coefficient_layout(const Graph& graph, const Planes& planes, const StridedView& view) {
  const std::int64_t count = planes.count;
  if (graph.type(view.base).elements() != planes.row_count() * count * count) return std::nullopt;
  Shape sizes = planes.rows;
  sizes.insert(sizes.end(), {count, count});
  for (const CoefficientLayout& layout : {CoefficientLayout{1, count}, CoefficientLayout{count, 1}}) {
    Dims strides = row_strides(planes, count * count);
    strides.insert(strides.end(), {layout.input_stride, layout.output_stride});
    if (is_window(view, sizes, strides)) return layout;
  }
  return std::nullopt;
}

bool reads_planes_last(const Planes& planes, const StridedView& view) {  // [..., H, P]
  Shape sizes = planes.rows;
  sizes.insert(sizes.end(), {planes.width, planes.count});
  Dims strides = row_strides(planes, planes.width);
  strides.insert(strides.end(), {1, element_count(planes.plane_shape)});
  return view.base == planes.value && is_window(view, sizes, strides);
}

bool writes_planes_first(const Planes& planes, const StridedView& view) {  // of [..., H, P]
  Shape sizes{planes.count};
  sizes.insert(sizes.end(), planes.rows.begin(), planes.rows.end());
  sizes.push_back(planes.width);
  Dims strides{1};
  const Dims rows = row_strides(planes, planes.width * planes.count);
  strides.insert(strides.end(), rows.begin(), rows.end());
  strides.push_back(planes.count);
  return is_window(view, sizes, strides);
}

bool views_matmul(const Graph& graph, ValueId value) {
  for (int step = 0; step < 8 && is_view(graph.node(value).op); ++step) value = graph.node(value).inputs[0];
  return graph.node(value).op == Op::matmul;
}

// add(permuted matmul(permuted planes, coefficients), planes), and a cast of it.
Attempt match_stacked(const Graph& graph, const UseCounts& uses, std::int32_t root) {
  Coverage coverage;
  coverage.covers = {root};
  const GraphNode* sum = &graph.nodes[static_cast<std::size_t>(root)];
  if (sum->op == Op::cast) {
    coverage.cover(sum->inputs[0]);
    sum = &graph.node(sum->inputs[0]);
  }
  if (sum->op != Op::add) return {};
  const std::size_t mixed_at = views_matmul(graph, sum->inputs[0]) ? 0 : 1;
  if (!views_matmul(graph, sum->inputs[mixed_at])) return {};
  const std::optional<Planes> planes = as_planes(graph, sum->inputs[1 - mixed_at]);
  const StridedView mixed = strided_view(graph, sum->inputs[mixed_at]);
  const GraphNode& product = graph.node(mixed.base);
  if (!planes || product.op != Op::matmul) return {std::nullopt, "the matmul's result is not added to planes"};
  const Type& result = graph.type({root, 0});
  const StridedView coefficients = strided_view(graph, product.inputs[1]);
  const auto layout = coefficient_layout(graph, *planes, coefficients);
  const bool fits = layout && reads_planes_last(*planes, strided_view(graph, product.inputs[0])) &&
                    writes_planes_first(*planes, mixed) && graph.type(planes->value).shape == result.shape;
  if (!fits) return {std::nullopt, "the matmul does not multiply planes by coefficients [..., P, P]"};
  coverage.cover(mixed.base);
  for (std::int32_t view : mixed.chain) coverage.covers.push_back(view);
  const ValueId stored = before_cast(graph, planes->value);
  coverage.operands = {stored, coefficients.base};
  return replace(graph, uses, root, std::move(coverage),
                 predict_body({graph.type(stored), graph.type(coefficients.base)}, *layout,
                              graph.type(planes->value).dtype, result.dtype));
}

// The terms of one predicted plane.
struct Terms {
  std::vector<ValueId> bare;
  std::vector<std::pair<ValueId, ValueId>> products;  // coefficient, plane
};

bool is_column(const Graph& graph, ValueId value) {
  const Shape& shape = graph.type(value).shape;
  return !shape.empty() && shape.back() == 1;
}

// A sum or product that others read, too, is a term: the plane itself may have come from an addition.
std::optional<Terms> collect_terms(const Graph& graph, const UseCounts& uses, ValueId sum, std::size_t count,
                                   Coverage& coverage) {
  Terms terms;
  std::vector<ValueId> pending{sum};
  while (!pending.empty()) {
    const ValueId value = pending.back();
    pending.pop_back();
    const GraphNode& node = graph.node(value);
    if (uses[value] == 1 && node.op == Op::add) {
      coverage.cover(value);
      pending.insert(pending.end(), node.inputs.begin(), node.inputs.end());
    } else if (uses[value] == 1 && node.op == Op::mul &&
               is_column(graph, node.inputs[0]) != is_column(graph, node.inputs[1])) {
      coverage.cover(value);
      const std::size_t column = is_column(graph, node.inputs[0]) ? 0 : 1;
      terms.products.emplace_back(node.inputs[column], node.inputs[1 - column]);
    } else {
      terms.bare.push_back(value);
    }
    if (terms.products.size() > count || terms.bare.size() > 1 || pending.size() > count + 1) return std::nullopt;
  }
  if (terms.bare.size() != 1 || terms.products.size() != count) return std::nullopt;
  return terms;
}

// concatenate of x_j + sum_i c_ji x_i, one part a plane.
Attempt match_split(const Graph& graph, const UseCounts& uses, std::int32_t root) {
  const GraphNode& stack = graph.nodes[static_cast<std::size_t>(root)];
  const std::size_t count = stack.inputs.size();
  if (stack.as<AxisAttrs>().axis != 0 || count < 2) return {};
  Coverage coverage;
  coverage.covers = {root};
  std::vector<Terms> parts;
  for (ValueId part : stack.inputs) {
    for (; graph.node(part).op == Op::reshape; part = graph.node(part).inputs[0]) coverage.cover(part);
    const auto terms = collect_terms(graph, uses, part, count, coverage);
    if (!terms) return {};
    parts.push_back(*terms);
  }
  std::vector<StridedView> planes;
  for (const Terms& terms : parts) planes.push_back(strided_view(graph, terms.bare[0]));
  for (const Terms& terms : parts)
    for (std::size_t i = 0; i < count; ++i) {
      const auto mixes = [&](const auto& product) { return strided_view(graph, product.second) == planes[i]; };
      if (std::count_if(terms.products.begin(), terms.products.end(), mixes) != 1)
        return {std::nullopt, fmt::format("not every sum has one term of plane {}", i)};
    }
  for (const Terms& terms : parts) coverage.copy_views(graph, terms.bare[0]);
  for (const Terms& terms : parts)
    for (const auto& [coefficient, plane] : terms.products) {
      coverage.copy_views(graph, plane);
      coverage.copy_views(graph, coefficient);
    }
  return replace(graph, uses, root, std::move(coverage));
}

}  // namespace

Rule altup_predict_rule() {
  return {"altup_predict",
          {Op::altup_predict, Op::add, Op::cast, Op::concatenate},
          [](const Graph& graph, const UseCounts& uses, std::int32_t root, NumberGuards&) {
            switch (graph.nodes[static_cast<std::size_t>(root)].op) {
              case Op::altup_predict:
                return match_composite(graph, uses, root);
              case Op::concatenate:
                return match_split(graph, uses, root);
              default:
                return match_stacked(graph, uses, root);
            }
          }};
}

}  // namespace lazuli
