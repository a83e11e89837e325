// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/rows/rope.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace lazuli {
namespace {

constexpr std::int64_t chunk_pairs = 128;  // worked on at a time

// Flips the sign of `value` where bit 1 of `quadrant` is set.
float flip(float value, std::uint32_t quadrant) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ (quadrant & 2u) << 30);
}

// Sine and cosine of position * frequency. The angle a = n pi/2 + r, |r| <= pi/4, is reduced in double: pi/2 in two
// parts, the first of 33 bits, so that n times it is exact for |n| < 2^20 (Cody & Waite 1980). Then
// sin r = r + r³ S(r²) and cos r = 1 - r²/2 + r⁴ C(r²) in f32, with S and C of degree 2 by the Remez exchange; their
// errors are below 4e-9. Loops over arrays, no library call, so that the compiler vectorises them.
void turn(std::int32_t position, const float* frequencies, std::int64_t count, float* cosines, float* sines) {
  constexpr double two_over_pi = 0x1.45f306dc9c883p-1;
  constexpr double half_pi_high = 0x1.921fb544p+0;
  constexpr double half_pi_low = 0x1.0b4611a626331p-34;
  constexpr double magic = 0x1.8p+52;  // adding it rounds to an integer
  alignas(64) float remainder[chunk_pairs];
  alignas(64) std::int32_t quadrant[chunk_pairs];
  for (std::int64_t j = 0; j < count; ++j) {
    const double angle = static_cast<double>(position) * static_cast<double>(frequencies[j]);
    const double turns = (angle * two_over_pi + magic) - magic;
    remainder[j] = static_cast<float>((angle - turns * half_pi_high) - turns * half_pi_low);
    quadrant[j] = static_cast<std::int32_t>(turns);
  }
  for (std::int64_t j = 0; j < count; ++j) {
    const float r = remainder[j], z = r * r;
    const float sine = r + r * z * (-0.166666549f + z * (0.00833217769f + z * -0.000195172350f));
    const float cosine = 1.0f - 0.5f * z + z * z * (0.0416666469f + z * (-0.00138873669f + z * 2.44383805e-5f));
    const auto n = static_cast<std::uint32_t>(quadrant[j]);
    const bool odd = (n & 1u) != 0;
    sines[j] = flip(odd ? cosine : sine, n);
    cosines[j] = flip(odd ? sine : cosine, n + 1);
  }
}

// In place or apart.
void rotate(const float* x, float* out, std::int64_t half, const float* cosines, const float* sines,
            std::int64_t pairs) {
#ifdef __clang__
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
  for (std::int64_t j = 0; j < pairs; ++j) {
    const float low = x[j], high = x[j + half];
    out[j] = low * cosines[j] - high * sines[j];
    out[j + half] = high * cosines[j] + low * sines[j];
  }
}

}  // namespace

std::vector<float> make_inverse_frequencies(std::int64_t width, double base, double scale, std::int64_t rotated_pairs,
                                            const float* factors) {
  if (width <= 0 || width % 2 != 0) fail("rope: the width is {}; expected a positive even number", width);
  if (rotated_pairs < 0 || rotated_pairs > width / 2) {
    fail("rope: rotated_pairs is {}; expected 0 to {} for width {}", rotated_pairs, width / 2, width);
  }
  if (!(base > 0)) fail("rope: the base is {}; expected a positive number", base);
  std::vector<float> frequencies(static_cast<std::size_t>(rotated_pairs == 0 ? width / 2 : rotated_pairs));
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const double exponent = -2.0 * static_cast<double>(j) / static_cast<double>(width);
    const double factor = factors == nullptr ? 1.0 : static_cast<double>(factors[j]);
    frequencies[j] = static_cast<float>(scale * std::pow(base, exponent) / factor);
  }
  return frequencies;
}

void rope_turns(const std::int32_t* positions, const float* inverse_frequencies, std::int64_t pairs, float* turns,
                std::int64_t row_begin, std::int64_t row_end) {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    float* cosines = turns + row * 2 * pairs;
    for (std::int64_t pair = 0; pair < pairs; pair += chunk_pairs) {
      const std::int64_t count = std::min(chunk_pairs, pairs - pair);
      turn(positions[row], inverse_frequencies + pair, count, cosines + pair, cosines + pairs + pair);
    }
  }
}

void rope_rows(const RopeArguments& arguments, std::int64_t row_begin, std::int64_t row_end) {
  const std::int64_t half = arguments.width / 2, pairs = arguments.pairs;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const float* cosines = arguments.turns + row * 2 * pairs;
    for (std::int64_t head = 0; head < arguments.heads; ++head) {
      const float* x = arguments.x + row * arguments.x_stride + head * arguments.width;
      float* out = arguments.out + row * arguments.out_stride + head * arguments.width;
      rotate(x, out, half, cosines, cosines + pairs, pairs);
      if (x == out) continue;
      std::copy_n(x + pairs, half - pairs, out + pairs);
      std::copy_n(x + half + pairs, half - pairs, out + half + pairs);
    }
  }
}

}  // namespace lazuli
