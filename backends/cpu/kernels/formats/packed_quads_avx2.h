// SPDX-License-Identifier: MIT
// How AVX2 code reads the planes of packed_planes.h: the 32 bytes of one side (8 outputs) of a quad by Codes, its
// scales by Scales. For units compiled for AVX2 only; everything here has internal linkage.
#pragma once

#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/formats/packed_entries.h>

#define LAZULI_INLINE inline __attribute__((always_inline))
#define LAZULI_UNROLL _Pragma("GCC unroll 16")

namespace lazuli {
namespace {

using packed::Codes;
using packed::Halves;
using packed::Planes;
using packed::Scales;

constexpr int side_rows = 8;
constexpr int prefetch_distance = 2048;  // bytes

typedef std::int32_t AliasingInt __attribute__((may_alias));

// The scales of one side of a block; members as in the other levels.
struct BlockScale {
  __m256 scale[2];
  __m256 minimum;
};

LAZULI_INLINE __m256i load32(const std::uint8_t* bytes) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
}

LAZULI_INLINE __m128i load8(const std::uint8_t* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

LAZULI_INLINE __m256 load_f16(const std::uint8_t* bytes) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
}

LAZULI_INLINE __m256i nibbles(const std::uint8_t* quants, int quad, int side) {
  const __m256i both = load32(quants + 64 * (quad % 4) + 32 * side);
  return _mm256_and_si256(quad < 4 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}

// Adds `value` to the bytes, in which that bit is clear, whose bit is set in the mask of the quad.
LAZULI_INLINE __m256i add_single_bits(__m256i codes, const std::uint8_t* masks, int quad, int side, int value) {
  const auto* mask = reinterpret_cast<const AliasingInt*>(masks + 8 * quad + 4 * side);
  const __m256i byte_of_lane = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of_lane = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(*mask), byte_of_lane);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of_lane), bit_of_lane);
  return _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value))));
}

LAZULI_INLINE __m256i nibbles_and_fifth_bits(const std::uint8_t* quants, int quad, int side) {
  return add_single_bits(nibbles(quants, quad, side), quants + 256, quad, side, 16);
}

// The two bits of a quad, moved to bit `place` (0 or 4) of their bytes.
LAZULI_INLINE __m256i two_bits(const std::uint8_t* pairs, int quad, int side, int place) {
  const __m256i four = load32(pairs + 64 * (quad / 4) + 32 * side);
  const int shift = place - 2 * (quad % 4);
  const __m256i moved = shift >= 0 ? _mm256_slli_epi16(four, shift) : _mm256_srli_epi16(four, -shift);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(3 << place)));
}

// Twice the e2m1 values, 12 added.
LAZULI_INLINE __m256i e2m1(const std::uint8_t* quants, int quad, int side) {
  const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(quants, quad, side));
}

LAZULI_INLINE BlockScale f16_scales(const std::uint8_t* scales, int side, bool minimums) {
  BlockScale scale;
  scale.scale[0] = load_f16(scales + 16 * side);
  if (minimums) scale.minimum = load_f16(scales + 32 + 16 * side);
  return scale;
}

LAZULI_INLINE BlockScale k_scales(const std::uint8_t* scales, const std::uint8_t* super, int side) {
  const __m256 six_bit_scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(scales + 8 * side)));
  const __m256 six_bit_minimum = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(scales + 16 + 8 * side)));
  BlockScale scale;
  scale.scale[0] = _mm256_mul_ps(load_f16(super + 16 * side), six_bit_scale);
  const __m256 minimum = _mm256_mul_ps(load_f16(super + 32 + 16 * side), six_bit_minimum);
  scale.minimum = _mm256_xor_ps(minimum, _mm256_set1_ps(-0.0f));
  return scale;
}

// Bytes as the bits of an f16 below its sign, times `factor`.
LAZULI_INLINE __m256 upper_f16(const std::uint8_t* bytes, float factor) {
  const __m128i f16 = _mm_slli_epi16(_mm_cvtepu8_epi16(load8(bytes)), 7);
  return _mm256_mul_ps(_mm256_cvtph_ps(f16), _mm256_set1_ps(factor));
}

// Half an ue4m3 scale: shifted into f16 it is too small by 2^8.
LAZULI_INLINE __m256 half_ue4m3(const std::uint8_t* bytes) { return upper_f16(bytes, 0x1p7f); }

// 8 scales of an entry, from the scale `index` on, of 4 bytes (f32) or 2 (bf16).
LAZULI_INLINE __m256 wide_scale(const std::uint8_t* entry, int index, int width) {
  if (width == 4) return _mm256_load_ps(reinterpret_cast<const float*>(entry + 4 * index));
  const __m128i words = _mm_load_si128(reinterpret_cast<const __m128i*>(entry + 2 * index));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

// 2^(e - 128), subnormal for e < 2.
LAZULI_INLINE __m256 half_e8m0(const std::uint8_t* bytes) {
  const __m256i exponent = _mm256_cvtepu8_epi32(load8(bytes));
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(exponent, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), exponent);
  const __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), exponent);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, small));
}

