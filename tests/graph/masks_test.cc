// SPDX-License-Identifier: MIT
// Filled arrays and masks, against formulas over the index.
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>

#include <limits>

namespace lazuli {
namespace {

using test::at;
using test::counting;
using test::error_of;
using test::expect_elements;
using test::numbers;
using test::values_of;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

TEST(Filled, OnesAndLikes) {
  Session session;
  for (DType dtype : test::plain_dtypes()) {
    const Array x = counting(dtype, {3, 5});
    expect_elements(ones({3, 5}, dtype), x.type(), [](const Dims&) { return 1; });
    expect_elements(ones_like(x), x.type(), [](const Dims&) { return 1; });
    expect_elements(zeros_like(x), x.type(), [](const Dims&) { return 0; });
    expect_elements(full_like(x, 1), x.type(), [](const Dims&) { return 1; });
  }
  expect_elements(ones({}), {DType::f32, {}}, [](const Dims&) { return 1; });
  expect_elements(ones({0, 3}), {DType::f32, {0, 3}}, [](const Dims&) { return 1; });
}

TEST(Filled, ArangeCountsFromStartToStop) {
  Session session;
  struct Range {
    double start, stop, step;
    std::int64_t count;
  };
  for (DType dtype : test::plain_dtypes()) {
    if (dtype == DType::bool_) continue;
    for (const Range& range :
         std::vector<Range>{{0, 7, 1, 7}, {3, 20, 4, 5}, {20, 3, -4, 5}, {5, 5, 1, 0}, {5, 2, 1, 0}})
      expect_elements(arange(range.start, range.stop, range.step, dtype), {dtype, {range.count}},
                      [&](const Dims& i) { return range.start + static_cast<double>(i[0]) * range.step; });
  }
  // Values that fit, of an index that does not.
  expect_elements(arange(-128, 127, 1, DType::i8), {DType::i8, {255}},
                  [](const Dims& i) { return static_cast<double>(i[0]) - 128; });
  expect_elements(arange(4294967290.0, 4294967295.0, 1, DType::u32), {DType::u32, {5}},
                  [](const Dims& i) { return static_cast<double>(i[0]) + 4294967290.0; });
  expect_elements(arange(0, 1, 0.25, DType::f32), {DType::f32, {4}},
                  [](const Dims& i) { return static_cast<double>(i[0]) * 0.25; });
  EXPECT_EQ(error_of([] { arange(0, 1, 0.5); }), "arange: cannot count from 0 to 1 by 0.5 in i32");
  EXPECT_EQ(error_of([] { arange(0, 1, 1, DType::bool_); }), "arange: cannot count from 0 to 1 by 1 in bool");
  EXPECT_EQ(error_of([] { arange(0, 1, 0); }), "arange: 0 to 1 by 0 has no end, or too many values");
}

TEST(Filled, LinspaceHasBothEnds) {
  Session session;
  for (DType dtype : {DType::f32, DType::f16, DType::bf16})
    expect_elements(
        linspace(-1, 3, 17, dtype), {dtype, {17}}, [](const Dims& i) { return -1 + 0.25 * static_cast<double>(i[0]); },
        1e-6);
  const std::vector<double> thirds = values_of(linspace(0.1, 0.7, 4));
  EXPECT_EQ(thirds.front(), 0.1f);
  EXPECT_EQ(thirds.back(), 0.7f);
  EXPECT_EQ(values_of(linspace(5, 9, 1)), std::vector<double>{5});
  EXPECT_EQ(linspace(5, 9, 0).shape(), Shape{0});
  EXPECT_EQ(linspace(5, 9).shape(), Shape{50});
  EXPECT_EQ(error_of([] { linspace(0, 1, -1); }), "linspace: -1 given as a size, expected 0 or more");
  EXPECT_EQ(error_of([] { linspace(0, 1, 5, DType::i32); }), "linspace: dtype is i32, expected a real one");
}

TEST(Masks, EyeTriAndTriangles) {
  Session session;
  for (DType dtype : test::plain_dtypes())
    for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{{3, 5}, {5, 3}, {4, 4}, {0, 3}, {1, 17}})
      for (const std::int64_t k : {-100, -5, -2, 0, 1, 4, 100}) {
        const Type type{dtype, {rows, columns}};
        expect_elements(eye(rows, columns, k, dtype), type, [&](const Dims& i) { return i[1] == i[0] + k; });
        expect_elements(tri(rows, columns, k, dtype), type, [&](const Dims& i) { return i[1] <= i[0] + k; });
        const Array x = counting(dtype, {2, rows, columns});
        const std::vector<double> values = values_of(x);
        expect_elements(tril(x, k), x.type(),
                        [&](const Dims& i) { return i[2] <= i[1] + k ? at(values, x.shape(), i) : 0; });
        expect_elements(triu(x, k), x.type(),
                        [&](const Dims& i) { return i[2] >= i[1] + k ? at(values, x.shape(), i) : 0; });
      }
  expect_elements(identity(3), {DType::f32, {3, 3}}, [](const Dims& i) { return i[0] == i[1]; });
  EXPECT_EQ(error_of([] { tril(numbers(DType::f32, {2}, {1, 2})); }),
            "tril: operand is f32[2], expected [..., rows, columns]");
  EXPECT_EQ(error_of([] { eye(3, -1); }), "eye: -1 given as a size, expected 0 or more");
}

TEST(Masks, OneHotOfEveryInteger) {
  Session session;
  for (DType dtype : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32, DType::i64, DType::u64}) {
    const Array classes = numbers(dtype, {2, 3}, {0, 4, 2, 5, 1, 100});
    const std::vector<double> values = values_of(classes);
    expect_elements(one_hot(classes, 5), {DType::f32, {2, 3, 5}},
                    [&](const Dims& i) { return at(values, {2, 3}, {i[0], i[1]}) == static_cast<double>(i[2]); });
  }
  expect_elements(one_hot(numbers(DType::u8, {1}, {255}), 300, DType::bool_), {DType::bool_, {1, 300}},
                  [](const Dims& i) { return i[1] == 255; });
  expect_elements(one_hot(numbers(DType::i32, {2}, {-1, 0}), 2), {DType::f32, {2, 2}},
                  [](const Dims& i) { return i[0] == 1 && i[1] == 0; });
  EXPECT_EQ(error_of([] { one_hot(numbers(DType::f32, {1}, {0}), 2); }),
            "one_hot: indices are f32[1], expected integers");
}

