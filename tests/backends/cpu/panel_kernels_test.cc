// SPDX-License-Identifier: MIT
// The many-row matmul kernels against a double sum over the bf16 values they multiply.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/tests/support/weight_blocks.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace lazuli {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::int64_t place_in_panels(std::int64_t padded_rows, std::int64_t row, std::int64_t output) {
  const std::int64_t block = output / 32 * 32 * padded_rows + row / 32 * 1024;
  return block + row % 32 / 16 * 512 + output % 32 / 16 * 256 + row % 16 * 16 + output % 16;
}

struct Size {
  std::int64_t rows, outputs, cols;
};

class Case {
 public:
  Case(const PanelKernel& kernel, const Size& size, float scale = 1)
      : kernel_(kernel), size_(size), packed_(allocate_packed(kernel.source, size.outputs, size.cols)) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> weights(static_cast<std::size_t>(size.outputs * size.cols));
    x_.resize(static_cast<std::size_t>(size.rows * size.cols));
    for (float& value : weights) value = normal(random);
    if (!has_quantiser(kernel.source)) {
      set_weights(test::random_blocks(kernel.source, size.outputs * size.cols, 11));
    } else {
      std::vector<std::byte> blocks(static_cast<std::size_t>(byte_size(kernel.source, size.outputs * size.cols)));
      quantise(kernel.source, weights.data(), size.outputs * size.cols, blocks.data());
      set_weights(blocks);
    }
    for (float& value : x_) value = scale * normal(random);  // last: fewer rows are the first of more
    tiles_ = Buffer::allocate(tiled_rows_bytes(size.rows, size.cols));
    const TiledRowsView view = tiled();
    find_tile_rows_kernel(kernel.isa)
        ->tile(x_.data(), size.cols, 0, static_cast<std::int64_t>(tiles_->size()) / (view.steps * 1024), view);
  }

  // y[row, output], whichever way the sums take.
  std::vector<float> multiply(std::int64_t pairs_at_once, PanelOrder order = PanelOrder::rows) const {
    const std::int64_t padded_rows = round_up(size_.rows, panel_sums_rows);
    const std::int64_t padded_outputs = round_up(size_.outputs, panel_sums_outputs);
    const BufferRef memory = Buffer::allocate(static_cast<std::size_t>(4 * padded_rows * padded_outputs));
    float* values = memory->as<float>();
    std::fill_n(values, padded_rows * padded_outputs, NAN);
    const PanelSumsView sums{values, order == PanelOrder::panels ? padded_rows : padded_outputs, order};
    const BufferRef scratch =
        Buffer::allocate(static_cast<std::size_t>(panel_scratch_weights + panel_scratch_row * panel_scratch_rows));
    for (std::int64_t group = 0; group < packed_.groups(); group += 2 * pairs_at_once)
      kernel_.multiply(view(packed_), tiled(), group, std::min(packed_.groups(), group + 2 * pairs_at_once), sums,
                       scratch->as<std::uint8_t>());
    std::vector<float> y;
    for (std::int64_t row = 0; row < size_.rows; ++row)
      for (std::int64_t output = 0; output < size_.outputs; ++output)
        y.push_back(values[order == PanelOrder::panels ? place_in_panels(padded_rows, row, output)
                                                       : row * sums.stride + output]);
    return y;
  }

  // Both factors rounded to bf16, summed in double; the error is relative to the sum of magnitudes.
  double worst_error(const std::vector<float>& y) const {
    double worst = 0;
    for (std::int64_t row = 0; row < size_.rows; ++row)
      for (std::int64_t output = 0; output < size_.outputs; ++output) {
        double sum = 0, magnitude = 0;
        for (std::int64_t col = 0; col < size_.cols; ++col) {
          const double product = static_cast<double>(rounded(x_[static_cast<std::size_t>(row * size_.cols + col)])) *
                                 rounded(weights_[static_cast<std::size_t>(output * size_.cols + col)]);
          sum += product;
          magnitude += std::abs(product);
        }
        worst = std::max(worst, std::abs(sum - y[static_cast<std::size_t>(row * size_.outputs + output)]) / magnitude);
      }
    return worst;
  }

 private:
  static float rounded(float value) { return bf16_to_f32(f32_to_bf16(value)); }
  TiledRowsView tiled() const { return tiled_rows(tiles_->data(), size_.rows, size_.cols); }
  void set_weights(const std::vector<std::byte>& blocks) {
    weights_.resize(static_cast<std::size_t>(size_.outputs * size_.cols));
    dequantise(kernel_.source, blocks.data(), size_.outputs * size_.cols, weights_.data());
    pack_rows(blocks.data(), packed_, 0, packed_.groups());
  }

  const PanelKernel& kernel_;
  Size size_;
  PackedWeight packed_;
  std::vector<float> x_, weights_;
  BufferRef tiles_;
};

