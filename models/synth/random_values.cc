// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/philox.h>
#include <lazuli/models/synth/random_values.h>

#include <algorithm>
#include <array>
#include <bit>

namespace lazuli::synth {
namespace {

// Of a sum of four bytes: each has mean 127.5 and variance (256^2 - 1) / 12.
constexpr float sum_mean = 510.0f, sum_deviation = 147.80053f;

int byte_sum(std::uint32_t word) {
  const std::uint32_t pairs = (word & 0x00ff00ffu) + (word >> 8 & 0x00ff00ffu);
  return static_cast<int>((pairs & 0xffffu) + (pairs >> 16));
}

// bf16_to_f32(f32_to_bf16(x)) for numbers, without the test for NaN, so that the loop around it vectorises.
float round_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

}  // namespace

// The hash of the name, from a start that the seed decides.
std::int64_t stream_key(std::int64_t seed, std::string_view tensor) {
  const std::uint64_t start = fnv1a_start ^ static_cast<std::uint64_t>(seed) * 0x9e3779b97f4a7c15u;
  return static_cast<std::int64_t>(fnv1a(tensor, start));
}

void fill_random(std::int64_t key, std::int64_t first, const Spread& spread, std::span<float> values) {
  const auto key_bits = static_cast<std::uint64_t>(key);
  const std::array<std::uint32_t, 2> words{static_cast<std::uint32_t>(key_bits),
                                           static_cast<std::uint32_t>(key_bits >> 32)};
  const float scale = spread.deviation / sum_deviation;
  constexpr std::int64_t batch = 1024;
  std::array<std::int32_t, batch + 4> sums;
  const auto count = static_cast<std::int64_t>(values.size());
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t skipped = (first + done) % 4, taken = std::min(batch, count - done);
    const auto counter = static_cast<std::uint64_t>((first + done) / 4);
    for (std::int64_t block = 0; block * 4 < skipped + taken; ++block) {
      const std::uint64_t at = counter + static_cast<std::uint64_t>(block);
      const PhiloxBlock random =
          philox4x32({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), 0, 0}, words);
      for (std::size_t lane = 0; lane < 4; ++lane)
        sums[static_cast<std::size_t>(block) * 4 + lane] = byte_sum(random[lane]);
    }
    const std::int32_t* from = sums.data() + skipped;
    float* out = values.data() + done;
    for (std::int64_t i = 0; i < taken; ++i)
      out[i] = round_to_bf16(spread.centre + (static_cast<float>(from[i]) - sum_mean) * scale) + spread.offset;
    done += taken;
  }
}

}  // namespace lazuli::synth
