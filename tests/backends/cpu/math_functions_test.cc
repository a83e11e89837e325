// SPDX-License-Identifier: MIT
// Elementwise functions against the C library in double: over all exponents and signs, at their edges, at every
// instruction-set level, alone and fused.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/accuracy/functions.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/forced_isa.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using Floats = std::vector<float>;

constexpr float infinite = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

using test::BinaryFunction;
using test::ulps_of;
using test::UnaryFunction;

// Every exponent with both signs, subnormals and NaN among them, and the places where functions begin and end.
const Floats& sweep() {
  static const Floats all = [] {
    Floats values;
    for (std::uint32_t i = 0; i < 1u << 16; ++i) values.push_back(std::bit_cast<float>(i * 65543u));
    for (const float edge : {0.0f,
                             0x1p-149f,
                             0x1.fffffcp-127f,
                             0x1p-126f,
                             0x1p-24f,
                             0x1p-12f,
                             0.25f,
                             0.41421357f,
                             0.5f,
                             0.70710677f,
                             0.9375f,
                             1.0f,
                             1.4142135f,
                             1.5f,
                             1.5707964f,
                             2.0f,
                             2.5f,
                             3.1415927f,
                             4.0f,
                             9.02f,
                             17.5f,
                             88.72283f,
                             88.72284f,
                             89.41598f,
                             89.41599f,
                             103.97f,
                             126.0f,
                             127.99999f,
                             128.0f,
                             149.0f,
                             149.99998f,
                             150.0f,
                             10000.0f,
                             0x1p22f,
                             0x1.fffffep22f,
                             0x1p23f,
                             0x1.000002p23f,
                             0x1p27f,
                             0x1.000002p27f,
                             16367173 * 0x1p72f,
                             0x1.fffffep127f,
                             infinite,
                             nan})
      for (const float value : {edge, std::nextafterf(edge, 0), std::nextafterf(edge, infinite)})
        values.insert(values.end(), {value, -value});
    return values;
  }();
  return all;
}

Array row_of(const Floats& values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }

Floats floats_of(const Array& array) {
  const std::span<const float> data = array.data<float>();
  return {data.begin(), data.end()};
}

// NaN by whatever bits.
void expect_same_bits(const Floats& expected, const Floats& got, const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    if (!std::isnan(expected[i]) || !std::isnan(got[i])) {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(expected[i]), std::bit_cast<std::uint32_t>(got[i]))
          << what << ", element " << i << ": " << expected[i] << " and " << got[i];
    }
}

TEST(MathFunctions, AreRightOverTheWholeRangeAtEveryLevel) {
  const Floats& x = sweep();
  std::vector<Floats> of_first_level(test::unary_functions().size());
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session;
    for (std::size_t f = 0; f < test::unary_functions().size(); ++f) {
      const UnaryFunction& function = test::unary_functions()[f];
      const Floats got = floats_of(function.op(row_of(x)));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double exact = function.exact(x[i]);
        if (test::is_near(function, x[i], got[i], exact)) continue;
        ASSERT_LE(ulps_of(got[i], exact), function.ulps)
            << function.name << '(' << x[i] << ") = " << got[i] << ", expected " << exact << " at " << to_string(isa);
      }
      if (of_first_level[f].empty()) of_first_level[f] = got;
      ASSERT_NO_FATAL_FAILURE(expect_same_bits(of_first_level[f], got, function.name));
    }
  }
}

// Of one element, of rows that vectors do not fill, and inside a loop with others.
TEST(MathFunctions, SizeAndFusionChangeNoBit) {
  const Floats& x = sweep();
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    for (const UnaryFunction& function : test::unary_functions()) {
      SessionOptions apart;
      apart.fusion = "none";
      Floats alone, halves;
      {
        Session session(apart);
        alone = floats_of(function.op(row_of(x)));
        halves = floats_of(function.op(row_of(x) * 0.5) * 2.0);
      }
      Session session;
      expect_same_bits(halves, floats_of(function.op(row_of(x) * 0.5) * 2.0), function.name);
      for (const std::size_t size : {1u, 15u, 17u, 33u}) {
        const std::size_t first = x.size() - size;
        expect_same_bits(
            Floats(alone.begin() + static_cast<std::ptrdiff_t>(first), alone.end()),
            floats_of(function.op(row_of(Floats(x.begin() + static_cast<std::ptrdiff_t>(first), x.end())))),
            function.name);
      }
    }
  }
}

