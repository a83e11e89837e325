// SPDX-License-Identifier: MIT
// Shape rules: one function per rule named in ops.def. Dtypes are checked, and given, by dtype_rules.def.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/graph/shape_rules/dtype_rules.h>
#include <lazuli/graph/shape_rules/infer_call.h>
#include <lazuli/graph/shape_rules/named_axes.h>
#include <lazuli/graph/types/countable.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>

namespace lazuli {
namespace infer {

Types unary(const Call& call) { return {call.operand(0)}; }
Types unary_real(const Call& call) { return unary(call); }
Types logical(const Call& call) {
  Shape shape = call.operand(0).shape;
  for (const Type& operand : call.operands) shape = broadcast_shapes(shape, operand.shape, to_string(call.op));
  return {{DType::bool_, shape}};
}
Types cast(const Call& call) {
  const DType to = call.as<CastAttrs>().dtype;
  if (is_quantised(to))
    call.reject_dtype("a plain dtype", std::string(to_string(to)), "cannot cast to {}; quantise encodes blocks",
                      to_string(to));
  return {{to, call.operand(0).shape}};
}
Shape broadcast_operands(const Call& call, std::size_t a, std::size_t b) {
  return broadcast_shapes(call.operand(a).shape, call.operand(b).shape, to_string(call.op));
}
Types binary(const Call& call) { return {{call.operand(0).dtype, broadcast_operands(call, 0, 1)}}; }
Types binary_real(const Call& call) { return binary(call); }
Types integers(const Call& call) { return call.operands.size() == 1 ? Types{call.operand(0)} : binary(call); }
Types compare(const Call& call) { return {{DType::bool_, broadcast_operands(call, 0, 1)}}; }
Types select(const Call& call) {
  const Shape values = broadcast_operands(call, 1, 2);
  return {{call.operand(1).dtype, broadcast_shapes(call.operand(0).shape, values, "select")}};
}

Shape reduced_shape(const Call& call) {
  const auto& [axes, keep_dims] = call.as<ReduceAttrs>();
  const Type& x = call.operand(0);
  if (axes.empty()) call.reject("no axes given");
  if (!std::is_sorted(axes.begin(), axes.end()) || std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    call.reject("axes {} are not ascending and distinct", to_string(axes));
  Shape shape;
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(axis));
    if (reduced && x.shape[axis] == 0)
      call.reject_shape("at least one element along the axis", to_string(x), "axis {} of {} is empty", axis,
                        to_string(x));
    if (!reduced)
      shape.push_back(x.shape[axis]);
    else if (keep_dims)
      shape.push_back(1);
  }
  for (std::int64_t axis : axes) call.require_axis(axis, x.shape.size());
  return shape;
}
Types reduce(const Call& call) {
  const Types numbers = unary(call);
  return {{numbers[0].dtype, reduced_shape(call)}};
}
Types reduce_real(const Call& call) { return reduce(call); }
Types reduce_bool(const Call& call) { return reduce(call); }
Types argmax(const Call& call) {
  const std::int64_t axis = call.as<AxisAttrs>().axis;
  Shape shape = call.operand(0).shape;
  call.require_axis(axis, shape.size());
  if (shape[static_cast<std::size_t>(axis)] == 0)
    call.reject_shape("at least one element along the axis", call.found(0), "axis {} of {} is empty", axis,
                      call.found(0));
  shape.erase(shape.begin() + axis);
  return {{DType::i32, shape}};
}
Types top_k(const Call& call) {
  Shape shape = call.operand(0).shape;
  const std::int64_t k = call.as<TopKAttrs>().k;
  if (shape.empty() || k < 1 || k > shape.back())
    call.reject_shape("1 <= k <= size of the last axis", fmt::format("k = {}, {}", k, call.found(0)),
                      "k = {} does not fit {}; expected 1 <= k <= size of the last axis", k, call.found(0));
  shape.back() = k;
  return {{call.operand(0).dtype, shape}, {DType::i32, shape}};
}
Types cumulative(const Call& call) {
  call.require_axis(call.as<CumulativeAttrs>().axis, call.operand(0).shape.size());
  return unary(call);
}
Types sort(const Call& call) {
  call.require_axis(call.as<AxisAttrs>().axis, call.operand(0).shape.size());
  return {call.operand(0)};
}
Types argsort(const Call& call) { return {{DType::i32, sort(call)[0].shape}}; }
Types softmax(const Call& call) {
  call.require_axis(call.as<AxisAttrs>().axis, call.operand(0).shape.size());
  return {call.operand(0)};
}

Types reshape(const Call& call) {
  const Shape& shape = call.as<ReshapeAttrs>().shape;
  const bool negative = std::any_of(shape.begin(), shape.end(), [](std::int64_t size) { return size < 0; });
  if (negative || element_count(shape) != call.operand(0).elements())
    call.reject_shape(fmt::format("a shape of {} elements", call.operand(0).elements()), to_string(shape),
                      "{} has {} elements, which do not fill {}", call.found(0), call.operand(0).elements(),
                      to_string(shape));
  return {{call.operand(0).dtype, shape}};
}
Types transpose(const Call& call) {
  const Type& x = call.operand(0);
  const Dims& permutation = call.as<TransposeAttrs>().permutation;
  Dims sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  bool valid = permutation.size() == x.shape.size();
  for (std::size_t axis = 0; valid && axis < sorted.size(); ++axis)
    valid = sorted[axis] == static_cast<std::int64_t>(axis);
  if (!valid)
    call.reject_shape(fmt::format("a permutation of {} axes", x.shape.size()), to_string(permutation),
                      "{} is not a permutation of the axes of {}", to_string(permutation), to_string(x));
  Shape shape;
  for (std::int64_t axis : permutation) shape.push_back(x.shape[static_cast<std::size_t>(axis)]);
  return {{x.dtype, shape}};
}
Types slice(const Call& call) {
  const Type& x = call.operand(0);
  const auto& [begin, end, step] = call.as<SliceAttrs>();
  const std::size_t rank = x.shape.size();
  if (begin.size() != rank || end.size() != rank || step.size() != rank)
    call.reject_shape(fmt::format("{} numbers each", rank),
                      fmt::format("begin {}, end {}, step {}", to_string(begin), to_string(end), to_string(step)),
                      "begin {}, end {}, step {} do not match the rank of {}", to_string(begin), to_string(end),
                      to_string(step), to_string(x));
  Shape shape;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t first = begin[axis], last = end[axis], size = x.shape[axis];
    const bool valid = step[axis] > 0 ? 0 <= first && first <= last && last <= size
                                      : step[axis] < 0 && -1 <= last && last <= first && first < size;
    if (!valid)
      call.reject_shape(step[axis] < 0 ? fmt::format("-1 <= end <= begin < {} for a step below 0", size)
                                       : fmt::format("0 <= begin <= end <= {}, step >= 1", size),
                        fmt::format("[{}:{}:{}]", first, last, step[axis]),
                        "[{}:{}:{}] is out of range for axis {} of {}", first, last, step[axis], axis, to_string(x));
    shape.push_back(sliced_size(first, last, step[axis]));
  }
  return {{x.dtype, shape}};
}
Types broadcast_to(const Call& call) {
  const Shape& shape = call.as<ReshapeAttrs>().shape;
  if (!broadcastable_to(call.operand(0).shape, shape))
    call.reject_shape(fmt::format("a shape that broadcasts to {}", to_string(shape)), call.found(0),
                      "{} does not broadcast to {}", call.found(0), to_string(shape));
  return {{call.operand(0).dtype, shape}};
}

