// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/number_guards.h>
#include <lazuli/tests/fuzz/graphs/builder.h>

#include <algorithm>

namespace lazuli::fuzz {

bool is_plain(DType dtype) { return !is_quantised(dtype); }
bool is_number(DType dtype) { return is_real(dtype) || is_integer(dtype); }
bool is_real_32(DType dtype) { return is_real(dtype) && dtype != DType::f64; }

RandomGraph compacted(const RandomGraph& from) {
  const Graph& graph = from.graph;
  std::vector<bool> read(graph.nodes.size());
  for (const ValueId output : graph.outputs) read[static_cast<std::size_t>(output.node)] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;)
    if (read[i])
      for (const ValueId input : graph.nodes[i].inputs) read[static_cast<std::size_t>(input.node)] = true;
  RandomGraph result;
  result.graph.phase = graph.phase;
  std::vector<std::int32_t> moved(graph.nodes.size(), -1);
  const auto mapped = [&](ValueId value) { return ValueId{moved[static_cast<std::size_t>(value.node)], value.output}; };
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!read[i]) continue;
    GraphNode node = graph.nodes[i];
    for (ValueId& input : node.inputs) input = mapped(input);
    if (node.op == Op::input) {
      result.inputs.push_back(from.inputs[static_cast<std::size_t>(node.as<InputAttrs>().index)]);
      node.attrs = InputAttrs{static_cast<std::int64_t>(result.inputs.size()) - 1};
    }
    moved[i] = result.graph.add(std::move(node)).node;
  }
  for (const ValueId output : graph.outputs) result.graph.outputs.push_back(mapped(output));
  return result;
}

namespace {

// Sizes have their kind from the structure: an axis of one element or none is another kernel.
std::int64_t draw_size(Random& choice, Random& sizes) {
  constexpr std::int64_t odd[] = {3, 5, 7, 9, 13, 15, 17, 19, 31, 33}, even[] = {2, 4, 8, 16, 32};
  const int kind = choice.below(100);
  const std::int64_t from_odd = sizes.of(odd), from_even = sizes.of(even);
  if (kind < 3) return 0;
  if (kind < 15) return 1;
  if (kind < 22) return 64;
  return kind < 70 ? from_odd : from_even;
}

}  // namespace

Builder::Builder(Streams streams, std::int64_t most_elements)
    : choice(streams.choice), sizes(streams.sizes), values(streams.values), most_elements_(most_elements) {
  for (int i = 0; i < 4; ++i) palette_.push_back(draw_size(choice, sizes));
  if (most_elements > 1 << 15) palette_[0] = sizes.between(150, 700);
}

Builder::Builder(Builder& around, const std::vector<Type>& parameters)
    : choice(around.choice.next()),
      sizes(around.sizes.next()),
      values(around.values.next()),
      palette_(around.palette_),
      most_elements_(around.most_elements_),
      depth_(around.depth_ + 1) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    GraphNode node;
    node.op = Op::input;
    node.attrs = InputAttrs{static_cast<std::int64_t>(i)};
    node.types = {parameters[i]};
    operands_.push_back(append(std::move(node)));
  }
}

ValueId Builder::append(GraphNode node) {
  node.scope = scope_;
  return graph_.add(std::move(node));
}

ValueId Builder::number(double value, DType dtype) {
  GraphNode node;
  node.op = Op::scalar;
  node.attrs = ScalarAttrs{value, dtype};
  node.types = {{dtype, {}}};
  return append(std::move(node));
}

double Builder::some_number(DType dtype) {
  constexpr double reals[] = {0, 1, -1, 2, 0.5, 3, -0.25, 30, 0.044715, 1e-6, -0.0, 100}, whole[] = {0, 1, 2, 3, 5, 7};
  if (is_real(dtype)) return rounded(values.of(reals), dtype);
  return dtype == DType::bool_ ? values.below(2) : values.of(whole);
}

ValueId Builder::leaf(const Type& type, std::optional<Values> kind) {
  const bool is_constant = choice.chance(15);
  const Values held = kind ? *kind : draw_kind(choice);
  if (in_body()) {
    const ValueId value = number(is_quantised(type.dtype) ? 0 : some_number(type.dtype), type.dtype);
    if (type.shape.empty()) return value;
    return add_node(graph_, Op::broadcast_to, ReshapeAttrs{type.shape}, {value}, scope_);
  }
  if (is_constant) return constant(type, held);
  GraphNode node;
  node.op = Op::input;
  node.attrs = InputAttrs{static_cast<std::int64_t>(inputs_.size())};
  node.types = {type};
  inputs_.push_back(draw(type, held, values));
  const ValueId value = append(std::move(node));
  if (!is_quantised(type.dtype)) offer(value);
  return value;
}