TEST(MathFunctions, OfSixteenBitsAreThoseOfF32RoundedOnce) {
  BufferRef bits = Buffer::allocate(2 << 16);
  for (std::uint32_t i = 0; i < 1u << 16; ++i) bits->as<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
  Session session;
  for (const DType dtype : {DType::f16, DType::bf16})
    for (const UnaryFunction& function : test::unary_functions()) {
      if (!function.is_one_op) continue;  // each of several rounds
      const Array x = Array::from(bits, Type{dtype, {1 << 16}});
      const Array got = cast(function.op(x), DType::f32),
                  wide = cast(cast(function.op(cast(x, DType::f32)), dtype), DType::f32);
      const Floats expected = floats_of(wide), values = floats_of(got);
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_TRUE(values[i] == expected[i] || (std::isnan(values[i]) && std::isnan(expected[i])))
            << function.name << " of " << to_string(dtype) << " 0x" << std::hex << i << ": " << values[i]
            << ", expected " << expected[i];
    }
}

// All pairs of numbers that have a special meaning in one of the functions, and random pairs of all sizes.
std::pair<Floats, Floats> pairs() {
  const Floats special = {0,
                          0x1p-149f,
                          0x1p-126f,
                          0.1f,
                          0.5f,
                          0x1.fffffep-1f,
                          1,
                          0x1.000002p0f,
                          1.5f,
                          2,
                          2.5f,
                          3,
                          7,
                          1e4f,
                          8388607.5f,
                          0x1p23f,
                          8388609,
                          0x1.fffffep23f,
                          0x1p24f,
                          0x1p27f,
                          3e10f,
                          1e30f,
                          0x1.fffffep127f,
                          infinite,
                          nan};
  std::pair<Floats, Floats> all;
  for (const float a : special)
    for (const float b : special)
      for (const float signed_a : {a, -a})
        for (const float signed_b : {b, -b}) {
          all.first.push_back(signed_a);
          all.second.push_back(signed_b);
        }
  std::uint32_t state = 1;
  const auto random = [&state] { return state = state * 1664525u + 1013904223u, state >> 8; };
  for (int i = 0; i < 60000; ++i) {
    const bool moderate = i % 3 != 0;
    const auto number = [&] {
      const std::uint32_t exponent = moderate ? 120 + random() % 16 : random() % 255;
      return std::bit_cast<float>((random() & 1) << 31 | exponent << 23 | (random() & 0x7fffff));
    };
    all.first.push_back(number());
    all.second.push_back(i % 5 == 0 ? std::nearbyint(number()) : number());
  }
  // Powers up to the largest finite ones, which make the most of an error of the logarithm.
  for (int i = 0; i < 20000; ++i) {
    const float base = std::bit_cast<float>(std::uint32_t{127} << 23 | (random() & 0x7fffff));
    const float logarithm = static_cast<float>(static_cast<int>(random() % 25400) - 12700) / 100;
    all.first.push_back(base);
    all.second.push_back(logarithm / std::max(std::log2(base), 1e-3f));
  }
  return all;
}

TEST(MathFunctions, OfTwoOperandsAreRightAtEveryLevel) {
  const std::vector<BinaryFunction>& functions = test::binary_functions();
  const auto [a, b] = pairs();
  std::vector<Floats> of_first_level(functions.size());
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session;
    for (std::size_t f = 0; f < functions.size(); ++f) {
      const Floats got = floats_of(functions[f].op(row_of(a), row_of(b)));
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double exact = functions[f].exact(a[i], b[i]);
        ASSERT_LE(ulps_of(got[i], exact), functions[f].ulps)
            << functions[f].name << '(' << a[i] << ", " << b[i] << ") = " << got[i] << ", expected " << exact << " at "
            << to_string(isa);
      }
      if (of_first_level[f].empty()) of_first_level[f] = got;
      ASSERT_NO_FATAL_FAILURE(expect_same_bits(of_first_level[f], got, functions[f].name));
    }
  }
}