Types concatenate(const Call& call) {
  const auto axis = static_cast<std::size_t>(call.as<AxisAttrs>().axis);
  Type result = call.operand(0);
  call.require_axis(call.as<AxisAttrs>().axis, result.shape.size());
  for (std::size_t i = 1; i < call.operands.size(); ++i) {
    Shape expected = call.operand(i).shape;
    if (expected.size() == result.shape.size()) expected[axis] = result.shape[axis];
    if (expected != result.shape)
      call.reject_shape(fmt::format("{}, but for axis {}", call.found(0), axis), call.found(i),
                        "operand {} is {}, operand 0 is {}; they may differ along axis {} only", i, call.found(i),
                        call.found(0), axis);
    result.shape[axis] += call.operand(i).shape[axis];
  }
  return {result};
}
// A quantised base takes rows of f32, which are encoded as they are written; they are whole blocks.
void require_encodable(const Call& call, std::int64_t axis) {
  const Type& base = call.operand(0);
  const int block = info(base.dtype).block_elements;
  if (!has_quantiser(base.dtype))
    call.reject_dtype("a type with a quantiser", to_string(base), "base is {}, to which nothing can be encoded",
                      to_string(base));
  if (axis + 1 == static_cast<std::int64_t>(base.shape.size()) || base.shape.back() % block != 0)
    call.reject_shape(fmt::format("rows of whole blocks of {}", block),
                      fmt::format("{}, axis {}", to_string(base), axis),
                      "base is {}, axis {}; expected rows of whole blocks of {}", to_string(base), axis, block);
}
Types slice_update(const Call& call) {
  const std::int64_t axis = call.as<SliceUpdateAttrs>().axis;
  const Type& base = call.operand(0);
  call.require_axis(axis, base.shape.size());
  if (is_quantised(base.dtype)) require_encodable(call, axis);
  Shape expected = call.operand(1).shape;
  if (expected.size() == base.shape.size())
    expected[static_cast<std::size_t>(axis)] = base.shape[static_cast<std::size_t>(axis)];
  if (expected != base.shape)
    call.reject_shape(fmt::format("{}, but for axis {}", to_string(base), axis), call.found(1),
                      "update is {}, base is {}; they may differ along axis {} only", call.found(1), to_string(base),
                      axis);
  if (call.operand(1).shape[static_cast<std::size_t>(axis)] > base.shape[static_cast<std::size_t>(axis)])
    call.reject_shape(fmt::format("at most {} along axis {}", to_string(base), axis), call.found(1),
                      "update {} is longer than base {} along axis {}", call.found(1), to_string(base), axis);
  call.require_rank(2, 0, "a scalar start");
  return {base};
}
Types take(const Call& call) {
  const Type& x = call.operand(0);
  const std::int64_t axis = call.as<AxisAttrs>().axis;
  call.require_axis(axis, x.shape.size());
  const Shape& indices = call.operand(1).shape;
  Shape shape = x.shape;
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin() + axis, indices.begin(), indices.end());
  if (!is_quantised(x.dtype)) return {{x.dtype, shape}};
  if (axis != 0 || x.shape.size() < 2)
    call.reject_dtype("a plain dtype, or rows", to_string(x), "{} is quantised: only whole rows can be taken",
                      to_string(x));
  return {{DType::f32, shape}};
}
Types gather(const Call& call) {
  const Type& x = call.operand(0);
  const std::int64_t axis = call.as<AxisAttrs>().axis;
  call.require_axis(axis, x.shape.size());
  Shape expected = call.operand(1).shape;
  if (expected.size() == x.shape.size())
    expected[static_cast<std::size_t>(axis)] = x.shape[static_cast<std::size_t>(axis)];
  if (expected != x.shape)
    call.reject_shape(fmt::format("i32{}, but for axis {}", to_string(x.shape), axis), call.found(1),
                      "indices are {}, x is {}; they may differ along axis {} only", call.found(1), to_string(x), axis);
  return {{x.dtype, call.operand(1).shape}};
}

