// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/ops_parts.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace lazuli {
namespace {

Dims normalise_axes(Dims axes, std::size_t rank, std::string_view where) {
  for (std::int64_t& axis : axes) axis = normalise_axis(axis, rank, where);
  std::sort(axes.begin(), axes.end());
  return axes;
}

ErrorDetails refused(std::string op, std::string expected, std::string found) {
  return built_here(
      {.kind = ErrorKind::shape, .op = std::move(op), .expected = std::move(expected), .found = std::move(found)});
}

const Node* scalar_node(const Array& x) { return x.node()->op == Op::scalar ? x.node().get() : nullptr; }
double scalar_value(const Node& scalar) { return std::get<ScalarAttrs>(scalar.attrs).value.value; }

// The bits of an i64 or u64 that detail::integer_number spelled out as (high << 32) | low.
std::optional<std::uint64_t> wide_number(const Array& x) {
  if (x.node()->op != Op::bitwise_or || fits_double(x.dtype())) return std::nullopt;
  const auto lock = lock_operands();
  const std::vector<Array>& halves = x.node()->inputs;
  if (halves.size() != 2 || halves[0].node()->op != Op::left_shift) return std::nullopt;
  const std::vector<Array>& shift = halves[0].node()->inputs;
  if (shift.size() != 2) return std::nullopt;
  const Node *high = scalar_node(shift[0]), *count = scalar_node(shift[1]), *low = scalar_node(halves[1]);
  if (!high || !count || !low || scalar_value(*count) != 32) return std::nullopt;
  const auto upper = static_cast<std::uint64_t>(static_cast<std::int64_t>(scalar_value(*high)));
  return upper << 32 | static_cast<std::uint64_t>(scalar_value(*low));
}

[[noreturn]] void fail_number(std::string_view where, const std::string& number, DType dtype) {
  const std::string expected = fmt::format("a value of {}", to_string(dtype));
  fail(built_here({.kind = ErrorKind::dtype, .op = std::string(where), .expected = expected, .found = number}),
       "{}: found the number {}, expected {}{}", where, number, expected, Scope::where(Scope::current()));
}

Array adapt_wide(std::string_view where, const Array& number, std::uint64_t bits, DType dtype) {
  const bool is_negative = number.dtype() == DType::i64 && bits >> 63 != 0;
  const std::string text = is_negative ? std::to_string(static_cast<std::int64_t>(bits)) : std::to_string(bits);
  if (is_real(dtype)) {
    const auto value = is_negative ? static_cast<double>(static_cast<std::int64_t>(bits)) : static_cast<double>(bits);
    if (!is_value_of(value, dtype)) fail_number(where, text, dtype);
    return scalar(value, dtype);
  }
  const bool fits = dtype == DType::u64 ? !is_negative : dtype == DType::i64 && (is_negative || bits >> 63 == 0);
  if (!fits) fail_number(where, text, dtype);
  return detail::integer_number(bits, dtype);
}

Array adapt(std::string_view where, const Array& number, DType dtype) {
  if (number.dtype() == dtype) return number;
  if (const auto bits = wide_number(number)) return adapt_wide(where, number, *bits, dtype);
  const auto& attrs = std::get<ScalarAttrs>(number.node()->attrs);
  if (!is_value_of(attrs.value.value, dtype)) fail_number(where, fmt::format("{}", attrs.value.value), dtype);
  return scalar(attrs.value, dtype);
}

// Two operands of one dtype, the number of them, if one is, in that of the other.
std::pair<Array, Array> adapt_pair(Op op, const Array& a, const Array& b) {
  if (is_number(a) && !is_number(b) && b.defined()) return {adapt(to_string(op), a, b.dtype()), b};
  if (is_number(b) && !is_number(a) && a.defined()) return {a, adapt(to_string(op), b, a.dtype())};
  return {a, b};
}

Array adapt_index(Op op, const Array& index) { return beside(to_string(op), index, DType::i32); }

Array binary(Op op, const Array& a, const Array& b) {
  auto [left, right] = adapt_pair(op, a, b);
  return make_array(op, NoAttrs{}, {std::move(left), std::move(right)});
}

Array unary(Op op, const Array& x) { return make_array(op, NoAttrs{}, {x}); }

// What a reduction of no elements gives; nothing for a maximum or a minimum.
std::optional<double> of_nothing(Op reduction) {
  switch (reduction) {
    case Op::sum:
    case Op::any:
      return 0;
    case Op::prod:
    case Op::all:
      return 1;
    case Op::mean:
      return std::numeric_limits<double>::quiet_NaN();
    default:
      return std::nullopt;
  }
}

Array reduce(Op op, const Array& x, Dims axes, bool keep_dims) {
  axes = normalise_axes(std::move(axes), x.shape().size(), to_string(op));
  const auto is_empty = [&](std::int64_t axis) { return x.shape()[static_cast<std::size_t>(axis)] == 0; };
  const std::optional<double> value = of_nothing(op);
  if (value && !x.type().named && std::ranges::any_of(axes, is_empty)) {
    Shape shape = x.shape();
    for (const std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
    const Array like = make_array(op, ReduceAttrs{axes, keep_dims}, {zeros(std::move(shape), x.dtype())});
    return full(like.shape(), *value, like.dtype());
  }
  return make_array(op, ReduceAttrs{std::move(axes), keep_dims}, {x});
}

}  // namespace

bool is_number(const Array& x) { return x.defined() && (scalar_node(x) || wide_number(x)); }
Array beside(std::string_view where, const Array& x, DType dtype) { return is_number(x) ? adapt(where, x, dtype) : x; }
double largest_finite(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 65504;
    case DType::bf16:
      return 0x1.fep127;
    case DType::f64:
      return std::numeric_limits<double>::max();
    default:
      return std::numeric_limits<float>::max();
  }
}