TEST(MathFunctions, TellNumbersFromOthers) {
  using Bools = std::vector<bool>;
  const auto bools = [](const Array& array) {
    const std::span<const bool> data = array.data<bool>();
    return Bools(data.begin(), data.end());
  };
  Session session;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Array x = cast(Array::from({0.0f, -1.5f, infinite, -infinite, nan}, {5}), dtype);
    EXPECT_EQ(bools(isnan(x)), Bools({false, false, false, false, true}));
    EXPECT_EQ(bools(isinf(x)), Bools({false, false, true, true, false}));
    EXPECT_EQ(bools(isfinite(x)), Bools({true, true, false, false, false}));
  }
  const Array whole =
      Array::from({std::numeric_limits<std::int32_t>::min(), 0, std::numeric_limits<std::int32_t>::max()}, {3});
  EXPECT_EQ(bools(isnan(whole)), Bools({false, false, false}));
  EXPECT_EQ(bools(isinf(whole)), Bools({false, false, false}));
  EXPECT_EQ(bools(isfinite(whole)), Bools({true, true, true}));
}

template <class T>
std::vector<T> values_of(const Array& array) {
  const std::span<const T> data = array.data<T>();
  return {data.begin(), data.end()};
}

TEST(MathFunctions, IntegersNeverTrap) {
  using Ints = std::vector<std::int32_t>;
  const std::int32_t least = std::numeric_limits<std::int32_t>::min();
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session;
    const Array a = Array::from({7, -7, 7, -7, 5, least, 0, -8}, {8}),
                b = Array::from({3, 3, -3, -3, 0, -1, 9, 4}, {8});
    EXPECT_EQ(values_of<std::int32_t>(remainder(a, b)), Ints({1, 2, -2, -1, 0, 0, 0, 0}));
    EXPECT_EQ(values_of<std::int32_t>(fmod(a, b)), Ints({1, -1, 1, -1, 0, 0, 0, 0}));
    const Array x = Array::from({1, -5, 1, -5, -5, 3}, {6}), count = Array::from({4, 1, 32, 32, -1, 31}, {6});
    EXPECT_EQ(values_of<std::int32_t>(left_shift(x, count)), Ints({16, -10, 0, 0, 0, least}));
    EXPECT_EQ(values_of<std::int32_t>(right_shift(x, count)), Ints({0, -3, 0, -1, -1, 0}));
    EXPECT_EQ(values_of<std::uint8_t>(right_shift(Array::from<std::uint8_t>({200, 200, 200}, {3}),
                                                  Array::from<std::uint8_t>({3, 8, 255}, {3}))),
              std::vector<std::uint8_t>({25, 0, 0}));
    EXPECT_EQ(values_of<std::int64_t>(
                  left_shift(Array::from<std::int64_t>({1, 1}, {2}), Array::from<std::int64_t>({62, 64}, {2}))),
              std::vector<std::int64_t>({std::int64_t{1} << 62, 0}));
    EXPECT_EQ(values_of<std::int32_t>(bitwise_xor(x, bitwise_invert(x))), Ints(6, -1));
    EXPECT_EQ(values_of<std::int32_t>(bitwise_or(bitwise_and(x, 6), 8)), Ints({8, 10, 8, 10, 10, 10}));
    EXPECT_EQ(values_of<std::int32_t>(sign(a)), Ints({1, -1, 1, -1, 1, -1, 0, -1}));
  }
}

TEST(MathFunctions, RefuseOtherDtypesInOneLine) {
  const Array real = Array::from({1.0f}, {1}), truth = Array::from({true}, {1}), whole = Array::from({1}, {1});
  EXPECT_EQ(test::error_of([&] { bitwise_and(real, real); }), "bitwise_and: operand 0 is f32[1], expected integers");
  EXPECT_EQ(test::error_of([&] { bitwise_invert(truth); }), "bitwise_invert: operand 0 is bool[1], expected integers");
  EXPECT_EQ(test::error_of([&] { left_shift(whole, cast(whole, DType::i8)); }),
            "left_shift: dtypes differ: i32[1] and i8[1]; cast one of them");
  EXPECT_EQ(test::error_of([&] { relu(truth); }), "maximum: operand 0 is bool[1], expected numbers");
  EXPECT_EQ(test::error_of([&] { gelu(whole); }),
            "gelu: operand 0 is i32[1], expected a real dtype (f32, f16, bf16, f64)");
  EXPECT_EQ(test::error_of([&] { atan2(whole, whole); }),
            "atan2: operand 0 is i32[1], expected a real dtype (f32, f16, bf16, f64)");
}

}  // namespace
}  // namespace lazuli