Types matmul(const Call& call) {
  const Shape &a = call.operand(0).shape, &b = call.operand(1).shape;
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2])
    call.reject_shape("[..., M, K] and [..., K, N]", fmt::format("{} and {}", call.found(0), call.found(1)),
                      "inner sizes differ: {} and {}; expected [..., M, K] and [..., K, N]", call.found(0),
                      call.found(1));
  Shape shape = broadcast_shapes({a.begin(), a.end() - 2}, {b.begin(), b.end() - 2}, "matmul");
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b.back());
  return {{call.operand(0).dtype, shape}};
}
Types linear(const Call& call) {
  const Type &x = call.operand(0), &weight = call.operand(1);
  call.require_rank(1, 2, "a weight [N, K]");
  if (x.shape.empty() || x.shape.back() != weight.shape[1])
    call.reject_shape(fmt::format("weight [*, {}]", x.shape.empty() ? 0 : x.shape.back()), to_string(weight),
                      "inner sizes differ: x is {}, weight is {}; expected weight [*, {}]", to_string(x),
                      to_string(weight), x.shape.empty() ? 0 : x.shape.back());
  Shape shape = x.shape;
  shape.back() = weight.shape[0];
  return {{x.dtype, shape}};
}
Types expert_linear(const Call& call) {
  call.require_rank(0, 3, "x [T, S, K]");
  call.require_rank(2, 2, "experts [T, k]");
  const Type &x = call.operand(0), &weight = call.operand(1), &experts = call.operand(2);
  call.require_rank(1, 3, "a stack of weights [E, N, K]");
  if (x.shape[2] != weight.shape[2])
    call.reject_shape(fmt::format("weight [*, *, {}]", x.shape[2]), to_string(weight),
                      "inner sizes differ: x is {}, weight is {}; expected weight [*, *, {}]", to_string(x),
                      to_string(weight), x.shape[2]);
  if (x.shape[0] != experts.shape[0] || (x.shape[1] != 1 && x.shape[1] != experts.shape[1]))
    call.reject_shape(fmt::format("x [{}, 1 or {}, {}]", experts.shape[0], experts.shape[1], x.shape[2]), to_string(x),
                      "x is {}, experts are {}; expected x [{}, 1 or {}, {}]", to_string(x), to_string(experts),
                      experts.shape[0], experts.shape[1], x.shape[2]);
  return {{x.dtype, {experts.shape[0], experts.shape[1], weight.shape[1]}}};
}

