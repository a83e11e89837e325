// SPDX-License-Identifier: MIT
// How portable code reads the planes of packed_planes.h, one row of a block at a time: its values by Codes, its scales
// by Scales.
//
// A weight is scale * value + minimum. All products are exact in f32 and the sum rounds once, so the order
// of evaluation does not matter.
//
// For units compiled for the baseline only: this is inline code.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/kernels/formats/packed_planes.h>
#include <lazuli/graph/types/half.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace lazuli::packed {

struct BlockScale {
  float scale[2] = {};  // of the halves; equal unless Halves::separate
  float minimum = 0;
};

inline std::uint32_t load32(const std::uint8_t* bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

inline float load_f32(const std::uint8_t* bytes) { return std::bit_cast<float>(load32(bytes)); }

inline float load_f16(const std::uint8_t* bytes, int index) {
  return f16_to_f32(static_cast<std::uint16_t>(bytes[2 * index] | bytes[2 * index + 1] << 8));
}

// One row's place in a block of a group.
struct BlockSource {
  const PackedWeightView& weight;
  const std::uint8_t* quants;
  const std::uint8_t* scales;
  const std::uint8_t* super;
  int lane;
};

inline void load_nibbles(const BlockSource& from, int* values) {
  for (int v = 0; v < 4; ++v) {
    for (int c = 0; c < 4; ++c) {
      const int byte = from.quants[64 * v + 4 * from.lane + c];
      values[4 * v + c] = byte & 15;
      values[16 + 4 * v + c] = byte >> 4;
    }
  }
}

inline void load_single_bits(const BlockSource& from, int offset, int shift, int* values) {
  for (int quad = 0; quad < 8; ++quad) {
    const int bits = from.quants[offset + 8 * quad + from.lane / 2] >> (from.lane % 2 * 4);
    for (int c = 0; c < 4; ++c) values[4 * quad + c] |= (bits >> c & 1) << shift;
  }
}

inline void load_pairs(const BlockSource& from, int offset, int shift, int* values) {
  for (int column = 0; column < 32; ++column) {
    const int pairs = from.quants[offset + column / 16 * 64 + 4 * from.lane + column % 4];
    values[column] |= (pairs >> (column % 16 / 4 * 2) & 3) << shift;
  }
}

// Where the planes of a block's codes begin, and which bits of a code they hold.
template <Codes codes>
struct CodeBits {
  static constexpr bool has_nibbles = codes == Codes::bits4 || codes == Codes::bits5 || codes == Codes::bits6;
  static constexpr bool has_pairs = codes == Codes::bits2 || codes == Codes::bits3 || codes == Codes::bits6;
  static constexpr bool has_single_bits = codes == Codes::bits3 || codes == Codes::bits5;
  static constexpr int pairs_at = has_nibbles ? 256 : 0, pair_shift = has_nibbles ? 4 : 0;
  static constexpr int single_bits_at = has_pairs ? 128 : 256, single_bit = has_pairs ? 2 : 4;
};

// Twice the e2m1 values, so that they are integers; scales are halved.
inline constexpr int doubled_e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// An e4m3 code shifted into f16 is too small by 2^8 (the biases are 7 and 15). Bits 14 to 7 of an f16; bit 14, which
// the shift of the sign-extended code fills with the sign, is cleared.
inline float e4m3_as_f16(std::uint8_t code) {
  return f16_to_f32(static_cast<std::uint16_t>(static_cast<std::int8_t>(code) * 128 & 0xbfff));
}

inline float f32_exponent(std::uint8_t exponent) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent) << 23);
}

