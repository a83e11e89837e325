// SPDX-License-Identifier: MIT
// A slice of a slice is what both take one after the other, whether passes join them or not: empty ones, steps below 0,
// and steps whose product no integer holds.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>

#include <limits>
#include <string>

namespace lazuli {
namespace {

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();

struct Range {
  std::int64_t begin, end, step;
};

// All that a slice of an axis of this size may take, for some steps.
std::vector<Range> ranges_of(std::int64_t size, const std::vector<std::int64_t>& steps) {
  std::vector<Range> ranges;
  for (const std::int64_t step : steps) {
    if (step > 0)
      for (std::int64_t begin = 0; begin <= size; ++begin)
        for (std::int64_t end = begin; end <= size; ++end) ranges.push_back({begin, end, step});
    else
      for (std::int64_t begin = size - 1; begin >= 0; --begin)
        for (std::int64_t end = begin; end >= -1; --end) ranges.push_back({begin, end, step});
  }
  return ranges;
}

std::vector<float> taken(const std::vector<float>& from, const Range& range) {
  std::vector<float> result;
  std::int64_t i = range.begin;
  while (range.step > 0 ? i < range.end : i > range.end) {
    result.push_back(from[static_cast<std::size_t>(i)]);
    if (range.step > 0 ? range.step >= range.end - i : range.step <= range.end - i) break;
    i += range.step;
  }
  return result;
}

std::string text(const Range& range) {
  return "[" + std::to_string(range.begin) + ":" + std::to_string(range.end) + ":" + std::to_string(range.step) + "]";
}

void expect_all_pairs(std::int64_t size, const std::vector<std::int64_t>& steps) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(static_cast<float>(i));
  const Array x = Array::from(values, {size});
  std::vector<Array> results;
  std::vector<std::vector<float>> expected;
  std::vector<std::string> pairs;
  for (const Range& first : ranges_of(size, steps)) {
    const std::vector<float> once = taken(values, first);
    const Array part = slice(x, {first.begin}, {first.end}, {first.step});
    ASSERT_EQ(part.size(0), static_cast<std::int64_t>(once.size())) << text(first);
    for (const Range& second : ranges_of(part.size(0), steps)) {
      results.push_back(slice(part, {second.begin}, {second.end}, {second.step}));
      expected.push_back(taken(once, second));
      pairs.push_back(text(first) + " then " + text(second));
    }
  }
  eval(results);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::span<const float> found = results[i].data<float>();
    ASSERT_EQ(std::vector<float>(found.begin(), found.end()), expected[i]) << size << ": " << pairs[i];
  }
}

void expect_everywhere(std::int64_t size, const std::vector<std::int64_t>& steps) {
  for (const char* backend : {"cpu", "reference"})
    for (const char* fusion : {"all", "none"}) {
      SessionOptions options;
      options.backend = backend;
      options.fusion = fusion;
      options.threads = 1;
      options.verify = true;
      Session session(options);
      expect_all_pairs(size, steps);
    }
}

TEST(SlicesOfSlices, OfAnyTwoRanges) {
  for (const std::int64_t size : {0, 1, 2, 3, 4}) expect_everywhere(size, {1, 2, 3, -1, -2, -3});
}

TEST(SlicesOfSlices, WhoseStepsNoProductHolds) {
  for (const std::int64_t size : {1, 2, 3})
    expect_everywhere(size, {1, -1, std::int64_t{1} << 32, -(std::int64_t{1} << 32), std::int64_t{1} << 62, largest,
                             -largest, smallest});
}

// Several axes, and what comes behind them.
TEST(SlicesOfSlices, OfSeveralAxesInsideOtherOps) {
  SessionOptions options;
  options.verify = true;
  Session session(options);
  std::vector<float> values(30);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Array x = Array::from(values, {5, 6});
  const Array part = slice(slice(x, {4, 1}, {-1, 6}, {-2, 2}), {0, 2}, {3, -1}, {largest, -2});  // row 4; columns 5, 1
  const Array doubled = part * 2.0;
  EXPECT_EQ(std::vector<float>(doubled.data<float>().begin(), doubled.data<float>().end()),
            (std::vector<float>{58, 50}));
  const Array last = slice(slice(x, {0, 0}, {5, 6}, {4, 1}), {1, 0}, {2, 6}, {largest, 5});
  EXPECT_EQ(sum(last).item<float>(), 24.0f + 29.0f);
}

}  // namespace
}  // namespace lazuli
