// SPDX-License-Identifier: MIT
// Windows over pixels for any vector type. Private to the instruction-set units; everything here has internal linkage.
//
// Channels are taken by vectors of V, what is left by those of Narrower, in this order. A channel meets the same
// operations in the same order whatever the vector, so that all levels give the same bits.
//
// V has: Register; lanes; broadcast, load, store, add, divide, multiply_add, and maximum, in which NaN wins.
#pragma once

#include <lazuli/backends/cpu/kernels/windows/window_views.h>

#define LAZULI_WINDOW_INLINE inline __attribute__((always_inline))

namespace lazuli {
namespace {

// Sums of so many pixels are made by themselves, which keeps the error of long sums small.
constexpr std::int64_t pixels_of_sum = 64;

// One channel.
struct OneLane {
  using Register = float;
  static constexpr std::int64_t lanes = 1;
  static LAZULI_WINDOW_INLINE float broadcast(float value) { return value; }
  static LAZULI_WINDOW_INLINE float load(const float* from) { return *from; }
  static LAZULI_WINDOW_INLINE void store(float* to, float value) { *to = value; }
  static LAZULI_WINDOW_INLINE float add(float a, float b) { return a + b; }
  static LAZULI_WINDOW_INLINE float divide(float a, float b) { return a / b; }
  static LAZULI_WINDOW_INLINE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static LAZULI_WINDOW_INLINE float maximum(float best, float x) { return x > best || x != x ? x : best; }
};

// `pixels` neighbours from j on; of those at the edges, one, whose taps may be outside.
template <class V, int pixels, bool inside>
LAZULI_WINDOW_INLINE void multiply_pixels(const DepthwiseRow& row, std::int64_t j, std::int64_t channel) {
  typename V::Register sum[pixels];
#pragma GCC unroll 4
  for (int p = 0; p < pixels; ++p) sum[p] = V::broadcast(0.0f);
  for (std::int64_t r = 0; r < row.rows; ++r) {
    for (std::int64_t t = 0; t < row.taps; ++t) {
      const std::int64_t position = j * row.step + row.starts[t];
      if (!inside && (position < 0 || position >= row.size)) continue;
      const typename V::Register weight = V::load(row.weights[r] + row.weight_taps[t] * row.channels + channel);
      const float* x = row.x_rows[r] + position * row.channels + channel;
#pragma GCC unroll 4
      for (int p = 0; p < pixels; ++p)
        sum[p] = V::multiply_add(V::load(x + p * row.step * row.channels), weight, sum[p]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < pixels; ++p) V::store(row.y + (j + p) * row.y_stride + channel, sum[p]);
}

template <class V, class... Narrower>
LAZULI_WINDOW_INLINE void depthwise_channels(const DepthwiseRow& row, std::int64_t j, bool four, bool inside,
                                             std::int64_t channel) {
  for (; channel + V::lanes <= row.channel_end; channel += V::lanes) {
    if (four)
      multiply_pixels<V, 4, true>(row, j, channel);
    else if (inside)
      multiply_pixels<V, 1, true>(row, j, channel);
    else
      multiply_pixels<V, 1, false>(row, j, channel);
  }
  if constexpr (sizeof...(Narrower) > 0) depthwise_channels<Narrower...>(row, j, four, inside, channel);
}

template <class... Vectors>
LAZULI_WINDOW_INLINE void depthwise_row(const DepthwiseRow& row) {
  for (std::int64_t j = 0; j < row.count;) {
    const bool inside = j >= row.inside_begin && j < row.inside_end, four = inside && j + 4 <= row.inside_end;
    depthwise_channels<Vectors...>(row, j, four, inside, row.channel_begin);
    j += four ? 4 : 1;
  }
}

// Several vectors at once hide the latency of the operation.
template <class V, int vectors>
LAZULI_WINDOW_INLINE void maximum_of(const PoolWindow& window, std::int64_t channel) {
  typename V::Register best[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) best[v] = V::broadcast(-__builtin_inff());
  for (std::int64_t p = 0; p < window.count; ++p) {
    const float* pixel = window.pixels[p] + channel;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) best[v] = V::maximum(best[v], V::load(pixel + v * V::lanes));
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) V::store(window.y + channel + v * V::lanes, best[v]);
}

template <class V, int vectors>
LAZULI_WINDOW_INLINE void mean_of(const PoolWindow& window, std::int64_t channel) {
  typename V::Register total[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) total[v] = V::broadcast(0.0f);
  for (std::int64_t first = 0; first < window.count; first += pixels_of_sum) {
    const std::int64_t end = window.count - first < pixels_of_sum ? window.count : first + pixels_of_sum;
    typename V::Register sum[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[v] = V::broadcast(0.0f);
    for (std::int64_t p = first; p < end; ++p) {
      const float* pixel = window.pixels[p] + channel;
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[v] = V::add(sum[v], V::load(pixel + v * V::lanes));
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) total[v] = V::add(total[v], sum[v]);
  }
  const typename V::Register divisor = V::broadcast(window.divisor);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) V::store(window.y + channel + v * V::lanes, V::divide(total[v], divisor));
}

template <bool is_maximum, class V, class... Narrower>
LAZULI_WINDOW_INLINE void pool_channels(const PoolWindow& window, std::int64_t channel) {
  constexpr int vectors = 4;
  for (; channel + vectors * V::lanes <= window.channel_end; channel += vectors * V::lanes) {
    if constexpr (is_maximum)
      maximum_of<V, vectors>(window, channel);
    else
      mean_of<V, vectors>(window, channel);
  }
  for (; channel + V::lanes <= window.channel_end; channel += V::lanes) {
    if constexpr (is_maximum)
      maximum_of<V, 1>(window, channel);
    else
      mean_of<V, 1>(window, channel);
  }
  if constexpr (sizeof...(Narrower) > 0) pool_channels<is_maximum, Narrower...>(window, channel);
}

}  // namespace
}  // namespace lazuli

#define LAZULI_DEFINE_WINDOWS(isa, ...)                                                                             \
  void depthwise_##isa(const DepthwiseRow& row) { depthwise_row<__VA_ARGS__>(row); }                                \
  void max_pool_##isa(const PoolWindow& window) { pool_channels<true, __VA_ARGS__>(window, window.channel_begin); } \
  void mean_pool_##isa(const PoolWindow& window) { pool_channels<false, __VA_ARGS__>(window, window.channel_begin); }
