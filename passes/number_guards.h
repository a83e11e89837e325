// SPDX-License-Identifier: MIT
// What passes may know of the numbers of a program. They ask, and each answer is a guard: the program serves those
// values alone of which all its guards are true. So nothing is compiled for a new value that no pass asked about.
#pragma once

#include <lazuli/graph/attrs.h>
#include <lazuli/graph/base/export.h>

#include <compare>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace lazuli {

// About a number, and another one or a literal.
struct LAZULI_API NumberQuestion {
  enum class LAZULI_API Kind : std::uint8_t {
    same,          // have a and b the same bits?
    same_rounded,  // are they the same number of `dtype`?
    near,          // is a the constant b, printed with six digits or more or rounded to `dtype`?
    inverse        // is b 1 / a, rounded to `dtype`?
  };
  Kind kind;
  Number a, b;
  DType dtype = DType::f32;
};

// A number of `dtype`, as a double.
LAZULI_API double rounded(double value, DType dtype);

class LAZULI_API NumberGuards {
 public:
  // Knows literals alone: to every question about a number with a slot the answer is no, and nothing is recorded. A
  // pass must be right when it takes a no for an answer, whatever the value is.
  NumberGuards() = default;
  // Knows the values that the numbers of the graph have, of the slots named.
  explicit NumberGuards(std::vector<bool> known) : known_(std::move(known)) {}

  bool ask(const NumberQuestion& question);
  // The same without a guard: the caller asks before it makes use of a yes.
  bool would_say(const NumberQuestion& question) const;
  // Makes the program one for this value of the number alone. False: its value may not be read.
  bool fix(const Number& number);
  bool may_fix(const Number& number) const { return knows(number); }

  // Whether all answers are what they would be for these values.
  bool hold(std::span<const double> values) const;

 private:
  struct Side {
    std::int32_t slot;
    std::uint64_t literal;  // its bits; 0 where there is a slot
    auto operator<=>(const Side&) const = default;
    static Side of(const Number& number);
    Number number() const;
  };
  struct Guard {
    NumberQuestion::Kind kind;
    Side a, b;
    DType dtype;
    bool answer;
    auto operator<=>(const Guard&) const = default;
  };

  bool knows(const Number& number) const {
    const auto slot = static_cast<std::size_t>(number.slot);
    return number.is_literal() || (slot < known_.size() && known_[slot]);
  }

  std::vector<bool> known_;  // by slot
  std::set<Guard> guards_;
};

}  // namespace lazuli
