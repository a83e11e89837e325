// SPDX-License-Identifier: MIT
// Packed weights and every matmul kernel of kernels.def: packing is exact, all instruction-set levels give the bits of
// the stated arithmetic, and no split of rows or outputs changes a bit.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/tests/support/weight_blocks.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using test::random_blocks;
using test::weight_types;

constexpr std::int64_t row_lengths[] = {32, 64, 96, 256, 640, 1280, 10240};

std::vector<float> random_rows(std::int64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

PackedWeight pack(DType dtype, const std::vector<std::byte>& source, std::int64_t rows, std::int64_t cols,
                  ScaleForm scales = {}) {
  PackedWeight weight = allocate_packed(dtype, rows, cols, scales);
  pack_rows(source.data(), weight, 0, weight.groups());
  return weight;
}

struct Quantised {
  Quantised(const std::vector<float>& x, std::int64_t rows, std::int64_t cols, Isa isa)
      : memory(Buffer::allocate(quantised_rows_bytes(rows, cols))), view(quantised_rows(memory->data(), rows, cols)) {
    std::memset(memory->data(), 0x5a, memory->size());
    find_quantise_rows_kernel(isa).quantise(x.data(), cols, 0, rows, view);
  }
  BufferRef memory;
  QuantisedRowsView view;
};

// One kernel on one problem; a call computes any part of y.
struct Problem {
  Problem(DType dtype, std::int64_t outputs, std::int64_t rows, std::int64_t cols)
      : dtype(dtype),
        outputs(outputs),
        rows(rows),
        cols(cols),
        source(random_blocks(dtype, outputs * cols, static_cast<std::uint32_t>(outputs * 31 + cols))),
        weight(pack(dtype, source, outputs, cols)),
        x(random_rows(rows * cols, static_cast<std::uint32_t>(rows + cols))) {
    if (find_linear_kernel(dtype, Isa::scalar)->multiply != nullptr) quantised.emplace(x, rows, cols, Isa::scalar);
  }
  void run(const LinearKernel& kernel, std::int64_t group_begin, std::int64_t group_end, std::int64_t row_begin,
           std::int64_t row_end, float* y, std::int64_t y_stride) const {
    if (kernel.multiply != nullptr) {
      kernel.multiply(view(weight), quantised->view, group_begin, group_end, row_begin, row_end, y, y_stride);
    } else {
      kernel.multiply_real(view(weight), {x.data(), rows, cols, cols}, group_begin, group_end, row_begin, row_end, y,
                           y_stride);
    }
  }
  std::vector<float> run_all(const LinearKernel& kernel) const {
    std::vector<float> y(static_cast<std::size_t>(rows * outputs), -1.0f);
    run(kernel, 0, weight.groups(), 0, rows, y.data(), outputs);
    return y;
  }

  DType dtype;
  std::int64_t outputs, rows, cols;
  std::vector<std::byte> source;
  PackedWeight weight;
  std::vector<float> x;
  std::optional<Quantised> quantised;
};

std::string describe(const LinearKernel& kernel, const Problem& problem) {
  return fmt::format("{}: x[{},{}], weight[{},{}]", kernel.name, problem.rows, problem.cols, problem.outputs,
                     problem.cols);
}

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t index = 0; index < got.size(); ++index) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got[index]), std::bit_cast<std::uint32_t>(expected[index]))
        << what << ", element " << index << ": " << got[index] << " and " << expected[index];
  }
}

const LinearKernel& scalar_kernel(DType dtype) { return *find_linear_kernel(dtype, Isa::scalar); }

TEST(PackedWeight, UnpacksToTheFloatsOfTheFile) {
  for (const DType dtype : weight_types) {
    for (const std::int64_t cols : row_lengths) {
      if (!can_pack(dtype, cols)) continue;
      for (const std::int64_t rows : {1, 16, 21}) {
        const std::vector<std::byte> source = random_blocks(dtype, rows * cols, static_cast<std::uint32_t>(cols));
        const PackedWeight weight = pack(dtype, source, rows, cols);
        std::vector<float> expected(static_cast<std::size_t>(rows * cols)), got(expected.size());
        dequantise(dtype, source.data(), rows * cols, expected.data());
        unpack_rows(weight, 0, rows, got.data());
        for (std::size_t index = 0; index < got.size(); ++index) {
          ASSERT_EQ(got[index], expected[index]) << to_string(dtype) << "[" << rows << "," << cols << "] at " << index;
        }
        unpack_rows(weight, rows - 1, rows, got.data());
        EXPECT_TRUE(std::equal(got.begin(), got.begin() + cols, expected.end() - cols));
      }
    }
  }
}

