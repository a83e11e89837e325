// SPDX-License-Identifier: MIT
// What is said of a step, from figures made up for it.
#include <gtest/gtest.h>
#include <lazuli/runtime/profile/profile_verdict.h>

namespace lazuli {
namespace {

// 1000 us a step: matmuls 800, of which the memory accounts for 700; little else.
StepFigures decode_step() {
  StepFigures figures;
  figures.total_us = 1000;
  figures.host_us = 30;
  figures.matmul_us = 800;
  figures.other_us = 70;
  figures.waiting_us = 100;
  figures.memory_us = 700;
  figures.compute_us = 90;
  figures.streamed_bytes = 20e6;
  figures.operations = 50e6;
  figures.other_launches = 40;
  figures.other_wall_us = 31;
  figures.other_bytes = 300e3;
  figures.other_memory_us = 12;
  return figures;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ProfileVerdict, MemoryBound) {
  const StepVerdict verdict = judge(decode_step());
  EXPECT_EQ(verdict.bound, StepBound::memory);
  EXPECT_EQ(verdict.text,
            "memory bound: matmuls and attention take 80.0 % of the step; at the memory's rate their 20 MB would take "
            "70.0 %");
}

TEST(ProfileVerdict, ComputeBound) {
  StepFigures figures = decode_step();
  figures.memory_us = 40;
  figures.compute_us = 550;
  figures.operations = 160e9;
  const StepVerdict verdict = judge(figures);
  EXPECT_EQ(verdict.bound, StepBound::compute);
  EXPECT_TRUE(contains(verdict.text, "their 160.0 GFLOP would take 55.0 %")) << verdict.text;
}

TEST(ProfileVerdict, WaitBound) {
  StepFigures figures = decode_step();
  figures.matmul_us = 300;
  figures.waiting_us = 600;
  const StepVerdict verdict = judge(figures);
  EXPECT_EQ(verdict.bound, StepBound::waiting);
  EXPECT_TRUE(contains(verdict.text, "no work for 60.0 % of the step")) << verdict.text;
}

TEST(ProfileVerdict, HostBound) {
  StepFigures figures = decode_step();
  figures.matmul_us = 300;
  figures.host_us = 530;
  EXPECT_EQ(judge(figures).bound, StepBound::host);
}

TEST(ProfileVerdict, NoFurtherFusion) {
  const StepVerdict verdict = judge(decode_step());
  EXPECT_FALSE(verdict.fusion_pays);
  EXPECT_NEAR(verdict.fusion_share, 0.031, 1e-9);
  EXPECT_EQ(
      verdict.fusion_text,
      "no further fusion is justified here: everything that is neither matmul nor attention takes 3.1 % of the step "
      "(31.0 us in 40 launches that move 300 KB)");
}

TEST(ProfileVerdict, FusionWouldPay) {
  StepFigures figures = decode_step();
  figures.other_us = 450;
  figures.matmul_us = 420;
  figures.other_wall_us = 470;
  figures.other_bytes = 6e6;
  figures.other_memory_us = 230;
  const StepVerdict verdict = judge(figures);
  EXPECT_EQ(verdict.bound, StepBound::other_kernels);
  EXPECT_TRUE(verdict.fusion_pays);
  EXPECT_EQ(verdict.fusion_text,
            "further fusion could win at most 47.0 % of the step: 470.0 us in 40 launches that move 6.0 MB, 230.0 us "
            "of it at "
            "the memory's rate");
}

// What runs inside launches of matmuls is none of theirs, and no further fusion wins it.
TEST(ProfileVerdict, FusedWork) {
  StepFigures figures = decode_step();
  figures.matmul_us = 680;
  figures.other_us = 190;
  figures.fused_us = 120;
  EXPECT_TRUE(contains(judge(figures).text, "matmuls and attention take 68.0 % of the step")) << judge(figures).text;
  EXPECT_EQ(judge(figures).fusion_text,
            "no further fusion is justified here: everything that is neither matmul nor attention nor fused with them "
            "takes 3.1 % of the step (31.0 us in 40 launches that move 300 KB); what is fused into launches of matmuls "
            "takes 12.0 %");
  figures.matmul_us = 300;
  figures.other_us = 570;
  figures.fused_us = 500;
  const StepVerdict verdict = judge(figures);
  EXPECT_EQ(verdict.bound, StepBound::other_kernels);
  EXPECT_EQ(
      verdict.text,
      "bound by small kernels: what is neither matmul nor attention takes 57.0 % of the step: 7.0 % in 40 launches "
      "of its own, 50.0 % in launches of matmuls");
  EXPECT_FALSE(verdict.fusion_pays);
}

TEST(ProfileVerdict, UnknownLimits) {
  StepFigures figures = decode_step();
  figures.memory_us = figures.compute_us = figures.other_memory_us = 0;
  EXPECT_TRUE(contains(judge(figures).text, "take 80.0 % of the step")) << judge(figures).text;
  EXPECT_FALSE(contains(judge(figures).text, "rate"));
}

TEST(ProfileVerdict, AnEmptyStep) {
  const StepVerdict verdict = judge({});
  EXPECT_FALSE(verdict.fusion_pays);
  EXPECT_FALSE(contains(verdict.text + verdict.fusion_text, "nan"));
}

}  // namespace
}  // namespace lazuli