TEST(Masks, WhereTakesNumbersAndBroadcasts) {
  Session session;
  const Array condition = counting(DType::bool_, {3, 1}), x = counting(DType::f16, {4});
  const std::vector<double> values = values_of(x);
  expect_elements(where(condition, x, -2), {DType::f16, {3, 4}},
                  [&](const Dims& i) { return i[0] == 0 ? values[static_cast<std::size_t>(i[1])] : -2; });
}

TEST(Masks, IsCloseAndAllClose) {
  Session session;
  const Array a = numbers(DType::f32, {7}, {1, 1, infinity, infinity, -infinity, nan, 3});
  const Array b = numbers(DType::f32, {7}, {1.000001, 1.1, infinity, -infinity, 5, nan, infinity});
  EXPECT_EQ(values_of(isclose(a, b)), (std::vector<double>{1, 0, 1, 0, 0, 0, 0}));
  EXPECT_EQ(values_of(isclose(a, b, 0.2, 0, true)), (std::vector<double>{1, 1, 1, 0, 0, 1, 0}));
  EXPECT_EQ(allclose(a, b).type(), (Type{DType::bool_, {}}));
  EXPECT_FALSE(allclose(a, b).item<bool>());
  EXPECT_TRUE(allclose(a, a, 0, 0, true).item<bool>());
  EXPECT_TRUE(allclose(zeros({0, 3}), ones({0, 3})).item<bool>());
  EXPECT_TRUE(allclose(counting(DType::f32, {300, 100}), counting(DType::f32, {300, 100})).item<bool>());
  EXPECT_EQ(error_of([&] { isclose(iota(3), iota(3)); }), "isclose: operand is i32[3], expected a real dtype");
}

TEST(Masks, NanToNumber) {
  Session session;
  const std::vector<double> values = {nan, infinity, -infinity, 2};
  EXPECT_EQ(values_of(nan_to_num(numbers(DType::f32, {4}, values))),
            (std::vector<double>{0, std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(), 2}));
  EXPECT_EQ(values_of(nan_to_num(numbers(DType::f16, {4}, values))), (std::vector<double>{0, 65504, -65504, 2}));
  EXPECT_EQ(values_of(nan_to_num(numbers(DType::bf16, {4}, values))),
            (std::vector<double>{0, 0x1.fep127, -0x1.fep127, 2}));
  EXPECT_EQ(values_of(nan_to_num(numbers(DType::f32, {4}, values), -1, 7, 8)), (std::vector<double>{-1, 7, 8, 2}));
  EXPECT_EQ(values_of(nan_to_num(iota(3))), (std::vector<double>{0, 1, 2}));
}

}  // namespace
}  // namespace lazuli