TEST(PackedWeight, TakesTheSpaceOfTheFile) {
  for (const DType dtype : weight_types) {
    const std::int64_t file_bytes = byte_size(dtype, 512 * 2048);
    EXPECT_LE(packed_bytes(dtype, 512, 2048), static_cast<std::size_t>(file_bytes) * 103 / 100) << to_string(dtype);
  }
}

TEST(PackedWeight, ShortScalesTakeTheSpaceOfTheCheckpoint) {
  const std::int64_t elements = 512 * 2048;
  const auto bytes = [](DType dtype, int width) {
    return static_cast<std::int64_t>(packed_bytes(dtype, 512, 2048, {width, 1}));
  };
  EXPECT_EQ(bytes(DType::affine4_64, 2), elements / 2 + elements / 64 * 4);
  EXPECT_EQ(bytes(DType::affine3_128, 2), elements * 3 / 8 + elements / 128 * 4);
  EXPECT_EQ(bytes(DType::affine8_32, 2), elements + elements / 32 * 4);
  EXPECT_EQ(bytes(DType::e2m1_16, 1), elements / 2 + elements / 16);
}

TEST(PackedWeight, GroupsMayBePackedInAnyOrder) {
  const std::vector<std::byte> source = random_blocks(DType::q5_k, 40 * 512, 1);
  const PackedWeight whole = pack(DType::q5_k, source, 40, 512);
  PackedWeight parts = allocate_packed(DType::q5_k, 40, 512);
  for (const std::int64_t group : {2, 0, 1}) pack_rows(source.data(), parts, group, group + 1);
  EXPECT_EQ(std::memcmp(whole.data->data(), parts.data->data(), whole.data->size()), 0);
}

TEST(PackedWeight, RejectsWhatHasNoPackedForm) {
  EXPECT_FALSE(can_pack(DType::q4_k, 640));
  EXPECT_FALSE(can_pack(DType::i32, 64));
  EXPECT_TRUE(can_pack(DType::bf16, 7));
  EXPECT_FALSE(can_pack(DType::e2m1_16, 48));
  EXPECT_THROW(packed_bytes(DType::q8_0, 16, 40), Error);
}

TEST(QuantiseRows, RoundsToNearestEvenAndSumsHalves) {
  const std::int64_t cols = 640;
  std::vector<float> x = random_rows(3 * cols, 5);
  for (int column = 0; column < 32; ++column) x[static_cast<std::size_t>(column)] = 0.5f + static_cast<float>(column);
  x[31] = -127.0f;  // scale 1: every other value of the block is a tie
  const Quantised quantised(x, 3, cols, Isa::scalar);
  EXPECT_EQ(quantised.view.scales[0], 1.0f);
  EXPECT_EQ(quantised.view.values[0], 0);
  EXPECT_EQ(quantised.view.values[1], 2);
  EXPECT_EQ(quantised.view.values[2], 2);
  EXPECT_EQ(quantised.view.values[31], -127);
  for (std::int64_t row = 0; row < 3; ++row) {
    for (std::int64_t half = 0; half < cols / 16; ++half) {
      int sum = 0;
      for (std::int64_t i = 0; i < 16; ++i)
        sum += quantised.view.values[row * quantised.view.value_stride + half * 16 + i];
      EXPECT_EQ(quantised.view.half_sums[row * quantised.view.half_sum_stride + half], sum);
    }
  }
}

