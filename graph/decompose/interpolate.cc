// SPDX-License-Identifier: MIT
#include <lazuli/graph/decompose/interpolate.h>
#include <lazuli/graph/ops/ops.h>

namespace lazuli {
namespace {

// Positions are fractions of integers, so that a position on an element is on it whatever the sizes.
struct Positions {
  Array before;    // i64 [n]: the element at or before each position
  Array fraction;  // [n, 1...]: how far behind it
};

Positions positions_of(const InterpolateAttrs& attrs, std::size_t axis, std::size_t axes, DType dtype) {
  const auto number = [](std::int64_t value) { return scalar(static_cast<double>(value), DType::i64); };
  const std::int64_t denominator = attrs.denominator[axis];
  const Array numerator = iota(attrs.size[axis], DType::i64) * number(attrs.slope[axis]) + number(attrs.offset[axis]);
  const Array before = numerator / number(denominator);
  const Array rest = cast(numerator - before * number(denominator), dtype);
  Shape shape(axes - axis + 1, 1);
  shape[0] = attrs.size[axis];
  return {before, reshape(rest / static_cast<double>(denominator), std::move(shape))};
}

// The elements `step` behind those at or before the positions; past the ends, the last one there is.
Array taken(const Array& x, const Array& before, std::int64_t step, std::int64_t axis) {
  const Array there =
      clip(before + static_cast<double>(step), 0, static_cast<double>(x.size(static_cast<int>(axis)) - 1));
  return take(x, cast(there, DType::i32), axis);
}

// Keys 1981 with a = -0.75: weights of the elements at distance d from the position.
Array near_weight(const Array& d) { return ((d * 1.25 - 2.25) * d) * d + 1.0; }        // d <= 1
Array far_weight(const Array& d) { return ((d * -0.75 + 3.75) * d - 6.0) * d + 3.0; }  // 1 <= d <= 2

}  // namespace

Array interpolate_by_parts(const Array& x, const InterpolateAttrs& attrs) {
  Array result = x;
  const std::size_t axes = attrs.size.size();
  const DType computed = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  for (std::size_t spatial = 0; spatial < axes; ++spatial) {
    const auto axis = static_cast<std::int64_t>(spatial + 1);
    const auto [before, fraction] = positions_of(attrs, spatial, axes, computed);
    const auto at = [&](std::int64_t step) { return taken(result, before, step, axis); };
    if (attrs.order == 0) {
      result = at(0);
    } else if (attrs.order == 1) {
      const Array first = at(0);
      result = first + (at(1) - first) * fraction;
    } else {
      const Array rest = 1.0 - fraction;
      result = ((at(-1) * far_weight(fraction + 1.0) + at(0) * near_weight(fraction)) + at(1) * near_weight(rest)) +
               at(2) * far_weight(rest + 1.0);
    }
  }
  return result;
}

}  // namespace lazuli
