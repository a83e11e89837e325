// SPDX-License-Identifier: MIT
// The width of packed scales: short where that is exact, f32 otherwise.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/weights/scale_form.h>
#include <lazuli/graph/types/half.h>

#include <cstring>
#include <random>
#include <vector>

namespace lazuli {
namespace {

// Blocks of `dtype` with these scales, biases of 0.5, and codes of zero.
std::vector<std::byte> blocks_of(DType dtype, const std::vector<float>& scales) {
  const auto block_bytes = static_cast<std::size_t>(info(dtype).block_bytes);
  const float bias = 0.5f;
  std::vector<std::byte> blocks(scales.size() * block_bytes);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    std::memcpy(&blocks[i * block_bytes], &scales[i], 4);
    if (dtype != DType::e2m1_16) std::memcpy(&blocks[i * block_bytes + 4], &bias, 4);
  }
  return blocks;
}

std::int64_t elements(DType dtype, const std::vector<float>& scales) {
  return static_cast<std::int64_t>(scales.size()) * info(dtype).block_elements;
}

// The width that a weight of these scales gets.
int width_of(DType dtype, const std::vector<float>& scales) {
  const std::vector<std::byte> blocks = blocks_of(dtype, scales);
  const ScaleForm form = propose_scale_form(dtype, blocks.data(), elements(dtype, scales));
  return scales_fit(form, dtype, blocks.data(), elements(dtype, scales)) ? form.width : 4;
}

// Every positive e4m3 number in turn, times a factor: one rounding each, as the checkpoint reader makes them.
std::vector<float> e4m3_times(float factor) {
  std::vector<float> scales;
  for (int code = 0; code < 127; ++code)
    scales.push_back(f16_to_f32(static_cast<std::uint16_t>(code << 7)) * 256.0f * factor);
  return scales;
}

TEST(ScaleForm, FindsTheFactorBehindProducts) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> any(1e-6f, 1e-3f);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(width_of(DType::e2m1_16, e4m3_times(any(random))), 1);
  EXPECT_EQ(width_of(DType::e2m1_16, e4m3_times(1.0f)), 1);
}

TEST(ScaleForm, FindsItFromAnyFewOfThem) {
  std::mt19937 random(4);
  std::uniform_real_distribution<float> any(1e-6f, 1e-3f);
  for (int i = 0; i < 200; ++i) {
    const std::vector<float> all = e4m3_times(any(random));
    std::vector<float> some;
    for (int j = 0; j < 9; ++j) some.push_back(all[40 + random() % 80]);
    EXPECT_EQ(width_of(DType::e2m1_16, some), 1);
  }
}

TEST(ScaleForm, OneMisfitKeepsF32) {
  std::vector<float> products = e4m3_times(0.0037f), scales(5000, 0.25f);
  products[100] *= 1.0001f;
  EXPECT_EQ(width_of(DType::e2m1_16, products), 4);
  EXPECT_EQ(width_of(DType::affine4_64, scales), 2);
  scales.back() = 0.1f;  // behind what is looked at first
  EXPECT_EQ(width_of(DType::affine4_64, scales), 4);
  EXPECT_EQ(width_of(DType::e2m1_16, {-0.25f, 0.25f}), 4);
  EXPECT_EQ(width_of(DType::e2m1_16, {0.0f}), 4);
}

TEST(ScaleForm, OtherTypesHaveOne) {
  const std::vector<std::byte> block(34);
  EXPECT_EQ(propose_scale_form(DType::q8_0, block.data(), 32).width, 4);
  EXPECT_EQ(propose_scale_form(DType::f32, block.data(), 8).width, 4);
}

}  // namespace
}  // namespace lazuli