Types rms_norm(const Call& call) {
  const Type& x = call.operand(0);
  if (x.shape.empty())
    call.reject_shape("at least one axis", to_string(x), "operand 0 is {}, expected at least one axis", to_string(x));
  if (call.operands.size() == 2) {
    if (call.operand(1).shape != Shape{x.shape.back()})
      call.reject_shape(fmt::format("weight [{}]", x.shape.back()), call.found(1),
                        "weight is {}, x is {}; expected weight [{}]", call.found(1), to_string(x), x.shape.back());
  }
  return {x};
}
Types layer_norm(const Call& call) {
  const Type& x = call.operand(0);
  if (x.shape.empty() || x.shape.back() == 0)
    call.reject("operand 0 is {}, expected a last axis of at least one element", to_string(x));
  for (std::size_t i = 1; i < call.operands.size(); ++i)
    if (call.operand(i).shape != Shape{x.shape.back()})
      call.reject("{} is {}, x is {}; expected {}", i == 1 ? "weight" : "bias", to_string(call.operand(i)),
                  to_string(x), to_string(Type{x.dtype, {x.shape.back()}}));
  return {x};
}
Types rope(const Call& call) {
  call.require_rank(0, 3, "[T, heads, d]");
  const Shape& x = call.operand(0).shape;
  if (call.operand(1).shape != Shape{x[0]})
    call.reject_shape(fmt::format("i32[{}]", x[0]), call.found(1), "positions are {}, x is {}; expected i32[{}]",
                      call.found(1), call.found(0), x[0]);
  const std::int64_t pairs = call.as<RopeAttrs>().rotated_pairs;
  if (x[2] % 2 != 0 || pairs < 0 || pairs > x[2] / 2)
    call.reject_shape("0 <= pairs <= d / 2, d even", fmt::format("{} pairs, {}", pairs, call.found(0)),
                      "cannot rotate {} pairs of {}", pairs, call.found(0));
  if (call.operands.size() == 3 && call.operand(2) != Type{DType::f32, {x[2] / 2}})
    call.reject_shape(fmt::format("f32[{}]", x[2] / 2), call.found(2), "frequency factors are {}, expected f32[{}]",
                      call.found(2), x[2] / 2);
  return {call.operand(0)};
}
Types attention(const Call& call) {
  for (std::size_t i = 0; i < 3; ++i)
    call.require_rank(i, 3, i == 0 ? "q [T, heads, d]" : "k, v [capacity, kv heads, d]");
  const Shape &q = call.operand(0).shape, &k = call.operand(1).shape;
  const Type& cache = call.operand(1);
  if (cache != call.operand(2))
    call.reject_shape(to_string(cache), call.found(2), "k is {} and v is {}; expected one type", to_string(cache),
                      call.found(2));
  if (k[2] % info(cache.dtype).block_elements != 0)
    call.reject_shape(fmt::format("heads of whole blocks of {}", info(cache.dtype).block_elements), to_string(cache),
                      "k is {}; expected heads of whole blocks of {}", to_string(cache),
                      info(cache.dtype).block_elements);
  if (q[2] != k[2] || k[1] == 0 || q[1] % k[1] != 0)
    call.reject_shape(
        "one head size and heads a multiple of kv heads", fmt::format("q {}, k {}", call.found(0), call.found(1)),
        "q is {}, k is {}; expected one head size and heads a multiple of kv heads", call.found(0), call.found(1));
  if (call.operand(3).shape != Shape{q[0]})
    call.reject_shape(fmt::format("i32[{}]", q[0]), call.found(3), "positions are {}, expected i32[{}]", call.found(3),
                      q[0]);
  call.require_rank(4, 0, "a scalar length");
  return {call.operand(0)};
}
Types altup_predict(const Call& call) {
  const Shape &planes = call.operand(0).shape, &coefficients = call.operand(1).shape;
  Shape expected(planes.begin() + (planes.empty() ? 0 : 1), planes.end());
  if (!expected.empty()) expected.back() = planes[0] * planes[0];
  if (planes.size() < 2 || coefficients != expected)
    call.reject_shape("planes [P, ..., H] and coefficients [..., P·P]",
                      fmt::format("{} and {}", call.found(0), call.found(1)),
                      "planes are {}, coefficients {}; expected planes [P, ..., H] and coefficients [..., P·P]",
                      call.found(0), call.found(1));
  return {call.operand(0)};
}
Types altup_correct(const Call& call) {
  const Shape& planes = call.operand(0).shape;
  Shape activated(planes.begin() + (planes.empty() ? 0 : 1), planes.end());
  Shape coefficients = activated;
  if (!coefficients.empty()) coefficients.back() = planes[0];
  const std::int64_t active = call.as<AltupAttrs>().active;
  if (planes.size() < 2 || call.operand(1).shape != activated || call.operand(2).shape != coefficients || active < 0 ||
      active >= planes[0])
    call.reject_shape(
        "[P, ..., H], [..., H], [..., P]",
        fmt::format("{}, {}, {}, active plane {}", call.found(0), call.found(1), call.found(2), active),
        "predicted is {}, activated {}, coefficients {}, active plane {}; expected [P, ..., H], [..., H], [..., P]",
        call.found(0), call.found(1), call.found(2), active);
  return {call.operand(0)};
}