Array scalar(Number value, DType dtype) { return make_array(Op::scalar, ScalarAttrs{value, dtype}, {}); }
Array full(Shape shape, double value, DType dtype) { return broadcast_to(scalar(value, dtype), std::move(shape)); }
Array zeros(Shape shape, DType dtype) { return full(std::move(shape), 0, dtype); }
Array iota(std::int64_t size, DType dtype) { return make_array(Op::iota, IotaAttrs{size, dtype}, {}); }

namespace random {
Array uniform(Shape shape, DType dtype, std::int64_t key) {
  return make_array(Op::random_uniform, RandomAttrs{std::move(shape), dtype, key}, {});
}
Array normal(Shape shape, DType dtype, std::int64_t key) {
  return make_array(Op::random_normal, RandomAttrs{std::move(shape), dtype, key}, {});
}
}  // namespace random

#define LAZULI_FUNCTION_1(name) \
  Array name(const Array& x) { return unary(Op::name, x); }
#define LAZULI_FUNCTION_2(name) \
  Array name(const Array& a, const Array& b) { return binary(Op::name, a, b); }
#define LAZULI_OP(...)
#define LAZULI_FUNCTION(name, min, max, ...) LAZULI_FUNCTION_##max(name)
#include <lazuli/graph/ops.def>

Array operator-(const Array& x) { return unary(Op::neg, x); }
Array operator+(const Array& a, const Array& b) { return binary(Op::add, a, b); }
Array operator-(const Array& a, const Array& b) { return binary(Op::sub, a, b); }
Array operator*(const Array& a, const Array& b) { return binary(Op::mul, a, b); }
Array operator/(const Array& a, const Array& b) { return binary(Op::div, a, b); }
Array cast(const Array& x, DType dtype) { return x.dtype() == dtype ? x : make_array(Op::cast, CastAttrs{dtype}, {x}); }
Array clip(const Array& x, double low, double high) {
  // Of integers, an infinity bounds nothing.
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const bool bounds_below = is_real(x.dtype()) || low != -infinity,
             bounds_above = is_real(x.dtype()) || high != infinity;
  const Array raised = bounds_below ? maximum(x, low) : x;
  return bounds_above ? minimum(raised, high) : raised;
}
Array relu(const Array& x) { return maximum(x, 0); }
Array leaky_relu(const Array& x, double slope) { return select(greater(x, 0), x, x * slope); }
Array elu(const Array& x, double alpha) { return select(greater(x, 0), x, expm1(x) * alpha); }
Array hard_swish(const Array& x) { return x * (clip(x + 3, 0, 6) / 6); }
Array isnan(const Array& x) { return not_equal(x, x); }
Array isinf(const Array& x) {
  return is_real(x.dtype()) ? equal(abs(x), std::numeric_limits<double>::infinity()) : not_equal(x, x);
}
Array isfinite(const Array& x) {
  return is_real(x.dtype()) ? less(abs(x), std::numeric_limits<double>::infinity()) : equal(x, x);
}
Array logical_and(const Array& a, const Array& b) { return make_array(Op::logical_and, NoAttrs{}, {a, b}); }
Array logical_or(const Array& a, const Array& b) { return make_array(Op::logical_or, NoAttrs{}, {a, b}); }
Array select(const Array& condition, const Array& a, const Array& b) {
  auto [chosen, other] = adapt_pair(Op::select, a, b);
  return make_array(Op::select, NoAttrs{}, {condition, std::move(chosen), std::move(other)});
}

