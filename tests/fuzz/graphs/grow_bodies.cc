// SPDX-License-Identifier: MIT
// Ops with bodies, and ops of the caller's own.
#include <lazuli/graph/base/error.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/tests/fuzz/graphs/grow.h>
#include <lazuli/tests/support/custom_ops.h>

#include <algorithm>

namespace lazuli::fuzz {
namespace {

constexpr Op in_bodies[] = {Op::add,    Op::sub,  Op::mul,         Op::maximum,      Op::tanh,   Op::abs,
                            Op::exp,    Op::sum,  Op::sigmoid,     Op::max,          Op::select, Op::less,
                            Op::cast,   Op::neg,  Op::slice,       Op::slice_update, Op::linear, Op::matmul,
                            Op::square, Op::take, Op::reshape,     Op::transpose,    Op::argmax, Op::gelu_tanh,
                            Op::sort,   Op::div,  Op::concatenate, Op::rms_norm,     Op::cumsum, Op::softmax};
constexpr int deepest_body = 2;

void grow_body(Builder& b, int nodes) {
  for (int i = 0; i < nodes; ++i) {
    const bool nested = b.depth() < deepest_body && b.choice.chance(6);
    const Op op = nested ? Op::cond : b.choice.of(in_bodies);
    growers()[static_cast<std::size_t>(op)].grow(b, op);
  }
}

// What a parameter has part in, so that the order of iterations counts.
ValueId mixed_value(Builder& b, ValueId value, std::size_t parameters) {
  const Type type = b.type(value);
  const bool changed = b.choice.chance(75);
  const int at = b.choice.below(1 << 16);
  if (!changed || !is_number(type.dtype)) return value;
  std::vector<ValueId> fitting;
  for (std::size_t i = 0; i < parameters; ++i)
    if (b.type(b.operands()[i]) == type) fitting.push_back(b.operands()[i]);
  const ValueId other =
      fitting.empty() ? b.partner(value, type.dtype) : fitting[static_cast<std::size_t>(at) % fitting.size()];
  return b.add(Op::sub, NoAttrs{}, {value, other}) && b.type(b.last()) == type ? b.last() : value;
}

}  // namespace

Graph random_body(Builder& around, const std::vector<Type>& parameters, const std::vector<Type>& results, int nodes) {
  Builder b(around, parameters);
  grow_body(b, nodes);
  std::vector<ValueId> outputs;
  for (const Type& type : results) {
    std::optional<ValueId> value = b.latest_of(type, parameters.size());
    if (!value) value = b.latest_of(type);
    if (!value) value = b.leaf(type);
    value = mixed_value(b, *value, parameters.size());
    outputs.push_back(*value);
  }
  Graph body = std::move(b.graph());
  body.outputs = std::move(outputs);
  return remove_dead(std::move(body));
}

namespace grow {
namespace {

std::vector<ValueId> some_operands(Builder& b, std::int64_t count, std::size_t least_rank) {
  std::vector<ValueId> list;
  for (std::int64_t i = 0; i < count; ++i) list.push_back(b.any(is_plain, least_rank));
  return list;
}

std::vector<Type> types_of(Builder& b, const std::vector<ValueId>& values) {
  std::vector<Type> types;
  for (const ValueId value : values) types.push_back(b.type(value));
  return types;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

bool scan(Builder& b, Op op) {
  constexpr std::int64_t lengths[] = {0, 1, 2, 3, 5};
  const std::int64_t length = b.choice.of(lengths);
  const std::vector<ValueId> carries = some_operands(b, b.choice.between(0, 2), 0);
  const std::vector<Type> carried = types_of(b, carries);
  std::vector<ValueId> operands = carries;
  std::vector<Type> parameters = carried, results = carried;
  const std::int64_t sequences = b.choice.between(carries.empty() ? 1 : 0, 2);
  for (std::int64_t i = 0; i < sequences; ++i) {
    Type element{b.dtype(is_plain), b.shape(0, 2)};
    if (!carried.empty() && carried[0].shape.size() < 3 && b.choice.chance(60)) element = carried[0];
    Type whole = element;
    whole.shape.insert(whole.shape.begin(), length);
    operands.push_back(b.viewed_leaf(whole));
    parameters.push_back(element);
    results.push_back(element);
  }
  const std::vector<ValueId> captured = some_operands(b, b.choice.between(0, 2), 0);
  append(operands, captured);
  append(parameters, types_of(b, captured));
  const int nodes = 2 + b.choice.below(5);
  const bool reverse = b.choice.chance(35);
  ScanAttrs attrs{length, static_cast<std::int64_t>(carries.size()), sequences, reverse,
                  BodyRef(random_body(b, parameters, results, nodes))};
  return b.add(op, std::move(attrs), operands);
}

namespace {

// The last carry counts the iterations, and is compared with a number.
Graph counting(Graph body, std::size_t counter, bool condition, std::int64_t most) {
  const ValueId count = body.inputs()[counter];
  const ValueId number =
      add_node(body, Op::scalar, ScalarAttrs{static_cast<double>(condition ? most : 1), DType::i32}, {});
  const ValueId result = add_node(body, condition ? Op::less : Op::add, NoAttrs{}, {count, number});
  if (condition)
    body.outputs = {result};
  else
    body.outputs.back() = result;
  return condition ? remove_dead(std::move(body)) : body;
}

}  // namespace

bool while_loop(Builder& b, Op op) {
  std::vector<ValueId> operands = some_operands(b, b.choice.between(1, 2), 0);
  operands.push_back(b.indices({}, 0, 1));
  const std::vector<Type> carried = types_of(b, operands);
  const std::vector<ValueId> captured = some_operands(b, b.choice.between(0, 2), 0);
  append(operands, captured);
  const std::vector<Type> parameters = types_of(b, operands);
  const int nodes = 2 + b.choice.below(5);
  const std::int64_t most = b.values.between(0, 4);
  const std::size_t counter = carried.size() - 1;
  const Graph body = random_body(b, parameters, carried, nodes);
  Graph condition = random_body(b, parameters, {}, 0);
  WhileAttrs attrs{static_cast<std::int64_t>(carried.size()),
                   BodyRef(counting(std::move(condition), counter, true, most)),
                   BodyRef(counting(body, counter, false, most))};
  return b.add(op, std::move(attrs), operands);
}

bool cond(Builder& b, Op op) {
  std::vector<ValueId> operands = some_operands(b, b.choice.between(1, 3), 0);
  const std::vector<Type> parameters = types_of(b, operands);
  std::vector<Type> results = parameters;
  const std::int64_t kept = b.choice.between(1, 2);
  results.resize(std::min(results.size(), static_cast<std::size_t>(kept)));
  const int nodes = 1 + b.choice.below(4);
  CondAttrs attrs{BodyRef(random_body(b, parameters, results, nodes)),
                  BodyRef(random_body(b, parameters, results, nodes))};
  std::optional<ValueId> predicate;
  for (const ValueId value : b.operands())
    if (b.type(value) == Type{DType::bool_, {}}) predicate = value;
  operands.insert(operands.begin(), predicate ? *predicate : b.leaf({DType::bool_, {}}));
  return b.add(op, std::move(attrs), operands);
}

// As the passes make them: a body of elementwise ops and reductions of the last axis.
bool fused(Builder& b, Op) {
  constexpr Op ops[] = {Op::add, Op::mul, Op::sub, Op::tanh, Op::abs, Op::maximum, Op::exp, Op::gelu, Op::select};
  const Type type{b.dtype(is_real), b.shape(1)};
  if (b.in_body()) return false;
  const std::vector<Type> parameters{type, type};
  Builder inside(b, parameters);
  const int nodes = 2 + b.choice.below(4);
  for (int i = 0; i < nodes; ++i) {
    const Op op = b.choice.of(ops);
    const ValueId x = inside.of(type.dtype);
    if (op == Op::select)
      inside.add(Op::sum, ReduceAttrs{{static_cast<std::int64_t>(type.shape.size()) - 1}, true}, {x});
    else if (info(op).min_operands == 1)
      inside.add(op, NoAttrs{}, {x});
    else
      inside.add(op, NoAttrs{}, {x, inside.of(type.dtype)});
  }
  Graph body = std::move(inside.graph());
  const ValueId result = inside.last();
  body.outputs = {result};
  body = remove_dead(std::move(body));
  return b.add_fused({b.viewed_leaf(type), b.viewed_leaf(type)}, std::move(body));
}

bool custom(Builder& b, Op op) {
  if (b.choice.chance(60)) {
    const double frequency = b.choice.chance(50) ? 1 : 2;
    return b.add(op, CustomAttrs{std::make_shared<test::Snake>(frequency)}, {b.any(is_real, 1)});
  }
  const Shape shape = b.shape(2);
  if (shape.back() == 0) return false;
  const ValueId x = b.viewed_leaf({DType::f32, shape}), weight = b.leaf({DType::f32, {shape.back()}});
  return b.add(op, CustomAttrs{std::make_shared<test::Centre>()}, {x, weight});
}

}  // namespace grow
}  // namespace lazuli::fuzz