TEST(QuantiseRows, LevelsAgree) {
  const std::int64_t rows = 3, cols = 32 * 9;
  std::vector<float> x = random_rows(rows * cols, 6);
  const auto block = [&](std::size_t index) { return x.begin() + static_cast<std::ptrdiff_t>(index * 32); };
  std::fill_n(block(1), 32, 0.0f);
  *block(2) = std::numeric_limits<float>::infinity();
  *block(3) = std::numeric_limits<float>::quiet_NaN();
  std::fill_n(block(4), 32, 0x1p-130f);
  std::fill_n(block(5), 32, -0x1p-119f);
  std::fill_n(block(6), 32, std::numeric_limits<float>::max());
  std::transform(block(7), block(8), block(7), [](float value) { return value * 0x1p-115f; });
  for (int column = 0; column < 32; ++column) block(8)[column] = static_cast<float>(column) - 126.5f;
  *block(8) = 127.0f;

  const Quantised expected(x, rows, cols, Isa::scalar);
  EXPECT_TRUE(std::isnan(expected.view.scales[2]) && std::isnan(expected.view.scales[3]));
  EXPECT_EQ(expected.view.scales[4], 0.0f);
  EXPECT_GT(expected.view.scales[5], 0.0f);
  for (const QuantiseRowsKernel& kernel : quantise_rows_kernels()) {
    if (!supported(kernel.isa)) continue;
    const Quantised got(x, rows, cols, kernel.isa);
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto same = [&](auto* a, auto* b, std::int64_t stride, std::int64_t count) {
        return std::memcmp(a + row * stride, b + row * stride, static_cast<std::size_t>(count) * sizeof(*a)) == 0;
      };
      EXPECT_TRUE(same(got.view.values, expected.view.values, got.view.value_stride, cols)) << kernel.name;
      EXPECT_TRUE(same(got.view.scales, expected.view.scales, got.view.scale_stride, cols / 32)) << kernel.name;
      EXPECT_TRUE(same(got.view.half_sums, expected.view.half_sums, got.view.half_sum_stride, cols / 16))
          << kernel.name;
    }
  }
}

TEST(LinearKernels, EveryTypeHasAScalarKernelAndTheBestComesFirst) {
  for (const DType dtype : weight_types) {
    ASSERT_NE(find_linear_kernel(dtype, Isa::scalar), nullptr) << to_string(dtype);
    EXPECT_EQ(find_linear_kernel(dtype, Isa::scalar)->isa, Isa::scalar);
    EXPECT_EQ(find_linear_kernel(dtype, Isa::amx)->isa, Isa::avx512);
  }
  EXPECT_EQ(find_linear_kernel(DType::i32, Isa::amx), nullptr);
}

// The stated arithmetic spelled out on file blocks: q8_0 has a scale, q4_1 a scale and a minimum.
TEST(LinearKernels, ScalarIsTheStatedArithmetic) {
  for (const DType dtype : {DType::q8_0, DType::q4_1}) {
    const Problem problem(dtype, 19, 5, 640);
    const std::vector<float> got = problem.run_all(scalar_kernel(dtype));
    const QuantisedRowsView& x = problem.quantised->view;
    for (std::int64_t row = 0; row < problem.rows; ++row) {
      for (std::int64_t output = 0; output < problem.outputs; ++output) {
        float sum = 0;
        for (std::int64_t block = 0; block < problem.cols / 32; ++block) {
          const std::int8_t* values = x.values + row * x.value_stride + block * 32;
          const float x_scale = x.scales[row * x.scale_stride + block];
          const std::byte* bytes =
              problem.source.data() + (output * problem.cols / 32 + block) * info(dtype).block_bytes;
          std::uint16_t halves[2];
          std::memcpy(halves, bytes, 4);
          std::int32_t dot = 0, x_sum = 0;
          for (int i = 0; i < 32; ++i) {
            const int nibble = static_cast<int>(bytes[4 + i % 16]) >> (i < 16 ? 0 : 4) & 15;
            const int weight = dtype == DType::q8_0 ? static_cast<std::int8_t>(bytes[2 + i]) : nibble;
            dot += weight * values[i];
            x_sum += values[i];
          }
          sum = std::fma(f16_to_f32(halves[0]) * x_scale, static_cast<float>(dot), sum);
          if (dtype == DType::q4_1) sum = std::fma(f16_to_f32(halves[1]), x_scale * static_cast<float>(x_sum), sum);
        }
        ASSERT_EQ(got[static_cast<std::size_t>(row * problem.outputs + output)], sum)
            << to_string(dtype) << " at " << row << ", " << output;
      }
    }
  }
}

