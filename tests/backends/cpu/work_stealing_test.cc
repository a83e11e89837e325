// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/lowering/long_steps.h>

#include <atomic>
#include <vector>

namespace lazuli::cpu {
namespace {

TEST(WorkStealing, OneWorkerTakesItsOwnShareInOrderAndThenTheRestOfTheOthers) {
  WorkStealing work(2);
  const std::uint32_t step = work.begin_run(1);
  work.open(0, step, 100);
  std::int64_t next = 0;
  for (std::optional<Range> taken; (taken = work.take(0, step)); next = taken->end) EXPECT_EQ(taken->begin, next);
  EXPECT_EQ(next, 50);  // the other has not come, so that its share is not put up

  work.open(1, step, 100);
  std::int64_t last = 100;
  for (std::optional<Range> taken; (taken = work.take(0, step)); last = taken->begin) EXPECT_EQ(taken->end, last);
  EXPECT_EQ(last, 50);
  EXPECT_FALSE(work.take(1, step));
}

TEST(WorkStealing, StepsAndRunsDoNotMix) {
  WorkStealing work(2);
  const std::uint32_t first = work.begin_run(3), second = work.begin_run(1);
  EXPECT_GE(second, first + 3);
  work.open(0, first, 8);
  EXPECT_FALSE(work.take(1, first + 1));
  EXPECT_FALSE(work.take(1, second));
  work.open(0, first + 1, 2);
  EXPECT_FALSE(work.take(1, first));
  EXPECT_TRUE(work.take(1, first + 1));
}

TEST(WorkStealing, GrainsAreUnitsEnoughButNeverTooMany) {
  EXPECT_EQ(grain_of(100, 0), 100);
  EXPECT_EQ(grain_of(3, std::int64_t{1} << 40), 1);
  EXPECT_EQ(grain_of(64, 64 * 16 * 1024), 2);
  const std::int64_t units = std::int64_t{1} << 22;
  EXPECT_LE((units + grain_of(units, units << 20) - 1) / grain_of(units, units << 20), 65535);
}

TEST(WorkStealing, EveryGrainIsGivenOutOnceWhateverTheOrder) {
  constexpr int workers = 4, steps = 200;
  ThreadPool pool(workers);
  WorkStealing work(workers);
  std::vector<std::vector<std::atomic<int>>> counts;
  for (int step = 0; step < steps; ++step) counts.emplace_back(static_cast<std::size_t>(1 + step * 7));
  const std::uint32_t run = work.begin_run(steps);
  pool.run_on_all([&](int worker) {
    for (std::uint32_t step = 0; step < steps; ++step) {
      if (step % 3 == 0) pool.barrier().wait();
      work.open(worker, run + step, static_cast<std::int64_t>(counts[step].size()));
      while (const std::optional<Range> taken = work.take(worker, run + step))
        for (std::int64_t grain = taken->begin; grain < taken->end; ++grain)
          ++counts[step][static_cast<std::size_t>(grain)];
    }
  });
  for (const auto& step : counts)
    for (const std::atomic<int>& count : step) EXPECT_EQ(count, 1);
}

Step matmul_step(std::int64_t units, std::int64_t operations) {
  Step step;
  step.units = units;
  step.operations = operations;
  step.kind = StepKind::matmul;
  step.split = true;
  return step;
}

std::int64_t chosen_grain(Step step, int workers) {
  std::vector<Step> steps{std::move(step)};
  let_long_steps_be_stolen(steps, workers);
  return steps[0].grain;
}

TEST(WorkStealing, LongCalculationsAreTakenOverInEqualPartsOfAShare) {
  constexpr std::int64_t long_enough = std::int64_t{1} << 32;
  EXPECT_EQ(chosen_grain(matmul_step(256, long_enough), 2), 16);
  EXPECT_EQ(chosen_grain(matmul_step(250, long_enough), 2), 16);
  EXPECT_EQ(chosen_grain(matmul_step(1024, long_enough), 16), 8);
  Step in_tiles = matmul_step(250, long_enough);
  in_tiles.units_at_once = 12;
  EXPECT_EQ(chosen_grain(in_tiles, 2), 24);
}

TEST(WorkStealing, SharesStayAsTheyAreWherePartsWouldBeShortOrFew) {
  constexpr std::int64_t long_enough = std::int64_t{1} << 32;
  EXPECT_EQ(chosen_grain(matmul_step(256, 1 << 20), 2), 0);
  EXPECT_EQ(chosen_grain(matmul_step(7, long_enough), 2), 0);
  Step few_tiles = matmul_step(40, long_enough);
  few_tiles.units_at_once = 16;
  EXPECT_EQ(chosen_grain(few_tiles, 2), 0);
  Step alone = matmul_step(256, long_enough);
  alone.split = false;
  EXPECT_EQ(chosen_grain(alone, 2), 0);
}

TEST(WorkStealing, OtherArithmeticKeepsItsShares) {
  Step step = matmul_step(256, std::int64_t{1} << 32);
  for (const Arithmetic arithmetic : {Arithmetic::bf16, Arithmetic::int8}) {
    step.arithmetic = arithmetic;
    EXPECT_EQ(chosen_grain(step, 2), 0);
  }
}

TEST(WorkStealing, LongElementwiseStepsAreTakenOverByMemory) {
  Step step = matmul_step(64, 0);
  step.kind = StepKind::other;
  step.bytes = std::int64_t{2} << 20;
  EXPECT_EQ(chosen_grain(step, 2), 1);
  step.grain = 5;  // has one already
  EXPECT_EQ(chosen_grain(step, 2), 5);
}

}  // namespace
}  // namespace lazuli::cpu
