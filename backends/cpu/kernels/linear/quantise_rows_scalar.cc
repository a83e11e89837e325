// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

#include <cfloat>
#include <cmath>
#include <limits>

namespace lazuli {
namespace {

constexpr float smallest_magnitude = 0x1p-119f;  // 127 over anything smaller could overflow

// Nearest integer, ties to even, of a value below 2^22: the addition rounds at the units place.
std::int32_t round_to_int(float value) { return static_cast<std::int32_t>((value + 0x1.8p23f) - 0x1.8p23f); }

void quantise_block(const float* x, std::int8_t* values, float* scale, std::int16_t* half_sums) {
  float largest = 0;
  bool finite = true;
  for (int i = 0; i < packed_block_columns; ++i) {
    const float magnitude = std::fabs(x[i]);
    finite = finite && magnitude <= FLT_MAX;
    largest = magnitude > largest ? magnitude : largest;
  }
  const bool quantisable = finite && largest >= smallest_magnitude;
  const float inverse = quantisable ? 127.0f / largest : 0.0f;
  *scale = quantisable ? largest / 127.0f : finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  for (int half = 0; half < 2; ++half) {
    std::int32_t sum = 0;
    for (int i = 16 * half; i < 16 * half + 16; ++i) {
      const std::int32_t value = quantisable ? round_to_int(x[i] * inverse) : 0;
      values[i] = static_cast<std::int8_t>(value);
      sum += value;
    }
    half_sums[half] = static_cast<std::int16_t>(sum);
  }
}

}  // namespace

void quantise_rows_scalar(const float* x, std::int64_t x_stride, std::int64_t row_begin, std::int64_t row_end,
                          const QuantisedRowsView& out) {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    for (std::int64_t block = 0; block < out.cols / packed_block_columns; ++block) {
      quantise_block(x + row * x_stride + block * packed_block_columns,
                     out.values + row * out.value_stride + block * packed_block_columns,
                     out.scales + row * out.scale_stride + block,
                     out.half_sums + row * out.half_sum_stride + 2 * block);
    }
  }
}

}  // namespace lazuli
