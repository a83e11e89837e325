// The many-row matmul kernels against a double sum over the bf16 values they multiply.
#include <lazuli/backends/cpu/kernels.h>
#include <lazuli/backends/cpu/packed_weight.h>
#include <lazuli/graph/half.h>
#include <lazuli/graph/quantised.h>
#include <lazuli/tests/weight_blocks.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace lazuli {
namespace {

struct Size {
  std::int64_t rows, outputs, cols;
};

class Case {
 public:
  Case(const PanelKernel& kernel, const Size& size) : kernel_(kernel), size_(size), packed_(allocate_packed(kernel.source, size.outputs, size.cols)) {
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
    for (float& value : x_) value = normal(random);  // last: fewer rows are the first of more
    tiles_ = Buffer::allocate(tiled_rows_bytes(size.rows, size.cols));
    const TiledRowsView view = tiled();
    find_tile_rows_kernel(kernel.isa)->tile(x_.data(), size.cols, 0,
                                            static_cast<std::int64_t>(tiles_->size()) / (view.steps * 1024), view);
  }

  std::vector<float> multiply(std::int64_t pairs_at_once) const {
    const std::vector<float> nothing(static_cast<std::size_t>(size_.rows * size_.outputs), NAN);
    std::vector<float> y = nothing;
    const BufferRef scratch = Buffer::allocate(static_cast<std::size_t>(panel_scratch_weights + panel_scratch_row * panel_scratch_rows));
    for (std::int64_t group = 0; group < packed_.groups(); group += 2 * pairs_at_once)
      kernel_.multiply(view(packed_), tiled(), group, std::min(packed_.groups(), group + 2 * pairs_at_once), y.data(), size_.outputs,
                       scratch->as<std::uint8_t>());
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
  // Columns in one to three blocks, rows in one or two, outputs in one or two batches of panels; whole and partial tiles.
  const Size sizes[] = {{1, 16, 256}, {33, 40, 256}, {16, 33, 768}, {70, 300, 512}, {64, 272, 1536}, {530, 49, 768}};
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa)) continue;
    for (const Size& size : sizes) {
      SCOPED_TRACE(fmt::format("{} rows {} outputs {} cols {}", kernel.name, size.rows, size.outputs, size.cols));
      const Case test_case(kernel, size);
      const std::vector<float> y = test_case.multiply(1000);
      // f32 sums of at most 1536 exact products; a dequantised weight may round the other way from its double value, and
      // does so more often where scales are any f32: 2^-8 of one of 256 products then.
      EXPECT_LE(test_case.worst_error(y), has_quantiser(kernel.source) ? 2e-5 : 6e-5);
      EXPECT_EQ(test_case.multiply(1), y);
      EXPECT_EQ(test_case.multiply(3), y);
    }
  }
}

TEST(PanelKernels, RowsDoNotDependOnOtherRows) {
  constexpr std::int64_t outputs = 50, cols = 768, most_rows = 520;
  for (const PanelKernel& kernel : panel_kernels()) {
    if (!supported(kernel.isa)) continue;
    const std::vector<float> all = Case(kernel, {most_rows, outputs, cols}).multiply(1000);
    for (const std::int64_t rows : {1, 31, 48, 513}) {
      SCOPED_TRACE(fmt::format("{} rows {}", kernel.name, rows));
      EXPECT_EQ(Case(kernel, {rows, outputs, cols}).multiply(1000), std::vector<float>(all.begin(), all.begin() + rows * outputs));
    }
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