Types scalar(const Call& call) {
  const auto& [number, dtype] = call.as<ScalarAttrs>();
  if (!is_value_of(number.value, dtype))
    call.reject_dtype(fmt::format("a value of {}", to_string(dtype)), fmt::format("{}", number.value),
                      "found the number {}, expected a value of {}", number.value, to_string(dtype));
  return {{dtype, {}}};
}
Types iota(const Call& call) {
  const auto& [size, dtype] = call.as<IotaAttrs>();
  if (size < 0 || is_quantised(dtype) || dtype == DType::bool_)
    call.reject("cannot count to {} in {}", size, to_string(dtype));
  return {{dtype, {size}}};
}
Types random(const Call& call) {
  const auto& attrs = call.as<RandomAttrs>();
  if (!is_real(attrs.dtype))
    call.reject_dtype("a real dtype", std::string(to_string(attrs.dtype)), "dtype is {}, expected a real one",
                      to_string(attrs.dtype));
  return {{attrs.dtype, attrs.shape}};
}
Types declared(const Call& call) { call.reject("has a declared type, not an inferred one"); }
Types fused(const Call& call) { call.reject("takes its types from its body"); }
Types custom(const Call& call) { return infer_custom(call.as<CustomAttrs>().op, call.operands); }

using Rule = Types (*)(const Call&);
constexpr Rule rules[] = {
#define LAZULI_OP(name, min, max, attrs, shape, ...) shape,
#include <lazuli/graph/ops.def>
};

}  // namespace infer

std::vector<Type> infer_types(Op op, const Attrs& attrs, std::span<const Type> operands) {
  const infer::Call call{op, attrs, operands};
  const OpInfo& known = info(op);
  const auto count = static_cast<int>(operands.size());
  if (count < known.min_operands || count > known.max_operands)
    call.reject_with(
        {.expected = fmt::format("{} to {} operands", known.min_operands, known.max_operands),
         .found = fmt::format("{} operands", count)},
        fmt::format("{} operands given, expected {} to {}", count, known.min_operands, known.max_operands));
  if (attrs.index() != known.attrs_index) fail_internal("{} has attributes of another op", known.name);
  const DTypeRule* dtypes = dtype_rule(op);
  if (dtypes != nullptr)
    if (const auto fault = dtype_fault(*dtypes, operands))
      call.reject_dtype(fault->expected, fault->found, "{}", fault->text);
  infer::Types types = infer::rules[static_cast<std::size_t>(op)](call);
  for (std::size_t i = 0; dtypes != nullptr && i < types.size(); ++i)
    if (dtypes->results[i] != DTypeClass::attribute) types[i].dtype = result_dtype(dtypes->results[i], operands);
  for (const Type& type : types)
    if (!is_countable(type.shape))
      call.reject_shape("at most 2^56 elements", to_string(type),
                        "the result would be {}, expected at most 2^56 elements", to_string(type));
  name_axes(op, attrs, operands, types);
  return types;
}

}  // namespace lazuli
