// SPDX-License-Identifier: MIT
// Sorting and cumulative ops as a program meets them; ops_agree_test.cc compares backends.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>

namespace lazuli {
namespace {

using test::error_of;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <class T>
std::vector<T> list(const Array& x) {
  const std::span<const T> values = x.data<T>();
  return {values.begin(), values.end()};
}

TEST(Ordering, SortsNaNLastAndKeepsEqualsInOrder) {
  Session session;
  const Array x = Array::from<float>({nan, 3, 0.0f, -0.0f, -infinity, infinity, 3, nan, -1}, {9});
  EXPECT_EQ(list<std::int32_t>(argsort(x)), (std::vector<std::int32_t>{4, 8, 2, 3, 1, 6, 5, 0, 7}));
  const std::vector<float> sorted = list<float>(sort(x));
  EXPECT_EQ(std::vector<float>(sorted.begin(), sorted.begin() + 7),
            (std::vector<float>{-infinity, -1, 0, 0, 3, 3, infinity}));
  EXPECT_FALSE(std::signbit(sorted[2]));
  EXPECT_TRUE(std::signbit(sorted[3]));
  EXPECT_TRUE(std::isnan(sorted[7]) && std::isnan(sorted[8]));
}

TEST(Ordering, SortsAlongAnyAxis) {
  Session session;
  const Array x = Array::from<std::int32_t>({5, 1, 4, 2, 9, -3}, {2, 3});
  EXPECT_EQ(list<std::int32_t>(sort(x)), (std::vector<std::int32_t>{1, 4, 5, -3, 2, 9}));
  EXPECT_EQ(list<std::int32_t>(sort(x, 0)), (std::vector<std::int32_t>{2, 1, -3, 5, 9, 4}));
  EXPECT_EQ(list<std::int32_t>(argsort(x, -2)), (std::vector<std::int32_t>{1, 0, 1, 0, 1, 0}));
}

TEST(Ordering, PartitionsAroundAPlace) {
  Session session;
  const Type type{DType::f32, {4, 101}};
  const BufferRef buffer = test::random_buffer(type, 3);
  const Array x = Array::from(buffer, type);
  for (const std::int64_t kth : {0, 50, 100, -1, -101}) {
    const std::int64_t place = kth < 0 ? kth + 101 : kth;
    const std::vector<float> parts = list<float>(partition(x, kth));
    const std::vector<std::int32_t> places = list<std::int32_t>(argpartition(x, kth));
    for (std::int64_t row = 0; row < 4; ++row) {
      std::vector<float> sorted(buffer->as<float>() + row * 101, buffer->as<float>() + (row + 1) * 101);
      std::sort(sorted.begin(), sorted.end());
      const float middle = parts[static_cast<std::size_t>(row * 101 + place)];
      EXPECT_EQ(middle, sorted[static_cast<std::size_t>(place)]);
      for (std::int64_t i = 0; i < 101; ++i) {
        const auto at = static_cast<std::size_t>(row * 101 + i);
        EXPECT_TRUE(i < place ? parts[at] <= middle : parts[at] >= middle);
        EXPECT_EQ(buffer->as<float>()[row * 101 + places[at]], parts[at]);
      }
    }
  }
}

TEST(Ordering, LargestAlongAnyAxis) {
  Session session;
  const Array x = Array::from<float>({1, 7, 3, 9, 5, 7, 2, 8, 3, 0, 6, 4}, {3, 2, 2});
  const TopK best = top_k(x, 2, 0);
  EXPECT_EQ(best.values.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(list<float>(best.values), (std::vector<float>{5, 7, 6, 9, 3, 7, 3, 8}));
  EXPECT_EQ(list<std::int32_t>(best.indices), (std::vector<std::int32_t>{1, 0, 2, 0, 2, 1, 0, 1}));
  EXPECT_EQ(list<float>(top_k(x, 1, -2).values), (std::vector<float>{3, 9, 5, 8, 6, 4}));
  EXPECT_EQ(list<float>(top_k(x, 1, 2).values), list<float>(top_k(x, 1).values));
}

TEST(Ordering, CumulativeInBothDirectionsWithAndWithoutTheElement) {
  Session session;
  const Array x = Array::from<float>({3, 1, 4, 1, 5}, {5});
  using Floats = std::vector<float>;
  EXPECT_EQ(list<float>(cumsum(x, 0)), (Floats{3, 4, 8, 9, 14}));
  EXPECT_EQ(list<float>(cumsum(x, 0, true)), (Floats{14, 11, 10, 6, 5}));
  EXPECT_EQ(list<float>(cumsum(x, 0, false, false)), (Floats{0, 3, 4, 8, 9}));
  EXPECT_EQ(list<float>(cumsum(x, 0, true, false)), (Floats{11, 10, 6, 5, 0}));
  EXPECT_EQ(list<float>(cumprod(x, -1)), (Floats{3, 3, 12, 12, 60}));
  EXPECT_EQ(list<float>(cumprod(x, 0, true, false)), (Floats{20, 20, 5, 5, 1}));
  EXPECT_EQ(list<float>(cummax(x, 0)), (Floats{3, 3, 4, 4, 5}));
  EXPECT_EQ(list<float>(cummax(x, 0, false, false)), (Floats{-infinity, 3, 3, 4, 4}));
  EXPECT_EQ(list<float>(cummin(x, 0, true)), (Floats{1, 1, 1, 1, 5}));
  const Array bytes = Array::from<std::uint8_t>({200, 100, 3}, {3});
  EXPECT_EQ(list<std::uint8_t>(cumsum(bytes, 0)), (std::vector<std::uint8_t>{200, 44, 47}));
  EXPECT_EQ(list<std::uint8_t>(cummin(bytes, 0, false, false)), (std::vector<std::uint8_t>{255, 200, 100}));
  EXPECT_EQ(cumsum(zeros({0}), 0).shape(), Shape{0});
}

// f32 alone would stand still at 2^24.
TEST(Ordering, LongSumsKeepTheirDigits) {
  Session session;
  const std::int64_t count = (std::int64_t{1} << 24) + 16;
  const Array total = cumsum(broadcast_to(Array::from<float>({1}, {1}), {count}), 0);
  EXPECT_EQ(slice(total, {count - 1}, {count}).item<float>(), 16777232.0f);
}

TEST(Ordering, SaysWhatItExpects) {
  const Array x = placeholder({DType::f32, {2, 3}}), bools = placeholder({DType::bool_, {3}}),
              number = placeholder({DType::f32, {}}), weight = placeholder({DType::q4_0, {2, 32}});
  EXPECT_EQ(error_of([&] { cumsum(x, 2); }), "cumsum: axis 2 is out of range for an array of rank 2");
  EXPECT_EQ(error_of([&] { cumsum(bools, 0); }), "cumsum: operand 0 is bool[3], expected numbers");
  EXPECT_EQ(error_of([&] { sort(number); }), "sort: axis -1 is out of range for an array of rank 0");
  EXPECT_TRUE(error_of([&] { argsort(weight); }).starts_with("argsort: operand 0 is q4_0[2,32]; quantised arrays"));
  EXPECT_EQ(error_of([&] { partition(x, 3); }), "partition: kth is 3, expected [-3, 3) of f32[2,3] along axis 1");
  EXPECT_EQ(error_of([&] { argpartition(x, -3, 0); }),
            "argpartition: kth is -3, expected [-2, 2) of f32[2,3] along axis 0");
  EXPECT_EQ(error_of([&] { top_k(x, 1, 2); }), "top_k: axis 2 is out of range for an array of rank 2");
}

}  // namespace
}  // namespace lazuli