ValueId Builder::constant(const Type& type, Values kind) {
  if (in_body()) return leaf(type, kind);
  GraphNode node;
  node.op = Op::constant;
  node.constant = draw(type, kind, values);
  node.types = {type};
  return append(std::move(node));
}

ValueId Builder::indices(Shape shape, std::int64_t low, std::int64_t high) {
  const Type type{DType::i32, std::move(shape)};
  const bool is_constant = choice.chance(20);
  if (in_body()) {
    const ValueId value = number(static_cast<double>(values.between(low, high)), DType::i32);
    return type.shape.empty() ? value : add_node(graph_, Op::broadcast_to, ReshapeAttrs{type.shape}, {value}, scope_);
  }
  GraphNode node;
  node.types = {type};
  if (is_constant) {
    node.op = Op::constant;
    node.constant = draw_integers(type, low, high, values);
  } else {
    node.op = Op::input;
    node.attrs = InputAttrs{static_cast<std::int64_t>(inputs_.size())};
    inputs_.push_back(draw_integers(type, low, high, values));
  }
  return append(std::move(node));  // no operand of others: their results would be no indices
}

DType Builder::dtype(const DTypes& allowed) {
  const bool common = choice.chance(60);
  const int at = choice.below(1 << 16);
  if (common && allowed(DType::f32)) return DType::f32;
  std::vector<DType> list;
  for (const DTypeInfo& each : all_dtypes())
    if (!is_quantised(each.dtype) && allowed(each.dtype)) list.push_back(each.dtype);
  return list[static_cast<std::size_t>(at) % list.size()];
}

std::int64_t Builder::size() { return choice.of(palette_); }
std::int64_t Builder::a_few() { return choice.between(1, 4); }

Shape Builder::shape(std::size_t least_rank, std::size_t most_rank) {
  constexpr int ranks[] = {0, 1, 1, 2, 2, 2, 2, 3, 3, 4};
  const auto rank = std::clamp(static_cast<std::size_t>(choice.of(ranks)), least_rank, most_rank);
  const bool equal = choice.chance(20);  // a wrong axis has a right type there
  Shape shape;
  for (std::size_t axis = 0; axis < rank; ++axis) shape.push_back(equal && axis > 0 ? shape[0] : size());
  for (std::size_t axis = 0; axis < rank && element_count(shape) > most_elements_; ++axis)
    shape[axis] = std::min<std::int64_t>(shape[axis], 5);
  return shape;
}

ValueId Builder::any(const DTypes& dtypes, std::size_t least_rank) {
  std::vector<ValueId> fitting;
  for (const ValueId value : operands_)
    if (dtypes(type(value).dtype) && shape_of(value).size() >= least_rank) fitting.push_back(value);
  const bool anew = choice.chance(12), recent = choice.chance(65);
  const int at = choice.below(1 << 16);
  if (fitting.empty() || (anew && !in_body())) {
    const DType drawn = dtype(dtypes);
    return viewed_leaf({drawn, shape(least_rank)});
  }
  const std::size_t count = fitting.size(), window = recent ? std::min<std::size_t>(count, 3) : count;
  return fitting[count - 1 - static_cast<std::size_t>(at) % window];
}

ValueId Builder::of(DType dtype, std::size_t least_rank) {
  return any([=](DType other) { return other == dtype; }, least_rank);
}

ValueId Builder::partner(ValueId x, DType dtype) {
  const Shape x_shape = shape_of(x);
  std::vector<ValueId> fitting;
  for (const ValueId value : operands_) {
    if (type(value).dtype != dtype) continue;
    try {
      if (element_count(broadcast_shapes(x_shape, shape_of(value), "")) <= most_elements_) fitting.push_back(value);
    } catch (const Error&) {
    }
  }
  const int kind = choice.below(10), at = choice.below(1 << 16);
  if (!fitting.empty() && kind < 6) return fitting[fitting.size() - 1 - static_cast<std::size_t>(at) % fitting.size()];
  if (kind == 6) return number(some_number(dtype), dtype);
  Shape other = x_shape;
  if (!other.empty()) {
    if (kind == 7) other = {other.back()};
    if (kind == 8) other.back() = 1;
    if (kind == 9) other[static_cast<std::size_t>(at) % other.size()] = 1;
    for (std::size_t axis = 0; axis < other.size(); ++axis)  // and the other way round
      if (kind == 9 && x_shape[axis] == 1) other[axis] = size();
  }
  return viewed_leaf({dtype, other});
}

