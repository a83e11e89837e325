// SPDX-License-Identifier: MIT
// Filled arrays and masks: leaves, comparisons and selects.
#include <lazuli/graph/ops/ops_parts.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lazuli {
namespace {

// Where values are computed before they are rounded to a dtype: narrow integers would end too early as an iota.
DType computed_in(DType dtype) {
  const bool narrow = info(dtype).block_bytes < 4;
  if (is_real(dtype)) return narrow ? DType::f32 : dtype;
  return narrow || dtype == DType::i32 ? DType::i32 : DType::i64;
}

std::int64_t checked_size(std::int64_t size, std::string_view where) {
  if (size < 0) reject_call(where, "{} given as a size, expected 0 or more", size);
  return size;
}

// Beyond the corners of a matrix k means what it means at them.
int within(std::int64_t k, std::int64_t rows, std::int64_t columns) {
  return static_cast<int>(std::clamp(k, -rows - 1, columns + 1));
}

// row + k, as a column.
Array rows_plus(std::int64_t rows, std::int64_t columns, std::int64_t k, std::string_view where) {
  return expand_dims(iota(checked_size(rows, where)), 1) + within(k, rows, checked_size(columns, where));
}

// bool [rows, columns]: column <= row + k.
Array lower_mask(std::int64_t rows, std::int64_t columns, std::int64_t k, std::string_view where) {
  return less_equal(iota(columns), rows_plus(rows, columns, k, where));
}

void require_matrices(const Array& x, std::string_view where) {
  if (x.rank() < 2) reject_call(where, "operand is {}, expected [..., rows, columns]", to_string(x.type()));
}

void require_real_operand(const Array& x, std::string_view where) {
  if (!is_real(x.dtype())) reject_call(where, "operand is {}, expected a real dtype", to_string(x.type()));
}

}  // namespace

Array ones(Shape shape, DType dtype) { return full(std::move(shape), 1, dtype); }
Array full_like(const Array& x, double value) { return full(x.shape(), value, x.dtype()); }
Array zeros_like(const Array& x) { return full_like(x, 0); }
Array ones_like(const Array& x) { return full_like(x, 1); }

Array arange(double start, double stop, double step, DType dtype) {
  const bool whole = start == std::trunc(start) && stop == std::trunc(stop) && step == std::trunc(step);
  const double count = std::ceil((stop - start) / step);
  if (dtype == DType::bool_ || is_quantised(dtype) || (is_integer(dtype) && !whole))
    reject_call("arange", "cannot count from {} to {} by {} in {}", start, stop, step, to_string(dtype));
  // Also not a number.
  if (!(count <= static_cast<double>(std::numeric_limits<std::int32_t>::max())))
    reject_call("arange", "{} to {} by {} has no end, or too many values", start, stop, step);
  const bool rises = start >= 0 && step > 0;
  const DType computed = dtype == DType::u64 && rises ? dtype : computed_in(dtype);
  Array value = iota(static_cast<std::int64_t>(std::max(count, 0.0)), computed);
  if (step != 1) value = value * scalar(step, computed);
  if (start != 0) value = value + scalar(start, computed);
  return cast(value, dtype);
}

Array linspace(double start, double stop, std::int64_t count, DType dtype) {
  if (!is_real(dtype)) reject_call("linspace", "dtype is {}, expected a real one", to_string(dtype));
  const DType computed = computed_in(dtype);
  const Array index = iota(checked_size(count, "linspace"), computed);
  const Array t = index / static_cast<double>(std::max<std::int64_t>(count - 1, 1));
  return cast((1 - t) * start + t * stop, dtype);
}

Array eye(std::int64_t rows, std::int64_t columns, std::int64_t k, DType dtype) {
  return cast(equal(iota(checked_size(columns, "eye")), rows_plus(rows, columns, k, "eye")), dtype);
}
Array identity(std::int64_t size, DType dtype) { return eye(size, size, 0, dtype); }
Array tri(std::int64_t rows, std::int64_t columns, std::int64_t k, DType dtype) {
  return cast(lower_mask(rows, checked_size(columns, "tri"), k, "tri"), dtype);
}

Array one_hot(const Array& indices, std::int64_t classes, DType dtype) {
  if (!is_integer(indices.dtype()))
    reject_call("one_hot", "indices are {}, expected integers", to_string(indices.type()));
  // Unsigned ones become signed: 2^31 and more would be no number of an i32.
  const DType compared = computed_in(indices.dtype());
  return cast(equal(expand_dims(cast(indices, compared), -1), iota(checked_size(classes, "one_hot"), compared)), dtype);
}

Array where(const Array& condition, const Array& a, const Array& b) { return select(condition, a, b); }

Array tril(const Array& x, std::int64_t k) {
  require_matrices(x, "tril");
  return select(lower_mask(x.size(-2), x.size(-1), k, "tril"), x, scalar(0, x.dtype()));
}
Array triu(const Array& x, std::int64_t k) {
  require_matrices(x, "triu");
  const Array row = rows_plus(x.size(-2), x.size(-1), k, "triu");
  return select(greater_equal(iota(x.size(-1)), row), x, scalar(0, x.dtype()));
}

Array isclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  require_real_operand(a, "isclose");
  require_real_operand(b, "isclose");
  // An infinite b would be close to everything.
  const Array near = logical_and(less_equal(abs(a - b), abs(b) * rtol + atol), isfinite(b));
  const Array close = logical_or(near, equal(a, b));
  return equal_nan ? logical_or(close, logical_and(isnan(a), isnan(b))) : close;
}
Array allclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  const Array close = isclose(a, b, rtol, atol, equal_nan);
  if (close.type().elements() == 0) return scalar(1, DType::bool_);
  return cast(min(cast(flatten(close), DType::u8), {0}), DType::bool_);
}

Array nan_to_num(const Array& x, double nan, std::optional<double> positive_infinity,
                 std::optional<double> negative_infinity) {
  if (!is_real(x.dtype())) return x;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double largest = largest_finite(x.dtype());
  const Array below = select(equal(x, -infinity), negative_infinity.value_or(-largest), x);
  return select(isnan(x), nan, select(equal(x, infinity), positive_infinity.value_or(largest), below));
}

}  // namespace lazuli