// Only the order of f32 sums separates the kernels from a double sum of dequantised products.
TEST(LinearKernels, ScalarIsCloseToADoubleProduct) {
  for (const DType dtype : weight_types) {
    const Problem problem(dtype, 37, 3, 1280);
    std::vector<float> weights(static_cast<std::size_t>(problem.outputs * problem.cols));
    dequantise(dtype, problem.source.data(), problem.outputs * problem.cols, weights.data());
    const std::vector<float> got = problem.run_all(scalar_kernel(dtype));
    for (std::int64_t row = 0; row < problem.rows; ++row) {
      for (std::int64_t output = 0; output < problem.outputs; ++output) {
        double sum = 0, magnitude = 0;
        for (std::int64_t column = 0; column < problem.cols; ++column) {
          double x = problem.x[static_cast<std::size_t>(row * problem.cols + column)];
          if (problem.quantised) {
            const QuantisedRowsView& rows = problem.quantised->view;
            x = static_cast<double>(rows.scales[row * rows.scale_stride + column / 32]) *
                rows.values[row * rows.value_stride + column];
          }
          const double product = x * weights[static_cast<std::size_t>(output * problem.cols + column)];
          sum += product;
          magnitude += std::fabs(product);
        }
        // 2^-24 a rounding, at most some hundred roundings of partial sums.
        ASSERT_NEAR(got[static_cast<std::size_t>(row * problem.outputs + output)], sum, magnitude * 0x1p-17)
            << to_string(dtype) << " at " << row << ", " << output;
      }
    }
  }
}

TEST(LinearKernels, LevelsAgreeBitForBit) {
  for (const DType dtype : weight_types) {
    for (const std::int64_t cols : row_lengths) {
      if (!can_pack(dtype, cols)) continue;
      for (const std::int64_t rows : {1, 2, 7, 8, 33}) {
        const Problem problem(dtype, cols > 1000 ? 21 : 87, rows, cols);
        const std::vector<float> expected = problem.run_all(scalar_kernel(dtype));
        for (const LinearKernel& kernel : linear_kernels()) {
          if (kernel.source != dtype || !supported(kernel.isa)) continue;
          expect_same_bits(problem.run_all(kernel), expected, describe(kernel, problem));
        }
      }
    }
  }
}

// The largest weights meet the largest activations of one sign: no kernel's integers overflow or saturate.
TEST(LinearKernels, ExtremesDoNotOverflow) {
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!supported(kernel.isa) || kernel.multiply == nullptr) continue;
    for (const int fill : {0x00, 0x77, 0x7f, 0x80, 0xff}) {
      Problem problem(kernel.source, 16, 5, 256);
      problem.source = random_blocks(kernel.source, 16 * 256, 1, static_cast<std::byte>(fill));
      problem.weight = pack(kernel.source, problem.source, 16, 256);
      for (std::size_t index = 0; index < problem.x.size(); ++index) problem.x[index] = index < 512 ? 1.0f : -1.0f;
      problem.quantised.emplace(problem.x, 5, 256, Isa::scalar);
      const std::vector<float> expected = problem.run_all(scalar_kernel(kernel.source));
      expect_same_bits(problem.run_all(kernel), expected, fmt::format("{} of bytes {}", kernel.name, fill));
    }
  }
}

// Scales that fit the short form, in both forms: the same floats and the same products.
TEST(LinearKernels, TheFormOfScalesChangesNoBit) {
  const std::int64_t cols = 1280, outputs = 37;
  for (const DType dtype : weight_types) {
    if (dtype != DType::e2m1_16 && !to_string(dtype).starts_with("affine")) continue;
    Problem problem(dtype, outputs, 7, cols);
    const auto block_bytes = static_cast<std::size_t>(info(dtype).block_bytes);
    for (std::size_t block = 0; block < problem.source.size(); block += block_bytes) {
      float scales[2];
      std::memcpy(scales, &problem.source[block], 8);
      if (dtype == DType::e2m1_16)
        scales[0] = f16_to_f32(static_cast<std::uint16_t>(f32_to_f16(std::fabs(scales[0])) & 0x7f80)) * 0.0123f;
      for (float& scale : scales)
        if (dtype != DType::e2m1_16) scale = bf16_to_f32(f32_to_bf16(scale));
      std::memcpy(&problem.source[block], scales, dtype == DType::e2m1_16 ? 4 : 8);
    }
    const ScaleForm form = propose_scale_form(dtype, problem.source.data(), outputs * cols);
    ASSERT_LT(form.width, 4) << to_string(dtype);
    ASSERT_TRUE(scales_fit(form, dtype, problem.source.data(), outputs * cols)) << to_string(dtype);
    std::vector<float> floats(static_cast<std::size_t>(outputs * cols)), unpacked(floats.size());
    dequantise(dtype, problem.source.data(), outputs * cols, floats.data());
    for (const LinearKernel& kernel : linear_kernels()) {
      if (kernel.source != dtype || !supported(kernel.isa)) continue;
      problem.weight = pack(dtype, problem.source, outputs, cols);
      const std::vector<float> expected = problem.run_all(kernel);
      problem.weight = pack(dtype, problem.source, outputs, cols, form);
      expect_same_bits(problem.run_all(kernel), expected, describe(kernel, problem));
    }
    unpack_rows(problem.weight, 0, outputs, unpacked.data());
    EXPECT_EQ(unpacked, floats) << to_string(dtype);
  }
}

