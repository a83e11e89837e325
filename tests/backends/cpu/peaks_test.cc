// SPDX-License-Identifier: MIT
// Peak loops run at every level the host has, and the best of an arithmetic is the highest level's.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/kernels/peaks.h>

namespace lazuli {
namespace {

TEST(Peaks, EveryLoopOfThisHostRuns) {
  for (const PeakLoop& loop : peak_loops()) {
    SCOPED_TRACE(loop.name);
    EXPECT_GT(loop.operations, 0);
    if (supported(loop.isa)) loop.run(/*rounds=*/3);
  }
}

TEST(Peaks, TheBestLoopIsTheHighestLevels) {
  ASSERT_NE(find_peak_loop(PeakArithmetic::int8, Isa::amx), nullptr);
  EXPECT_STREQ(find_peak_loop(PeakArithmetic::int8, Isa::amx)->name, "int8_amx");
  EXPECT_STREQ(find_peak_loop(PeakArithmetic::int8, Isa::avx512)->name, "int8_avx512");
  EXPECT_STREQ(find_peak_loop(PeakArithmetic::f32, Isa::amx)->name, "f32_avx512");
  EXPECT_EQ(find_peak_loop(PeakArithmetic::bf16, Isa::avx512), nullptr);
  EXPECT_EQ(find_peak_loop(PeakArithmetic::f32, Isa::scalar), nullptr);
}

}  // namespace
}  // namespace lazuli
