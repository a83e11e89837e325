// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/passes/number_guards.h>

#include <limits>
#include <vector>

namespace lazuli {
namespace {

using Kind = NumberQuestion::Kind;
using Values = std::vector<double>;

Number slot(int index, double value) {
  Number number = value;
  number.slot = index;
  return number;
}

NumberGuards knowing_all() { return NumberGuards(std::vector<bool>(4, true)); }

TEST(NumberGuards, WithoutQuestionsServeAnyValues) { EXPECT_TRUE(knowing_all().hold(Values{1, 2})); }

TEST(NumberGuards, AnswersOfBothKindsAreKept) {
  NumberGuards guards = knowing_all();
  EXPECT_TRUE(guards.ask({Kind::same, slot(0, 2), 2.0}));
  EXPECT_FALSE(guards.ask({Kind::near, slot(1, 0.6), 0.5, DType::f32}));
  EXPECT_TRUE(guards.hold(Values{2, 0.6}));
  EXPECT_TRUE(guards.hold(Values{2, 7}));
  EXPECT_FALSE(guards.hold(Values{3, 0.6}));
  EXPECT_FALSE(guards.hold(Values{2, 0.5}));
}

TEST(NumberGuards, LiteralsNeedNone) {
  NumberGuards guards;
  EXPECT_TRUE(guards.ask({Kind::near, 0.5, 0.5}));
  EXPECT_FALSE(guards.ask({Kind::same, 2.0, 3.0}));
  EXPECT_TRUE(guards.fix(2.0));
  EXPECT_TRUE(guards.hold(Values{}));
}

TEST(NumberGuards, OneNumberIsItself) {
  NumberGuards guards;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(guards.ask({Kind::same, slot(0, nan), slot(0, nan)}));
  EXPECT_TRUE(guards.ask({Kind::same_rounded, slot(0, nan), slot(0, nan), DType::f16}));
  EXPECT_TRUE(guards.hold(Values{5}));
}

TEST(NumberGuards, TwoNumbers) {
  NumberGuards guards = knowing_all();
  EXPECT_TRUE(guards.ask({Kind::same_rounded, slot(0, 1.0), slot(1, 1.0 + 1e-12), DType::f32}));
  EXPECT_TRUE(guards.ask({Kind::inverse, slot(2, 30), slot(3, 1 / 30.0), DType::f32}));
  EXPECT_TRUE(guards.hold(Values{4, 4, 2, 0.5}));
  EXPECT_FALSE(guards.hold(Values{4, 5, 2, 0.5}));
  EXPECT_FALSE(guards.hold(Values{4, 4, 2, 0.25}));
}

TEST(NumberGuards, BitsTellZerosApart) {
  NumberGuards guards = knowing_all();
  EXPECT_TRUE(guards.fix(slot(0, 0.0)));
  EXPECT_TRUE(guards.hold(Values{0.0}));
  EXPECT_FALSE(guards.hold(Values{-0.0}));
}

TEST(NumberGuards, OfUnknownValuesSayNoAndKeepNothing) {
  NumberGuards guards({true, false});
  EXPECT_FALSE(guards.ask({Kind::same, slot(1, 2), 2.0}));
  EXPECT_FALSE(guards.ask({Kind::same, slot(0, 2), slot(1, 2)}));
  EXPECT_FALSE(guards.fix(slot(1, 2)));
  EXPECT_FALSE(guards.may_fix(slot(7, 2)));
  EXPECT_TRUE(guards.hold(Values{8, 9}));
}

TEST(NumberGuards, LookingAheadKeepsNothing) {
  NumberGuards guards = knowing_all();
  EXPECT_TRUE(guards.would_say({Kind::same, slot(0, 2), 2.0}));
  EXPECT_TRUE(guards.hold(Values{3}));
}

}  // namespace
}  // namespace lazuli
