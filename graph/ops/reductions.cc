// SPDX-License-Identifier: MIT
// Reductions that other ops make up, and those of all elements.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/widened.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

namespace lazuli {
namespace {

Array without_axes(const Array& x, const Dims& axes) {
  Dims dropped = axes;
  for (std::int64_t& axis : dropped) axis = normalise_axis(axis, x.shape().size(), "reshape");
  Shape shape;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis)
    if (std::find(dropped.begin(), dropped.end(), axis) == dropped.end())
      shape.push_back(x.shape()[static_cast<std::size_t>(axis)]);
  return reshape(x, std::move(shape));
}

// Whether the size of one of the axes is the bound of a named dimension.
bool is_named(const Array& x, const Dims& axes) {
  const NamedAxis& named = x.type().named;
  return named && std::any_of(axes.begin(), axes.end(),
                              [&](std::int64_t axis) { return axis == named.axis || axis + x.rank() == named.axis; });
}

bool is_empty(const Array& x, const Dims& axes) {
  return std::any_of(axes.begin(), axes.end(), [&](std::int64_t axis) { return x.size(static_cast<int>(axis)) == 0; });
}

template <class Reduce>
Array over_all(const Array& x, Reduce reduce) {
  const Array with_axes = x.rank() > 0 ? x : reshape(x, {1});
  Dims axes(with_axes.shape().size());
  std::iota(axes.begin(), axes.end(), 0);
  return reduce(with_axes, std::move(axes));
}

}  // namespace

Array count_nonzero(const Array& x, Dims axes, bool keep_dims) {
  return sum(cast(cast(x, DType::bool_), DType::i32), std::move(axes), keep_dims);
}

Array var(const Array& x, Dims axes, bool keep_dims, std::int64_t ddof) {
  const Array wide = widened(x);
  const Array centred = wide - mean(wide, axes, /*keep_dims=*/true);
  if (ddof == 0) return cast(mean(square(centred), std::move(axes), keep_dims), x.dtype());
  // How many rows a run has is known to the op that reduces them alone.
  if (is_named(x, axes))
    fail(built_here({.kind = ErrorKind::shape, .op = "var", .expected = "ddof 0", .found = std::to_string(ddof)}),
         "var: ddof {} over the named axis of {}, expected 0", ddof, to_string(x.type()));
  std::int64_t count = 1;
  for (std::int64_t axis : axes) count *= x.size(static_cast<int>(axis));
  const auto freedom = static_cast<double>(std::max<std::int64_t>(count - ddof, 0));
  return cast(sum(square(centred), std::move(axes), keep_dims) / freedom, x.dtype());
}

Array stddev(const Array& x, Dims axes, bool keep_dims, std::int64_t ddof) {
  return cast(sqrt(var(widened(x), std::move(axes), keep_dims, ddof)), x.dtype());
}

Array logsumexp(const Array& x, Dims axes, bool keep_dims) {
  const Array wide = widened(x);
  // Nothing has no largest element, and its sum is 0.
  if (is_empty(wide, axes)) return cast(log(sum(wide, std::move(axes), keep_dims)), x.dtype());
  const Array largest = max(wide, axes, /*keep_dims=*/true);
  // An infinity minus itself would be NaN.
  const Array origin = select(isfinite(largest), largest, 0);
  const Array result = log(sum(exp(wide - origin), axes, /*keep_dims=*/true)) + origin;
  return cast(keep_dims ? result : without_axes(result, axes), x.dtype());
}

Array linalg::norm(const Array& x, Dims axes, bool keep_dims, double order) {
  const Array wide = widened(x);
  Array result;
  if (order == 1)
    result = sum(abs(wide), std::move(axes), keep_dims);
  else if (order == 2)
    result = sqrt(sum(square(wide), std::move(axes), keep_dims));
  else if (order == std::numeric_limits<double>::infinity())
    result = max(abs(wide), std::move(axes), keep_dims);
  else
    fail("norm: order is {}, expected 1, 2 or infinity{}", order, Scope::where(Scope::current()));
  return cast(result, x.dtype());
}

#define LAZULI_OVER_ALL(name)                                                               \
  Array name(const Array& x) {                                                              \
    return over_all(x, [](const Array& a, Dims axes) { return name(a, std::move(axes)); }); \
  }
LAZULI_OVER_ALL(sum)
LAZULI_OVER_ALL(mean)
LAZULI_OVER_ALL(max)
LAZULI_OVER_ALL(min)
LAZULI_OVER_ALL(prod)
LAZULI_OVER_ALL(any)
LAZULI_OVER_ALL(all)
LAZULI_OVER_ALL(count_nonzero)
LAZULI_OVER_ALL(var)
LAZULI_OVER_ALL(stddev)
LAZULI_OVER_ALL(logsumexp)
LAZULI_OVER_ALL(linalg::norm)
#undef LAZULI_OVER_ALL

}  // namespace lazuli