Array sum(const Array& x, Dims axes, bool keep_dims) { return reduce(Op::sum, x, std::move(axes), keep_dims); }
Array mean(const Array& x, Dims axes, bool keep_dims) { return reduce(Op::mean, x, std::move(axes), keep_dims); }
Array max(const Array& x, Dims axes, bool keep_dims) { return reduce(Op::max, x, std::move(axes), keep_dims); }
Array min(const Array& x, Dims axes, bool keep_dims) { return reduce(Op::min, x, std::move(axes), keep_dims); }
Array prod(const Array& x, Dims axes, bool keep_dims) { return reduce(Op::prod, x, std::move(axes), keep_dims); }
Array any(const Array& x, Dims axes, bool keep_dims) {
  return reduce(Op::any, cast(x, DType::bool_), std::move(axes), keep_dims);
}
Array all(const Array& x, Dims axes, bool keep_dims) {
  return reduce(Op::all, cast(x, DType::bool_), std::move(axes), keep_dims);
}
Array argmin(const Array& x, std::int64_t axis) {
  return make_array(Op::argmin, AxisAttrs{normalise_axis(axis, x.shape().size(), "argmin")}, {x});
}
Array argmax(const Array& x, std::int64_t axis) {
  return make_array(Op::argmax, AxisAttrs{normalise_axis(axis, x.shape().size(), "argmax")}, {x});
}
TopK top_k(const Array& x, std::int64_t k) {
  const std::vector<Array> outputs = make_node(Op::top_k, TopKAttrs{k}, {x});
  return {outputs[0], outputs[1]};
}

Array reshape(const Array& x, Shape shape) {
  const auto unknown = std::find(shape.begin(), shape.end(), -1);
  if (unknown != shape.end()) {
    *unknown = 1;
    const std::int64_t known = element_count(shape);
    *unknown = known > 0 ? x.type().elements() / known : 0;
  }
  return make_array(Op::reshape, ReshapeAttrs{std::move(shape)}, {x});
}
Array transpose(const Array& x, Dims permutation) {
  return make_array(Op::transpose, TransposeAttrs{std::move(permutation)}, {x});
}
Array swap_axes(const Array& x, std::int64_t a, std::int64_t b) {
  Dims permutation(x.shape().size());
  for (std::size_t axis = 0; axis < permutation.size(); ++axis) permutation[axis] = static_cast<std::int64_t>(axis);
  std::swap(permutation[static_cast<std::size_t>(normalise_axis(a, permutation.size(), "swap_axes"))],
            permutation[static_cast<std::size_t>(normalise_axis(b, permutation.size(), "swap_axes"))]);
  return transpose(x, std::move(permutation));
}
Array slice(const Array& x, Dims begin, Dims end, Dims step) {
  if (step.empty()) step.assign(begin.size(), 1);
  return make_array(Op::slice, SliceAttrs{std::move(begin), std::move(end), std::move(step)}, {x});
}
Array slice_axis(const Array& x, std::int64_t axis, std::int64_t begin, std::int64_t end) {
  const auto sliced = static_cast<std::size_t>(normalise_axis(axis, x.shape().size(), "slice"));
  Dims first(x.shape().size(), 0), last = x.shape();
  first[sliced] = begin;
  last[sliced] = end;
  return slice(x, std::move(first), std::move(last));
}
Array squeeze(const Array& x, std::int64_t axis) {
  const int squeezed = normalise_axis(axis, x.shape().size(), "squeeze");
  Shape shape = x.shape();
  if (shape[static_cast<std::size_t>(squeezed)] != 1)
    fail(refused("squeeze", "an axis of size 1", to_string(x.type())), "squeeze: axis {} of {} is not 1{}", squeezed,
         to_string(x.type()), Scope::where(Scope::current()));
  shape.erase(shape.begin() + squeezed);
  return reshape(x, std::move(shape));
}
Array expand_dims(const Array& x, std::int64_t axis) {
  Shape shape = x.shape();
  shape.insert(shape.begin() + normalise_axis(axis, shape.size() + 1, "expand_dims"), 1);
  return reshape(x, std::move(shape));
}
Array broadcast_to(const Array& x, Shape shape) {
  return x.shape() == shape ? x : make_array(Op::broadcast_to, ReshapeAttrs{std::move(shape)}, {x});
}