ValueId Builder::viewed_leaf(const Type& type) {
  const std::size_t rank = type.shape.size();
  const int kind = choice.below(12), at = choice.below(1 << 16);
  if (rank == 0 || kind > 3) return leaf(type);
  const std::size_t axis = static_cast<std::size_t>(at) % rank;
  Shape held = type.shape;
  if (kind == 0) {  // transposed
    Dims permutation;
    for (std::size_t i = rank; i-- > 0;) permutation.push_back(static_cast<std::int64_t>(i));
    std::reverse(held.begin(), held.end());
    return add_node(graph_, Op::transpose, TransposeAttrs{permutation}, {leaf({type.dtype, held})}, scope_);
  }
  if (kind == 1) {  // spread
    held[axis] = 1;
    return add_node(graph_, Op::broadcast_to, ReshapeAttrs{type.shape}, {leaf({type.dtype, held})}, scope_);
  }
  held[axis] = 2 * held[axis] + 1;
  SliceAttrs slice{Dims(rank, 0), held, Dims(rank, 1)};
  slice.begin[axis] = 1;
  slice.step[axis] = 2;
  if (kind == 3 && type.shape[axis] > 0) {  // from its end
    held[axis] = type.shape[axis];
    slice.begin[axis] = held[axis] - 1;
    slice.end[axis] = -1;
    slice.step[axis] = -1;
  }
  return add_node(graph_, Op::slice, slice, {leaf({type.dtype, held})}, scope_);
}

bool Builder::add(Op op, Attrs attrs, std::vector<ValueId> inputs) {
  std::vector<Type> operands, types;
  for (const ValueId input : inputs) operands.push_back(type(input));
  try {
    types = infer_types(op, attrs, operands);
  } catch (const InternalError&) {
    throw;
  } catch (const Error&) {
    return false;
  }
  if (std::any_of(types.begin(), types.end(), [&](const Type& each) { return each.elements() > most_elements_; }))
    return false;
  GraphNode node;
  node.op = op;
  node.attrs = std::move(attrs);
  node.inputs = std::move(inputs);
  node.types = std::move(types);
  ValueId value = append(std::move(node));
  for (const std::size_t count = graph_.nodes.back().types.size(); static_cast<std::size_t>(value.output) < count;
       ++value.output)
    offer(value);
  return true;
}

bool Builder::add_fused(std::vector<ValueId> inputs, Graph body) {
  GraphNode node = make_fused("loop", std::move(inputs), std::make_shared<const Graph>(std::move(body)));
  ValueId value = append(std::move(node));
  for (const std::size_t count = graph_.nodes.back().types.size(); static_cast<std::size_t>(value.output) < count;
       ++value.output)
    offer(value);
  return true;
}

std::optional<ValueId> Builder::latest_of(const Type& wanted, std::size_t least) const {
  for (std::size_t i = operands_.size(); i-- > least;)
    if (type(operands_[i]) == wanted) return operands_[i];
  return std::nullopt;
}

RandomGraph Builder::finish(int most_outputs) {
  std::vector<bool> read(graph_.nodes.size());
  for (const GraphNode& node : graph_.nodes)
    for (const ValueId input : node.inputs) read[static_cast<std::size_t>(input.node)] = true;
  std::vector<ValueId> unread;
  for (const ValueId value : operands_)
    if (!read[static_cast<std::size_t>(value.node)] && !is_leaf(graph_.node(value).op)) unread.push_back(value);
  if (unread.empty()) unread.push_back(last());
  const bool another = choice.chance(15);  // a leaf, one that is read, or one twice
  for (int i = 0; i < most_outputs && !unread.empty(); ++i) {
    graph_.outputs.push_back(unread.back());
    unread.pop_back();
  }
  if (another) graph_.outputs.push_back(choice.of(operands_));
  return compacted({std::move(graph_), std::move(inputs_)});
}

}  // namespace lazuli::fuzz
