// SPDX-License-Identifier: MIT
// Any number of arrays become one.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

namespace lazuli {
namespace {

std::vector<float> values_of(const Array& x) {
  const std::span<const float> data = x.data<float>();
  return {data.begin(), data.end()};
}

TEST(Concatenate, OfAsManyArraysAsAreGiven) {
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions options;
    options.backend = backend;
    Session session(options);
    for (const std::size_t count : {1u, 64u, 65u, 128u, 129u, 4097u}) {
      std::vector<Array> parts;
      std::vector<float> first, both;
      for (std::size_t i = 0; i < count; ++i) {
        first.push_back(static_cast<float>(i));
        parts.push_back(Array::from<float>({static_cast<float>(i), -1.0f}, {1, 2}));
        both.insert(both.end(), {static_cast<float>(i), -1.0f});
      }
      const auto size = static_cast<std::int64_t>(count);
      const Array rows = concatenate(parts, 0), stacked = stack(parts), last = stack(parts, -1);
      EXPECT_EQ(rows.shape(), (Shape{size, 2}));
      EXPECT_EQ(stacked.shape(), (Shape{size, 1, 2}));
      EXPECT_EQ(last.shape(), (Shape{1, 2, size}));
      EXPECT_EQ(values_of(rows), both) << backend << ", " << count;
      EXPECT_EQ(values_of(stacked), both) << backend << ", " << count;
      EXPECT_EQ(values_of(slice(last, {0, 0, 0}, {1, 1, size})), first) << backend << ", " << count;
      EXPECT_EQ(values_of(concatenate(parts, 1)), both) << backend << ", " << count;
    }
  }
}

TEST(Concatenate, OfManyArraysSaysWhatDoesNotFit) {
  std::vector<Array> parts(100, placeholder({DType::f32, {1, 2}}));
  parts[80] = placeholder({DType::f32, {1, 3}});
  EXPECT_TRUE(test::error_of([&] { concatenate(parts, 0); }).starts_with("concatenate: "));
}

}  // namespace
}  // namespace lazuli
