// SPDX-License-Identifier: MIT
// What the kernels for windows see: plain structs over memory somebody else owns. Pixels are `channels` floats each.
//
// Instruction-set units include this header, so it holds no inline code and no std:: types.
#pragma once

#include <cstdint>

namespace lazuli {

// A row of the result of a depthwise convolution, for the channels [channel_begin, channel_end):
//   y[j] = sum over rows r and taps t of x_rows[r][j * step + starts[t]] * weights[r][weight_taps[t]],
// of those pixels of x that are inside [0, size). Products are added by FMA in this order, the rows before the taps.
struct DepthwiseRow {
  const float* const* x_rows;   // pixel 0 of each row of x that meets the kernel
  const float* const* weights;  // tap 0 of the kernel's row that meets it, [taps, channels]
  std::int64_t rows;
  const std::int64_t* starts;
  const std::int64_t* weight_taps;
  std::int64_t taps;
  std::int64_t step;
  std::int64_t size;
  std::int64_t count;                     // of j
  std::int64_t inside_begin, inside_end;  // those j of which no tap is outside
  std::int64_t channels;
  std::int64_t channel_begin, channel_end;
  float* y;               // of j = 0
  std::int64_t y_stride;  // floats from one j to the next
};
using Depthwise = void (*)(const DepthwiseRow& row);

// The maximum (NaN wins; of no pixel -inf), or the sum divided by `divisor`, of `count` pixels.
struct PoolWindow {
  const float* const* pixels;
  std::int64_t count;
  float divisor;
  std::int64_t channel_begin, channel_end;
  float* y;  // of channel 0
};
using Pool = void (*)(const PoolWindow& window);

}  // namespace lazuli
