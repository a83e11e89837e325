// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/altup_island.h>

#include <algorithm>

namespace lazuli::altup {
namespace {

void append(Dims& dims, const Dims& more) { dims.insert(dims.end(), more.begin(), more.end()); }

std::optional<std::string> outside_reader(const Graph& graph, const UseCounts& uses, std::int32_t root,
                                          const std::vector<std::int32_t>& covers) {
  const std::vector<int> readers = inner_reads(graph, covers);
  for (std::size_t i = 0; i < covers.size(); ++i)
    if (covers[i] != root && uses[{covers[i], 0}] != readers[i])
      return fmt::format("the {} has a second reader", graph.nodes[static_cast<std::size_t>(covers[i])].name());
  return std::nullopt;
}

}  // namespace

std::optional<Planes> as_planes(const Graph& graph, ValueId value) {
  const StridedView view = strided_view(graph, value);
  const Shape& shape = graph.type(view.base).shape;
  const Shape sizes = without_ones(shape);
  if (view.offset != 0 || view.sizes != sizes || view.strides != contiguous_strides(sizes)) return std::nullopt;
  if (shape.size() < 2 || shape.front() < 2 || shape.back() < 2) return std::nullopt;
  Planes planes;
  planes.value = view.base;
  planes.count = shape.front();
  planes.width = shape.back();
  planes.rows.assign(sizes.begin() + 1, sizes.end() - 1);
  planes.plane_shape.assign(shape.begin() + 1, shape.end());
  return planes;
}

std::optional<std::int64_t> plane_index(const Graph& graph, const Planes& planes, ValueId value) {
  const StridedView view = strided_view(graph, value);
  const std::int64_t elements = element_count(planes.plane_shape);
  Shape sizes = planes.rows;
  sizes.push_back(planes.width);
  if (view.base != planes.value ||
      !is_window({view.base, view.sizes, view.strides, 0, {}}, sizes, contiguous_strides(sizes)) ||
      view.offset % elements != 0)
    return std::nullopt;
  return view.offset / elements;
}

bool is_window(const StridedView& view, const Shape& sizes, const Dims& strides) {
  return view.offset == 0 && view.sizes == sizes && view.strides == strides;
}

Dims row_strides(const Planes& planes, std::int64_t block) {
  Dims strides = contiguous_strides(planes.rows);
  for (std::int64_t& stride : strides) stride *= block;
  return strides;
}

ValueId before_cast(const Graph& graph, ValueId value) {
  return graph.node(value).op == Op::cast ? graph.node(value).inputs[0] : value;
}

IslandBuilder::IslandBuilder(std::vector<Type> operands) {
  for (Type& type : operands) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(body_.nodes.size())};
    input.types = {std::move(type)};
    body_.add(std::move(input));
  }
}

// Leaves and views are added once.
ValueId IslandBuilder::add_once(Op op, Attrs attrs, std::vector<ValueId> inputs) {
  for (std::size_t id = 0; id < body_.nodes.size(); ++id) {
    const GraphNode& node = body_.nodes[id];
    if (node.op == op && node.inputs == inputs && node.attrs == attrs) return {static_cast<std::int32_t>(id), 0};
  }
  return add_node(body_, op, std::move(attrs), std::move(inputs));
}

ValueId IslandBuilder::plane(ValueId planes, std::int64_t index) {
  const Shape shape = body_.type(planes).shape;
  SliceAttrs slice{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
  slice.begin[0] = index;
  slice.end[0] = index + 1;
  return reshaped(add_once(Op::slice, std::move(slice), {planes}), Shape(shape.begin() + 1, shape.end()));
}

ValueId IslandBuilder::column(ValueId coefficients, const Shape& plane_shape, std::int64_t index) {
  Shape shape = plane_shape;
  shape.back() = 1;
  shape.back() = body_.type(coefficients).elements() / element_count(shape);
  const ValueId rows = reshaped(coefficients, shape);
  SliceAttrs slice{Dims(shape.size(), 0), shape, Dims(shape.size(), 1)};
  slice.begin.back() = index;
  slice.end.back() = index + 1;
  return add_once(Op::slice, std::move(slice), {rows});
}

ValueId IslandBuilder::reshaped(ValueId x, const Shape& shape) {
  return body_.type(x).shape == shape ? x : add_once(Op::reshape, ReshapeAttrs{shape}, {x});
}

ValueId IslandBuilder::apply(Op op, ValueId a, ValueId b) { return add_node(body_, op, NoAttrs{}, {a, b}); }

ValueId IslandBuilder::plus_one(ValueId x) {
  return apply(Op::add, x, add_once(Op::scalar, ScalarAttrs{1, body_.type(x).dtype}, {}));
}

ValueId IslandBuilder::cast(ValueId x, DType dtype) {
  return body_.type(x).dtype == dtype ? x : add_node(body_, Op::cast, CastAttrs{dtype}, {x});
}

Graph IslandBuilder::stack(std::vector<ValueId> planes, DType dtype) {
  for (ValueId& plane : planes) {
    plane = cast(plane, dtype);
    Shape shape{1};
    append(shape, body_.type(plane).shape);
    plane = reshaped(plane, shape);
  }
  body_.outputs = {add_node(body_, Op::concatenate, AxisAttrs{0}, std::move(planes))};
  return std::move(body_);
}

void Coverage::copy_views(const Graph& graph, ValueId value) {
  while (is_view(graph.node(value).op) || graph.node(value).op == Op::cast) {
    shared.push_back(value.node);
    value = graph.node(value).inputs[0];
  }
  if (std::find(operands.begin(), operands.end(), value) == operands.end()) operands.push_back(value);
}

Attempt replace(const Graph& graph, const UseCounts& uses, std::int32_t root, Coverage coverage, Graph body) {
  sort_unique(coverage.covers);
  if (auto reason = outside_reader(graph, uses, root, coverage.covers)) return {std::nullopt, *reason};
  return {Replacement{std::move(coverage.operands), std::move(body), std::move(coverage.covers)}, {}};
}

Attempt replace(const Graph& graph, const UseCounts& uses, std::int32_t root, Coverage coverage) {
  std::vector<std::int32_t> inside = coverage.covers;
  inside.insert(inside.end(), coverage.shared.begin(), coverage.shared.end());
  sort_unique(inside);
  const ValueId result{root, 0};
  Region region = cut_region(graph, inside, {&result, 1}, coverage.operands);
  coverage.operands = std::move(region.operands);
  return replace(graph, uses, root, std::move(coverage), std::move(region.body));
}

}  // namespace lazuli::altup