TEST(PanelKernels, AgreeWithADoubleSumForAnySplit) {
  // Columns in one to three blocks, rows in one or two, outputs in one or two batches of panels; whole and partial
  // tiles.
  const Size sizes[] = {{1, 16, 256}, {33, 40, 256}, {16, 33, 768}, {70, 300, 512}, {64, 272, 1536}, {530, 49, 768}};
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa)) continue;
    for (const Size& size : sizes) {
      SCOPED_TRACE(fmt::format("{} rows {} outputs {} cols {}", kernel.name, size.rows, size.outputs, size.cols));
      const Case test_case(kernel, size);
      const std::vector<float> y = test_case.multiply(1000);
      // f32 sums of at most 1536 exact products; a dequantised weight may round the other way from its double value,
      // and does so more often where scales are any f32: 2^-8 of one of 256 products then.
      EXPECT_LE(test_case.worst_error(y), has_quantiser(kernel.source) ? 2e-5 : 6e-5);
      EXPECT_EQ(test_case.multiply(1), y);
      EXPECT_EQ(test_case.multiply(3), y);
      EXPECT_EQ(test_case.multiply(3, PanelOrder::panels), y);
    }
  }
}

TEST(PanelKernels, RowsDoNotDependOnOtherRows) {
  constexpr std::int64_t outputs = 50, cols = 768, max_rows = 520;
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa)) continue;
    const std::vector<float> all = Case(kernel, {max_rows, outputs, cols}).multiply(1000);
    for (const std::int64_t rows : {1, 31, 48, 513}) {
      SCOPED_TRACE(fmt::format("{} rows {}", kernel.name, rows));
      EXPECT_EQ(Case(kernel, {rows, outputs, cols}).multiply(1000),
                std::vector<float>(all.begin(), all.begin() + rows * outputs));
    }
  }
}

// Rows of tiny numbers, whose products and sums pass below the smallest normal number.
TEST(PanelKernels, OneRowTakesDenormalsForZeroAsTilesDo) {
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa)) continue;
    SCOPED_TRACE(kernel.name);
    for (const float scale : {1e-36F, 1e-38F, 3e-39F})
      EXPECT_EQ(Case(kernel, {1, 40, 256}, scale).multiply(1000),
                Case(kernel, {1, 40, 256}, scale).multiply(1000, PanelOrder::panels));
  }
}

TEST(PanelKernels, SumsInPanelsBecomeTheTilesOfTheirRows) {
  constexpr std::int64_t rows = 70, cols = 96, padded = 96;
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    const TileRowsKernel* kernel = find_tile_rows_kernel(isa);
    if (!kernel || !supported(kernel->isa)) continue;
    std::vector<float> x;
    for (int i = 0; i < rows * cols; ++i) x.push_back(static_cast<float>(std::sin(i)));
    const BufferRef sums = Buffer::allocate(static_cast<std::size_t>(4 * padded * cols));
    std::fill_n(sums->as<float>(), padded * cols, NAN);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t col = 0; col < cols; ++col)
        sums->as<float>()[place_in_panels(padded, row, col)] = x[static_cast<std::size_t>(row * cols + col)];
    const std::size_t bytes = tiled_rows_bytes(rows, cols);
    const BufferRef expected = Buffer::allocate(bytes), tiles = Buffer::allocate(bytes);
    const TiledRowsView view = tiled_rows(expected->data(), rows, cols);
    kernel->tile(x.data(), cols, 0, static_cast<std::int64_t>(bytes) / (view.steps * 1024), view);
    kernel->tile_sums(sums->as<float>(), padded, 0, 1, tiled_rows(tiles->data(), rows, cols));
    kernel->tile_sums(sums->as<float>(), padded, 1, 3, tiled_rows(tiles->data(), rows, cols));
    EXPECT_EQ(std::memcmp(tiles->data(), expected->data(), bytes), 0);
  }
}

TEST(PanelKernels, TakePlainWeightsOfAnyRowLength) {
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa) || !is_real(kernel.source)) continue;
    for (std::int64_t cols : {1, 31, 50, 513}) {
      SCOPED_TRACE(fmt::format("{} cols {}", kernel.name, cols));
      const Case test_case(kernel, {5, 20, cols});
      EXPECT_LE(test_case.worst_error(test_case.multiply(1000)), 2e-5);
    }
  }
}

}  // namespace
}  // namespace lazuli
