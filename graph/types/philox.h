// SPDX-License-Identifier: MIT
// Random numbers as a function of (key, index): any element can be computed alone, in any order, on any thread.
//
// The stream of a key is Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2,
// 3", section 3.3): word i is lane i mod 4 of the block whose counter is i / 4.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace lazuli {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Ten rounds on a 128-bit counter and a 64-bit key, both as 32-bit words, lowest first.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = 0xD2511F53ull * counter[0];
    const std::uint64_t product1 = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;  // the golden ratio and sqrt(3) - 1, as fractions of 2^32
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Word `index` of the stream of `key`.
constexpr std::uint32_t random_word(std::int64_t key, std::int64_t index) {
  const auto key_bits = static_cast<std::uint64_t>(key);
  const std::uint64_t block = static_cast<std::uint64_t>(index) / 4;
  const PhiloxBlock words =
      philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), 0, 0},
                 {static_cast<std::uint32_t>(key_bits), static_cast<std::uint32_t>(key_bits >> 32)});
  return words[static_cast<std::uint64_t>(index) % 4];
}

// Element `index` of random_uniform, in [0, 1). The word's top bits, as many as the significand of `dtype` holds (f32
// 24, f16 11, bf16 8): the value is exact in that type. More bits would round up to 1. f64 takes 53 bits of the words
// 2 index and 2 index + 1.
constexpr double random_uniform(std::int64_t key, std::int64_t index, DType dtype = DType::f32) {
  if (dtype == DType::f64) {
    const std::uint64_t high = random_word(key, 2 * index), low = random_word(key, 2 * index + 1);
    return static_cast<double>((high << 32 | low) >> 11) * 0x1p-53;
  }
  const int bits = dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  return static_cast<double>(random_word(key, index) >> (32 - bits)) / static_cast<double>(1u << bits);
}

// Element `index` of random_normal, before it is rounded to the array's dtype: mean 0, variance 1. Elements 2j and
// 2j + 1 are the pair that Box and Muller 1958 make of the uniforms 2j and 2j + 1, which are f64 for f64 and else f32.
inline double random_normal(std::int64_t key, std::int64_t index, DType dtype = DType::f32) {
  const DType uniform = dtype == DType::f64 ? DType::f64 : DType::f32;
  const std::int64_t first = index - index % 2;
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random_uniform(key, first, uniform)));  // 1 - u is in (0, 1]
  const double angle = 2.0 * std::numbers::pi * random_uniform(key, first + 1, uniform);
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace lazuli