// A NaN among mxfp8 codes makes its own output NaN, and no other.
TEST(LinearKernels, NotANumberAmongCodesReachesItsOutput) {
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!supported(kernel.isa) || kernel.source != DType::mxfp8) continue;
    Problem problem(kernel.source, 18, 3, 96);
    problem.source[17 * 99 + 33 + 1 + 5] = std::byte{0xff};  // output 17, block 1
    problem.weight = pack(kernel.source, problem.source, 18, 96);
    const std::vector<float> y = problem.run_all(kernel);
    for (std::size_t index = 0; index < y.size(); ++index)
      EXPECT_EQ(std::isnan(y[index]), index % 18 == 17) << kernel.name;
  }
}

TEST(LinearKernels, PlainTypesTakeAnyRowLength) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const std::int64_t cols : {1, 2, 3, 5, 31}) {
      const Problem problem(dtype, 18, 9, cols);
      const std::vector<float> expected = problem.run_all(scalar_kernel(dtype));
      for (const LinearKernel& kernel : linear_kernels()) {
        if (kernel.source != dtype || !supported(kernel.isa)) continue;
        expect_same_bits(problem.run_all(kernel), expected, describe(kernel, problem));
      }
    }
  }
}

TEST(LinearKernels, NoSplitChangesABit) {
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!supported(kernel.isa)) continue;
    const std::int64_t outputs = 16 * 35 + 5;  // more groups than one batch of any kernel
    const Problem problem(kernel.source, outputs, 15, 256);
    const std::vector<float> expected = problem.run_all(kernel);
    std::vector<float> by_row(expected.size()), by_group(expected.size());
    for (std::int64_t row = 0; row < problem.rows; ++row) {
      problem.run(kernel, 0, problem.weight.groups(), row, row + 1, by_row.data(), outputs);
    }
    for (std::int64_t group = 0; group < problem.weight.groups(); ++group) {
      problem.run(kernel, group, group + 1, 0, 13, by_group.data(), outputs);
      problem.run(kernel, group, group + 1, 13, problem.rows, by_group.data(), outputs);
    }
    expect_same_bits(by_row, expected, describe(kernel, problem) + ", row by row");
    expect_same_bits(by_group, expected, describe(kernel, problem) + ", group by group");
  }
}

TEST(LinearKernels, WriteOnlyTheirPart) {
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!supported(kernel.isa)) continue;
    const Problem problem(kernel.source, 37, 6, 256);
    const std::int64_t stride = 50;
    std::vector<float> y(static_cast<std::size_t>(6 * stride), -7.0f);
    problem.run(kernel, 1, 3, 1, 5, y.data(), stride);
    for (std::int64_t row = 0; row < 6; ++row) {
      for (std::int64_t output = 0; output < stride; ++output) {
        const bool inside = row >= 1 && row < 5 && output >= 16 && output < 37;
        const float value = y[static_cast<std::size_t>(row * stride + output)];
        EXPECT_EQ(value == -7.0f, !inside) << kernel.name << " at " << row << ", " << output;
      }
    }
  }
}

TEST(LinearKernels, NotANumberReachesItsRowAndNoOther) {
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!supported(kernel.isa) || kernel.multiply == nullptr) continue;
    Problem problem(kernel.source, 16, 3, 256);
    problem.x[256 + 40] = std::numeric_limits<float>::quiet_NaN();
    problem.quantised.emplace(problem.x, 3, 256, kernel.isa);
    const std::vector<float> y = problem.run_all(kernel);
    for (std::size_t index = 0; index < y.size(); ++index) {
      EXPECT_EQ(std::isnan(y[index]), index / 16 == 1) << kernel.name << " at " << index;
    }
  }
}

}  // namespace
}  // namespace lazuli
