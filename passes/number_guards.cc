// SPDX-License-Identifier: MIT
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/passes/number_guards.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace lazuli {
namespace {

using Kind = NumberQuestion::Kind;

// Published constants are printed with six digits or more, and rounded to f32 or bf16 on the way here.
constexpr double tolerance = 1e-6;
constexpr double tolerance_16_bit = 4e-3;

bool is_near(double found, double expected, DType dtype) {
  return std::abs(found - expected) <=
         (is_real(dtype) && info(dtype).block_bytes == 2 ? tolerance_16_bit : tolerance) * std::abs(expected);
}

bool answer(const NumberQuestion& question, double a, double b) {
  switch (question.kind) {
    case Kind::same:
      return same_bits(a, b);
    case Kind::same_rounded:
      return rounded(a, question.dtype) == rounded(b, question.dtype);
    case Kind::near:
      return is_near(a, b, question.dtype);
    case Kind::inverse:
      return rounded(1 / a, question.dtype) == rounded(b, question.dtype);
  }
  return false;
}

// One number is the same as itself, whatever a run brings.
bool is_one_number(const NumberQuestion& question) {
  return (question.kind == Kind::same || question.kind == Kind::same_rounded) && !question.a.is_literal() &&
         question.a.slot == question.b.slot;
}

}  // namespace

double rounded(double value, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return static_cast<float>(value);
    case DType::f16:
      return f16_to_f32(f32_to_f16(static_cast<float>(value)));
    case DType::bf16:
      return bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
    default:
      return value;
  }
}

NumberGuards::Side NumberGuards::Side::of(const Number& number) {
  return {number.slot, number.is_literal() ? std::bit_cast<std::uint64_t>(number.value) : 0};
}

Number NumberGuards::Side::number() const {
  Number number = std::bit_cast<double>(literal);
  number.slot = slot;
  return number;
}

bool NumberGuards::would_say(const NumberQuestion& question) const {
  if (is_one_number(question)) return true;
  if (!knows(question.a) || !knows(question.b)) return false;
  return answer(question, question.a.value, question.b.value);
}

bool NumberGuards::ask(const NumberQuestion& question) {
  const bool said = would_say(question);
  const bool is_structure = is_one_number(question) || (question.a.is_literal() && question.b.is_literal());
  if (!is_structure && knows(question.a) && knows(question.b))
    guards_.insert({question.kind, Side::of(question.a), Side::of(question.b), question.dtype, said});
  return said;
}

bool NumberGuards::fix(const Number& number) {
  return may_fix(number) && ask({Kind::same, number, Number(number.value)});
}

bool NumberGuards::hold(std::span<const double> values) const {
  return std::ranges::all_of(guards_, [&](const Guard& guard) {
    const NumberQuestion question{guard.kind, guard.a.number(), guard.b.number(), guard.dtype};
    return answer(question, value_of(question.a, values), value_of(question.b, values)) == guard.answer;
  });
}

}  // namespace lazuli
