// SPDX-License-Identifier: MIT
// Leaves, elementwise ops and casts.
#include <lazuli/tests/fuzz/graphs/grow.h>

namespace lazuli::fuzz::grow {

bool declared(Builder& b, Op op) {
  const Type type{b.dtype(is_plain), b.shape()};
  b.offer(op == Op::constant && !b.in_body() ? b.constant(type, draw_kind(b.choice)) : b.leaf(type));
  return true;
}
bool scalar(Builder& b, Op) {
  const DType dtype = b.dtype(is_plain);
  b.offer(b.number(b.some_number(dtype), dtype));
  return true;
}
bool iota(Builder& b, Op op) { return b.add(op, IotaAttrs{b.size(), b.dtype(is_number)}, {}); }
bool random(Builder& b, Op op) {
  return b.add(op, RandomAttrs{b.shape(), b.dtype(is_real), b.choice.between(-3, 3)}, {});
}

bool unary(Builder& b, Op op) { return b.add(op, NoAttrs{}, {b.any(is_number)}); }
bool unary_real(Builder& b, Op op) {
  constexpr double caps[] = {30, 5, 0.5, 50, 1};
  const ValueId x = b.any(is_real);
  if (op == Op::softcap) return b.add(op, SoftcapAttrs{b.values.of(caps)}, {x});
  return b.add(op, NoAttrs{}, {x});
}

namespace {

bool of_one_or_two(Builder& b, Op op, ValueId x) {
  if (info(op).min_operands == 1) return b.add(op, NoAttrs{}, {x});
  const ValueId y = b.partner(x, b.type(x).dtype);
  return b.choice.chance(50) ? b.add(op, NoAttrs{}, {x, y}) : b.add(op, NoAttrs{}, {y, x});
}

}  // namespace

bool logical(Builder& b, Op op) { return of_one_or_two(b, op, b.of(DType::bool_)); }
bool integers(Builder& b, Op op) { return of_one_or_two(b, op, b.any(is_integer)); }
bool binary(Builder& b, Op op) { return of_one_or_two(b, op, b.any(is_number)); }
bool binary_real(Builder& b, Op op) { return of_one_or_two(b, op, b.any(is_real)); }
bool compare(Builder& b, Op op) { return of_one_or_two(b, op, b.any(is_plain)); }
bool cast(Builder& b, Op op) {
  const ValueId x = b.any(is_plain);
  return b.add(op, CastAttrs{b.dtype(is_plain)}, {x});
}
bool select(Builder& b, Op op) {
  const ValueId x = b.any(is_plain), y = b.partner(x, b.type(x).dtype), condition = b.partner(x, DType::bool_);
  return b.choice.chance(50) ? b.add(op, NoAttrs{}, {condition, x, y}) : b.add(op, NoAttrs{}, {condition, y, x});
}

}  // namespace lazuli::fuzz::grow
