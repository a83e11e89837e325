// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/backends/plan.h>
#include <lazuli/graph/base/error.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace lazuli {
namespace {

std::size_t total_bytes(const std::vector<Interval>& intervals) {
  return std::accumulate(intervals.begin(), intervals.end(), std::size_t{0},
                         [](std::size_t sum, const Interval& interval) { return sum + interval.bytes; });
}

bool share_time(const Interval& a, const Interval& b) { return a.first <= b.last && b.first <= a.last; }

void expect_valid(const std::vector<Interval>& intervals, const Plan& plan) {
  ASSERT_EQ(plan.offsets.size(), intervals.size());
  std::size_t end = 0;
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % intervals[i].alignment, 0u);
    end = std::max(end, plan.offsets[i] + intervals[i].bytes);
    for (std::size_t j = 0; j < i; ++j) {
      if (!share_time(intervals[i], intervals[j]) || intervals[i].bytes == 0 || intervals[j].bytes == 0) continue;
      const bool apart = plan.offsets[i] + intervals[i].bytes <= plan.offsets[j] ||
                         plan.offsets[j] + intervals[j].bytes <= plan.offsets[i];
      ASSERT_TRUE(apart) << describe(plan, intervals);
    }
  }
  EXPECT_EQ(plan.peak, end);
  EXPECT_GE(plan.peak, max_live_bytes(intervals));
}

// Sizes are multiples of the alignment, so that padding cannot push the peak above the plain sum.
std::vector<Interval> random_intervals(std::mt19937& random, int count, std::int64_t instructions, std::int64_t life) {
  std::vector<Interval> intervals;
  for (int i = 0; i < count; ++i) {
    const std::int64_t first = random() % instructions;
    intervals.push_back({first, first + static_cast<std::int64_t>(random() % life), 64 * (random() % 40), 64});
  }
  return intervals;
}

TEST(Plan, RandomLifetimesNeverShareBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 400; ++round) {
    const int count = 1 + random() % 150;
    const std::vector<Interval> intervals = random_intervals(random, count, 1 + random() % 200, 1 + random() % 60);
    const Plan plan = plan_arena(intervals);
    expect_valid(intervals, plan);
    EXPECT_LE(plan.peak, total_bytes(intervals));
  }
}

TEST(Plan, LongProgramsStayValid) {
  std::mt19937 random(2);
  for (const std::int64_t life : {1, 4, 40, 400}) {
    const std::vector<Interval> intervals = random_intervals(random, 3000, 3000, life);
    expect_valid(intervals, plan_arena(intervals));
  }
}

TEST(Plan, HonoursMixedAlignments) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    std::vector<Interval> intervals = random_intervals(random, 60, 40, 20);
    for (Interval& interval : intervals) {
      interval.bytes = random() % 1000;
      interval.alignment = std::size_t{1} << (random() % 13);
    }
    expect_valid(intervals, plan_arena(intervals));
  }
}

TEST(Plan, ChainNeedsTwoBuffers) {
  std::vector<Interval> intervals;
  for (std::int64_t i = 0; i < 1000; ++i) intervals.push_back({i, i + 1, 4096});
  const Plan plan = plan_arena(intervals);
  EXPECT_EQ(plan.peak, 2 * 4096u);
  EXPECT_EQ(plan.peak, max_live_bytes(intervals));
}

TEST(Plan, TakesTheSmallestGapThatFits) {
  // Stacked in this order, as the sizes fall. At instruction 1 those of 512 and 384 bytes are gone and leave gaps.
  const std::vector<Interval> intervals = {
      {0, 1, 1024}, {0, 0, 512}, {0, 1, 448}, {0, 0, 384}, {0, 1, 320}, {1, 1, 256},
  };
  const Plan plan = plan_arena(intervals);
  EXPECT_EQ(plan.offsets[5], plan.offsets[3]);
  EXPECT_EQ(plan.peak, 1024u + 512 + 448 + 384 + 320);
}

TEST(Plan, EmptyAndZeroByteBuffers) {
  EXPECT_EQ(plan_arena({}).peak, 0u);
  const std::vector<Interval> intervals = {{0, 5, 0}, {0, 5, 64}, {2, 3, 0}};
  const Plan plan = plan_arena(intervals);
  EXPECT_EQ(plan.peak, 64u);
  EXPECT_EQ(plan.offsets, (std::vector<std::size_t>{0, 0, 0}));
}

TEST(Plan, RejectsWhatCannotBe) {
  EXPECT_THROW(plan_arena(std::vector<Interval>{{3, 2, 64}}), InternalError);
  EXPECT_THROW(plan_arena(std::vector<Interval>{{0, 2, 64, 48}}), InternalError);
  EXPECT_THROW(plan_arena(std::vector<Interval>{{0, 2, 64, 0}}), InternalError);
}

TEST(Plan, SameIntervalsSamePlan) {
  std::mt19937 random(4);
  const std::vector<Interval> intervals = random_intervals(random, 500, 300, 50);
  EXPECT_EQ(plan_arena(intervals).offsets, plan_arena(intervals).offsets);
}

// Quadratic time would not end before the test's timeout.
TEST(Plan, AMillionBuffers) {
  std::vector<Interval> chain;
  for (std::int64_t i = 0; i < 1'000'000; ++i) chain.push_back({i, i + 1, 64});
  EXPECT_EQ(plan_arena(chain).peak, 128u);
}

// Few alive, many alive, nearly all alive.
TEST(Plan, TenThousandBuffers) {
  std::mt19937 random(5);
  for (const std::int64_t life : {4, 500, 5000}) {
    const std::vector<Interval> intervals = random_intervals(random, 10000, 10000, life);
    EXPECT_GE(plan_arena(intervals).peak, max_live_bytes(intervals)) << "lives of up to " << life;
  }
}

TEST(Plan, DescribesEachBuffer) {
  const std::vector<Interval> intervals = {{0, 1, 128}, {1, 2, 64}, {2, 3, 128}};
  const std::vector<std::string> names = {"gate", "up", "down"};
  EXPECT_EQ(describe(plan_arena(intervals), intervals, names),
            "arena: peak 192 bytes, at least 192, without sharing 320, 3 buffers\n"
            "      offset        bytes    first     last  buffer\n"
            "           0          128        0        1  gate\n"
            "         128           64        1        2  up\n"
            "           0          128        2        3  down\n");
}

}  // namespace
}  // namespace lazuli
