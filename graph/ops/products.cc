// SPDX-License-Identifier: MIT
// Products of arrays made of matmul, or of mul and sum.
#include <lazuli/graph/ops/contraction.h>
#include <lazuli/graph/ops/ops_parts.h>

#include <algorithm>

namespace lazuli {
namespace {

// So many letters from `first` on.
Letters letters_from(char32_t first, std::size_t count) {
  Letters letters;
  for (std::size_t i = 0; i < count; ++i) letters += first + static_cast<char32_t>(i);
  return letters;
}

void require_equal_sizes(std::string_view where, const Array& a, std::size_t a_axis, const Array& b,
                         std::size_t b_axis) {
  if (a.shape()[a_axis] == b.shape()[b_axis]) return;
  reject_call(where, "axis {} of {} and axis {} of {} meet; expected one size", a_axis, to_string(a.type()), b_axis,
              to_string(b.type()));
}

void require_one_dtype(std::string_view where, const Array& a, const Array& b) {
  if (a.dtype() != b.dtype())
    reject_call(where, "dtypes differ: {} and {}; cast one of them", to_string(a.type()), to_string(b.type()));
}

Array multiply_along(std::string_view where, const Array& a, const Array& b, const Dims& a_axes, const Dims& b_axes) {
  require_one_dtype(where, a, b);
  Term left{a, letters_from(0, a.shape().size())},
      right{b, letters_from(static_cast<char32_t>(a.shape().size()), b.shape().size())};
  Letters kept = left.letters + right.letters;
  for (std::size_t i = 0; i < a_axes.size(); ++i) {
    const std::size_t a_axis = axis_of(a_axes[i], a.shape().size(), where),
                      b_axis = axis_of(b_axes[i], b.shape().size(), where);
    require_equal_sizes(where, a, a_axis, b, b_axis);
    const char32_t letter = left.letters[a_axis];
    if (kept.find(letter) == Letters::npos || right.letters[b_axis] < a.shape().size())
      reject_call(where, "axes {} and {} name one axis twice", to_string(a_axes), to_string(b_axes));
    std::erase(kept, letter);
    std::erase(kept, right.letters[b_axis]);
    right.letters[b_axis] = letter;
  }
  return in_order(multiply(left, right, kept), kept);
}

}  // namespace

Array matmul(const Array& a, const Array& b) {
  const bool row = a.rank() == 1, column = b.rank() == 1;
  if (!row && !column) return make_array(Op::matmul, NoAttrs{}, {a, b});
  const Array product =
      make_array(Op::matmul, NoAttrs{}, {row ? expand_dims(a, 0) : a, column ? expand_dims(b, 1) : b});
  Shape shape = product.shape();
  if (column) shape.pop_back();
  if (row) shape.erase(shape.end() - (column ? 1 : 2));
  return reshape(product, std::move(shape));
}

Array outer(const Array& a, const Array& b) { return reshape(a, {-1, 1}) * reshape(b, {1, -1}); }

Array inner(const Array& a, const Array& b) {
  if (a.rank() == 0 || b.rank() == 0) return a * b;
  return multiply_along("inner", a, b, {-1}, {-1});
}

Array vecdot(const Array& a, const Array& b, std::int64_t axis) {
  require_one_dtype("vecdot", a, b);
  const std::vector<Array> both = broadcast_arrays({a, b});
  const Letters letters = letters_from(0, both[0].shape().size());
  Letters kept = letters;
  std::erase(kept, letters[axis_of(axis, letters.size(), "vecdot")]);
  return multiply({both[0], letters}, {both[1], letters}, kept).x;
}

Array tensordot(const Array& a, const Array& b, std::int64_t axes) {
  const auto least = static_cast<std::int64_t>(std::min(a.shape().size(), b.shape().size()));
  if (axes < 0 || axes > least)
    reject_call("tensordot", "{} axes of {} and {}, expected 0 to {}", axes, to_string(a.type()), to_string(b.type()),
                least);
  Dims last, first;
  for (std::int64_t axis = 0; axis < axes; ++axis) {
    last.push_back(a.rank() - axes + axis);
    first.push_back(axis);
  }
  return multiply_along("tensordot", a, b, last, first);
}
Array tensordot(const Array& a, const Array& b, const Dims& a_axes, const Dims& b_axes) {
  if (a_axes.size() != b_axes.size())
    reject_call("tensordot", "axes {} of a and {} of b, expected as many", to_string(a_axes), to_string(b_axes));
  return multiply_along("tensordot", a, b, a_axes, b_axes);
}

Array addmm(const Array& c, const Array& a, const Array& b, double alpha, double beta) {
  const Array product = matmul(a, b);
  return (alpha == 1 ? product : product * alpha) + (beta == 1 ? c : c * beta);
}

}  // namespace lazuli
