// SPDX-License-Identifier: MIT
// What goes along axes: reductions, places, cumulative ops, order.
#include <lazuli/tests/fuzz/graphs/grow.h>

namespace lazuli::fuzz::grow {
namespace {

std::int64_t some_axis(Builder& b, ValueId x) {
  const auto rank = static_cast<int>(b.shape_of(x).size());
  const bool is_last = b.choice.chance(60);
  const int at = b.choice.below(1 << 16);
  return is_last ? rank - 1 : at % rank;
}

bool reduced(Builder& b, Op op, ValueId x) {
  Dims axes{some_axis(b, x)};
  const bool several = b.choice.chance(20), keep = b.choice.chance(50);
  if (several) {
    axes.clear();
    for (std::size_t axis = 0; axis < b.shape_of(x).size(); ++axis)
      if (b.choice.chance(60)) axes.push_back(static_cast<std::int64_t>(axis));
  }
  return b.add(op, ReduceAttrs{axes, keep}, {x});
}

}  // namespace

bool reduce(Builder& b, Op op) { return reduced(b, op, b.any(is_number, 1)); }
bool reduce_real(Builder& b, Op op) { return reduced(b, op, b.any(is_real, 1)); }
bool reduce_bool(Builder& b, Op op) { return reduced(b, op, b.of(DType::bool_, 1)); }
bool argmax(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  return b.add(op, AxisAttrs{some_axis(b, x)}, {x});
}
bool top_k(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  const std::int64_t size = b.shape_of(x).back(), few = b.a_few();
  return b.add(op, TopKAttrs{b.choice.chance(20) ? size : std::min(size, few)}, {x});
}
bool cumulative(Builder& b, Op op) {
  const ValueId x = b.any(is_number, 1);
  const std::int64_t axis = some_axis(b, x);
  const bool reverse = b.choice.chance(40), exclusive = b.choice.chance(40);
  return b.add(op, CumulativeAttrs{axis, reverse, exclusive}, {x});
}
bool sort(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  return b.add(op, AxisAttrs{some_axis(b, x)}, {x});
}
bool argsort(Builder& b, Op op) { return sort(b, op); }
bool softmax(Builder& b, Op op) {
  const ValueId x = b.any(is_real, 1);
  return b.add(op, AxisAttrs{some_axis(b, x)}, {x});
}

}  // namespace lazuli::fuzz::grow