Array concatenate(const std::vector<Array>& parts, std::int64_t axis) {
  if (parts.empty())
    fail(refused("concatenate", "at least one array", "none"), "concatenate: no arrays given{}",
         Scope::where(Scope::current()));
  const AxisAttrs attrs{normalise_axis(axis, parts[0].shape().size(), "concatenate")};
  const std::size_t at_once = static_cast<std::size_t>(info(Op::concatenate).max_operands);
  std::vector<Array> joined = parts;
  while (joined.size() > at_once) {
    std::vector<Array> groups;
    for (std::size_t begin = 0; begin < joined.size(); begin += at_once) {
      const std::size_t count = std::min(at_once, joined.size() - begin);
      const std::span<const Array> group = std::span<const Array>(joined).subspan(begin, count);
      groups.push_back(make_array(Op::concatenate, attrs, {group.begin(), group.end()}));
    }
    joined = std::move(groups);
  }
  return make_array(Op::concatenate, attrs, std::move(joined));
}
Array stack(const std::vector<Array>& parts, std::int64_t axis) {
  if (parts.empty())
    fail(refused("stack", "at least one array", "none"), "stack: no arrays given{}", Scope::where(Scope::current()));
  const int stacked = normalise_axis(axis, parts[0].shape().size() + 1, "stack");
  std::vector<Array> expanded;
  for (const Array& part : parts) expanded.push_back(expand_dims(part, stacked));
  return concatenate(expanded, stacked);
}
Array index(const Array& x, std::int64_t axis, std::int64_t position) {
  const int indexed = normalise_axis(axis, x.shape().size(), "index");
  return squeeze(slice_axis(x, indexed, position, position + 1), indexed);
}
std::vector<Array> unstack(const Array& x, std::int64_t axis) {
  const std::int64_t parts = x.size(normalise_axis(axis, x.shape().size(), "unstack"));
  std::vector<Array> result;
  for (std::int64_t part = 0; part < parts; ++part) result.push_back(index(x, axis, part));
  return result;
}
Array slice_update(const Array& base, const Array& update, const Array& start, std::int64_t axis, bool ring) {
  return make_array(Op::slice_update, SliceUpdateAttrs{normalise_axis(axis, base.shape().size(), "slice_update"), ring},
                    {base, update, adapt_index(Op::slice_update, start)});
}
Array take(const Array& x, const Array& indices, std::int64_t axis) {
  return make_array(Op::take, AxisAttrs{normalise_axis(axis, x.shape().size(), "take")},
                    {x, adapt_index(Op::take, indices)});
}
Array take_rows(const Array& table, const Array& indices) { return take(table, indices, 0); }
Array gather(const Array& x, const Array& indices, std::int64_t axis) {
  return make_array(Op::gather, AxisAttrs{normalise_axis(axis, x.shape().size(), "gather")}, {x, indices});
}

Array linear(const Array& x, const Array& weight) { return make_array(Op::linear, NoAttrs{}, {x, weight}); }
Array expert_linear(const Array& x, const Array& weight, const Array& experts) {
  return make_array(Op::expert_linear, NoAttrs{}, {x, weight, experts});
}

Array gelu_tanh(const Array& x) { return unary(Op::gelu_tanh, x); }
Array softcap(const Array& x, double cap) { return make_array(Op::softcap, SoftcapAttrs{cap}, {x}); }
Array softmax(const Array& x, std::int64_t axis) {
  return make_array(Op::softmax, AxisAttrs{normalise_axis(axis, x.shape().size(), "softmax")}, {x});
}
Array rms_norm(const Array& x, double epsilon) { return make_array(Op::rms_norm, RmsNormAttrs{epsilon}, {x}); }
Array rms_norm(const Array& x, const Array& weight, double epsilon) {
  return make_array(Op::rms_norm, RmsNormAttrs{epsilon}, {x, weight});
}
Array rope(const Array& x, const Array& positions, const RopeAttrs& attrs) {
  return make_array(Op::rope, attrs, {x, positions});
}
Array rope(const Array& x, const Array& positions, const Array& frequency_factors, const RopeAttrs& attrs) {
  return make_array(Op::rope, attrs, {x, positions, frequency_factors});
}
Array attention(const Array& q, const Array& k, const Array& v, const Array& positions, const Array& length,
                const AttentionAttrs& attrs) {
  return make_array(Op::attention, attrs, {q, k, v, positions, length});
}
Array altup_predict(const Array& planes, const Array& coefficients, const AltupAttrs& attrs) {
  return make_array(Op::altup_predict, attrs, {planes, coefficients});
}
Array altup_correct(const Array& predicted, const Array& activated, const Array& coefficients,
                    const AltupAttrs& attrs) {
  return make_array(Op::altup_correct, attrs, {predicted, activated, coefficients});
}

}  // namespace lazuli