// The codes of a row's block, less the offset where they have one.
template <Planes planes>
void read_values(const BlockSource& from, int* values) {
  constexpr Codes codes = planes.codes;
  if constexpr (codes == Codes::bits8) {
    for (int column = 0; column < 32; ++column) {
      values[column] = from.quants[column / 4 * 64 + 4 * from.lane + column % 4] - planes.offset;
    }
  } else if constexpr (codes == Codes::e2m1) {
    load_nibbles(from, values);
    for (int column = 0; column < 32; ++column) values[column] = doubled_e2m1[values[column]];
  } else if constexpr (codes == Codes::e4m3_columns) {
    // Codes are multiples of 2^-9, and of 2^-17 as f16.
    for (int column = 0; column < 32; ++column) {
      values[column] = static_cast<int>(e4m3_as_f16(from.quants[16 * column + from.lane]) * 0x1p17f);
    }
  } else {
    using Bits = CodeBits<codes>;
    if constexpr (Bits::has_nibbles) {
      load_nibbles(from, values);
    } else {
      for (int column = 0; column < 32; ++column) values[column] = 0;
    }
    if constexpr (Bits::has_pairs) load_pairs(from, Bits::pairs_at, Bits::pair_shift, values);
    if constexpr (Bits::has_single_bits) load_single_bits(from, Bits::single_bits_at, Bits::single_bit, values);
    for (int column = 0; column < 32; ++column) values[column] -= planes.offset;
  }
}

// Half an ue4m3 scale: shifted into f16 it is too small by 2^8.
inline float half_ue4m3(std::uint8_t bits) { return f16_to_f32(static_cast<std::uint16_t>(bits << 7)) * 0x1p7f; }

// Half an e8m0 scale: 2^(e - 128), subnormal for e < 2.
inline float half_e8m0(std::uint32_t exponent) {
  return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
}

// Unsigned, 5 bits of exponent, 3 of mantissa: an f16 without its sign and lower seven bits.
inline float ue5m3_to_f32(std::uint8_t code) { return f16_to_f32(static_cast<std::uint16_t>(code << 7)); }

// Entry `index` (0..31) of an entry of wide scales.
inline float load_wide_scale(const BlockSource& from, int index) {
  switch (from.weight.scale_width) {
    case 1:
      return ue5m3_to_f32(from.scales[index]) * from.weight.factor;
    case 2:
      return bf16_to_f32(static_cast<std::uint16_t>(from.scales[2 * index] | from.scales[2 * index + 1] << 8));
    default:
      return load_f32(from.scales + 4 * index);
  }
}

template <Planes planes>
BlockScale read_scale(const BlockSource& from) {
  constexpr Scales scales = planes.scales;
  const int lane = from.lane, second = 16 + lane;
  const auto both = [](float d, float minimum = 0) { return BlockScale{{d, d}, minimum}; };
  if constexpr (scales == Scales::f16) return both(load_f16(from.scales, lane));
  if constexpr (scales == Scales::f16_minimum)
    return both(load_f16(from.scales, lane), load_f16(from.scales + 32, lane));
  if constexpr (scales == Scales::super_u8_minimum) {
    const float minimum = load_f16(from.super + 32, lane) * static_cast<float>(from.scales[second]);
    return both(load_f16(from.super, lane) * static_cast<float>(from.scales[lane]), -minimum);
  }
  if constexpr (scales == Scales::super_i8_halves) {
    const float d = load_f16(from.super, lane);
    return {{d * static_cast<std::int8_t>(from.scales[lane]), d * static_cast<std::int8_t>(from.scales[second])}};
  }
  if constexpr (scales == Scales::half_e8m0) return both(half_e8m0(from.scales[lane]));
  if constexpr (scales == Scales::half_ue4m3_halves)
    return {{half_ue4m3(from.scales[lane]), half_ue4m3(from.scales[second])}};
  if constexpr (scales == Scales::e8m0_of_f32) return both(std::ldexp(f32_exponent(from.scales[lane]), -17));
  if constexpr (scales == Scales::wide_minimum) return both(load_wide_scale(from, lane), load_wide_scale(from, second));
  if constexpr (scales == Scales::wide_halves) return {{load_wide_scale(from, lane), load_wide_scale(from, second)}};
}

}  // namespace lazuli::packed
