// SPDX-License-Identifier: MIT
// Ops along an axis whose order counts: cumulative ones and sorting.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>

namespace lazuli {
namespace {

Array cumulative(Op op, const Array& x, std::int64_t axis, bool reverse, bool inclusive) {
  return make_array(op, CumulativeAttrs{normalise_axis(axis, x.shape().size(), to_string(op)), reverse, !inclusive},
                    {x});
}

Array order(Op op, const Array& x, std::int64_t axis) {
  return make_array(op, AxisAttrs{normalise_axis(axis, x.shape().size(), to_string(op))}, {x});
}

// A sorted axis has every element in its place, also the one asked for.
Array order_around(Op op, std::string_view name, const Array& x, std::int64_t kth, std::int64_t axis) {
  const int along = normalise_axis(axis, x.shape().size(), name);
  const std::int64_t size = x.size(along);
  if (kth < -size || kth >= size)
    fail("{}: kth is {}, expected [{}, {}) of {} along axis {}{}", name, kth, -size, size, to_string(x.type()), along,
         Scope::where(Scope::current()));
  return order(op, x, along);
}

}  // namespace

Array cumsum(const Array& x, std::int64_t axis, bool reverse, bool inclusive) {
  return cumulative(Op::cumsum, x, axis, reverse, inclusive);
}
Array cumprod(const Array& x, std::int64_t axis, bool reverse, bool inclusive) {
  return cumulative(Op::cumprod, x, axis, reverse, inclusive);
}
Array cummax(const Array& x, std::int64_t axis, bool reverse, bool inclusive) {
  return cumulative(Op::cummax, x, axis, reverse, inclusive);
}
Array cummin(const Array& x, std::int64_t axis, bool reverse, bool inclusive) {
  return cumulative(Op::cummin, x, axis, reverse, inclusive);
}

Array sort(const Array& x, std::int64_t axis) { return order(Op::sort, x, axis); }
Array argsort(const Array& x, std::int64_t axis) { return order(Op::argsort, x, axis); }
Array partition(const Array& x, std::int64_t kth, std::int64_t axis) {
  return order_around(Op::sort, "partition", x, kth, axis);
}
Array argpartition(const Array& x, std::int64_t kth, std::int64_t axis) {
  return order_around(Op::argsort, "argpartition", x, kth, axis);
}

TopK top_k(const Array& x, std::int64_t k, std::int64_t axis) {
  const int along = normalise_axis(axis, x.shape().size(), "top_k");
  if (along + 1 == x.rank()) return top_k(x, k);
  const TopK best = top_k(swap_axes(x, along, -1), k);
  return {swap_axes(best.values, along, -1), swap_axes(best.indices, along, -1)};
}

}  // namespace lazuli