LAZULI_INLINE BlockScale wide_halves(const PackedWeightView& weight, const std::uint8_t* entry, int side) {
  const bool is_short = weight.scale_width == 1;
  BlockScale scale;
  LAZULI_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int index = 16 * half + 8 * side;
    scale.scale[half] = is_short ? upper_f16(entry + index, weight.factor) : wide_scale(entry, index, 4);
  }
  return scale;
}

// Codes of 8 bits are taken as signed, 128 less than they are: see linear_quantised_avx2.cc.
template <Codes codes>
LAZULI_INLINE __m256i read_quad(const std::uint8_t* quants, int index, int side) {
  if constexpr (codes == Codes::bits2) return two_bits(quants, index, side, 0);
  if constexpr (codes == Codes::bits3)
    return add_single_bits(two_bits(quants, index, side, 0), quants + 128, index, side, 4);
  if constexpr (codes == Codes::bits4) return nibbles(quants, index, side);
  if constexpr (codes == Codes::bits5) return nibbles_and_fifth_bits(quants, index, side);
  if constexpr (codes == Codes::bits6) {
    return _mm256_or_si256(nibbles(quants, index, side), two_bits(quants + 256, index, side, 4));
  }
  if constexpr (codes == Codes::bits8) {
    return _mm256_xor_si256(load32(quants + 64 * index + 32 * side), _mm256_set1_epi8(-128));
  }
  if constexpr (codes == Codes::e2m1) return e2m1(quants, index, side);
}

template <Scales scales>
LAZULI_INLINE BlockScale read_scale(const PackedWeightView& weight, const std::uint8_t* entry,
                                    const std::uint8_t* super, int side) {
  BlockScale scale;
  if constexpr (scales == Scales::f16) scale = f16_scales(entry, side, false);
  if constexpr (scales == Scales::f16_minimum) scale = f16_scales(entry, side, true);
  if constexpr (scales == Scales::super_u8_minimum) scale = k_scales(entry, super, side);
  if constexpr (scales == Scales::super_i8_halves) {
    const __m256 d = load_f16(super + 16 * side);
    scale.scale[0] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(entry + 8 * side))));
    scale.scale[1] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(entry + 16 + 8 * side))));
  }
  if constexpr (scales == Scales::half_e8m0) scale.scale[0] = half_e8m0(entry + 8 * side);
  if constexpr (scales == Scales::half_ue4m3_halves) {
    scale.scale[0] = half_ue4m3(entry + 8 * side);
    scale.scale[1] = half_ue4m3(entry + 16 + 8 * side);
  }
  if constexpr (scales == Scales::wide_minimum) {
    scale.scale[0] = wide_scale(entry, 8 * side, weight.scale_width);
    scale.minimum = wide_scale(entry, 16 + 8 * side, weight.scale_width);
  }
  if constexpr (scales == Scales::wide_halves) scale = wide_halves(weight, entry, side);
  return scale;
}

// Formats of equal planes are one type, and share their code.
template <Planes planes_>
struct Packed {
  static constexpr Planes planes = planes_;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return read_quad<planes.codes>(quants, index, side);
  }
};

template <class Format>
constexpr bool signed_weights = Format::planes.codes == Codes::bits8;

// How many sums of two products, of at most 2 * largest code * 127 each, add up in 16 bits: 8, 4, 2 or, for weights
// with a sign, 1.
template <class Format>
constexpr int quads_in_16_bits() {
  if (signed_weights<Format>) return 1;
  const int most = 0x7fff / (2 * Format::planes.max_code * 127);
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// The scales of one side.
template <class Format>
LAZULI_INLINE BlockScale block_scale(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                     int side) {
  return read_scale<Format::planes.scales>(weight, group + packed::scale_entry<Format>(weight, block),
                                           group + packed::super_entry<Format>(weight, block), side);
}

LAZULI_INLINE void prefetch(const std::uint8_t* bytes, int count) {
  LAZULI_UNROLL
  for (int line = 0; line < count; line += 64) _mm_prefetch(reinterpret_cast<const char*>(bytes + line), _MM_HINT_T0);
}

// Quants soon to be read, and the same block's scales in the next group: those planes are too short for the hardware to
// foresee, and a group would begin by waiting for them.
template <class Format>
LAZULI_INLINE void prefetch_block(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  constexpr Planes planes = Format::planes;
  prefetch(group + block * planes.quant_bytes + prefetch_distance, planes.quant_bytes);
  const std::uint8_t* next = group + weight.group_bytes;
  prefetch(next + packed::scale_entry<Format>(weight, block), 1);
  if constexpr (planes.super_bytes != 0) prefetch(next + packed::super_entry<Format>(weight, block), 1);
}

// The same block of the next group.
template <class Format>
LAZULI_INLINE void prefetch_next_group(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  const std::uint8_t* next = group + weight.group_bytes;
  prefetch(next + block * Format::planes.quant_bytes, Format::planes.quant_bytes);
  prefetch(next + packed::scale_entry<Format>(weight, block), 1);
}

}  // namespace
}  // namespace lazuli
