// SPDX-License-Identifier: MIT
// How AVX-512 code reads the planes of packed_planes.h: the 64 unsigned bytes of a quad by Codes, the scales of a block
// by Scales. For units compiled for AVX-512 only; everything here has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_entries.h>
#include <lazuli/backends/cpu/kernels/intrinsics/intrinsics_avx512.h>

#define LAZULI_INLINE inline __attribute__((always_inline))
#define LAZULI_UNROLL _Pragma("GCC unroll 16")

namespace lazuli {
namespace {

using packed::Codes;
using packed::Halves;
using packed::Planes;
using packed::Scales;

struct BlockScale {
  __m512 scale[2];  // of the halves; the second only where they are separate
  __m512 minimum;   // only where there are minimums
};

constexpr int prefetch_distance = 2048;  // bytes; the hardware alone leaves a third of the memory's speed unused

// Quants are fetched twice: from memory to L2 a page ahead, where the hardware has not begun to, and from there to L1.
// A line fetched from memory to L1 at once holds one of L1's few fill buffers all the while.
constexpr int far_distance = 4096, near_distance = 640;

template <decltype(_MM_HINT_T0) level = _MM_HINT_T0>  // an enum of gcc, an int of clang
LAZULI_INLINE void prefetch(const std::uint8_t* bytes, int count) {
  LAZULI_UNROLL
  for (int line = 0; line < count; line += 64) _mm_prefetch(reinterpret_cast<const char*>(bytes + line), level);
}

// The first lanes, `count` of them or all.
LAZULI_INLINE __mmask16 mask_of(std::int64_t count) {
  return static_cast<__mmask16>(count >= packed_group_rows ? 0xffff : count <= 0 ? 0 : (1 << count) - 1);
}

LAZULI_INLINE __m512i load64(const std::uint8_t* bytes) { return _mm512_load_si512(bytes); }

LAZULI_INLINE __m512 load_f16(const std::uint8_t* bytes) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(bytes)));
}

LAZULI_INLINE __m128i load16(const std::uint8_t* bytes) {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

LAZULI_INLINE __m512i nibbles(const std::uint8_t* quants, int quad) {
  const __m512i both = load64(quants + 64 * (quad % 4));
  return _mm512_and_si512(quad < 4 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
}

// Adds `value` to the bytes whose bit is set in the mask of the quad.
LAZULI_INLINE __m512i add_single_bits(__m512i codes, const std::uint8_t* masks, int quad, int value) {
  const auto set = *reinterpret_cast<const __mmask64*>(masks + 8 * quad);
  return _mm512_mask_add_epi8(codes, set, codes, _mm512_set1_epi8(static_cast<char>(value)));
}

LAZULI_INLINE __m512i nibbles_and_fifth_bits(const std::uint8_t* quants, int quad) {
  return add_single_bits(nibbles(quants, quad), quants + 256, quad, 16);
}

// The two bits of a quad, moved to bit `place` (0 or 4) of their bytes.
LAZULI_INLINE __m512i two_bits(const std::uint8_t* pairs, int quad, int place) {
  const __m512i four = load64(pairs + 64 * (quad / 4));
  const int shift = place - 2 * (quad % 4);
  const __m512i moved = shift >= 0 ? _mm512_slli_epi16(four, shift) : _mm512_srli_epi16(four, -shift);
  return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(3 << place)));
}

// Twice the e2m1 values, 12 added.
LAZULI_INLINE __m512i e2m1(const std::uint8_t* quants, int quad) {
  const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), nibbles(quants, quad));
}

LAZULI_INLINE BlockScale f16_scales(const std::uint8_t* scales, bool minimums) {
  BlockScale scale;
  scale.scale[0] = load_f16(scales);
  if (minimums) scale.minimum = load_f16(scales + 32);
  return scale;
}

LAZULI_INLINE BlockScale k_scales(const std::uint8_t* scales, const std::uint8_t* super) {
  BlockScale scale;
  scale.scale[0] = _mm512_mul_ps(load_f16(super), _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(scales))));
  const __m512 minimum =
      _mm512_mul_ps(load_f16(super + 32), _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(scales + 16))));
  scale.minimum = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
  return scale;
}

// 16 bytes as the bits of an f16 below its sign, times `factor`.
LAZULI_INLINE __m512 upper_f16(const std::uint8_t* bytes, float factor) {
  const __m256i f16 = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(bytes)), 7);
  return _mm512_mul_ps(_mm512_cvtph_ps(f16), _mm512_set1_ps(factor));
}

// Half an ue4m3 scale: shifted into f16 it is too small by 2^8.
LAZULI_INLINE __m512 half_ue4m3(const std::uint8_t* bytes) { return upper_f16(bytes, 0x1p7f); }

// 16 e4m3 codes as the upper bits of f16: too small by 2^8, which the packed exponents of mxfp8 take in. Bit 14, which
// the sign-extended codes fill with the sign, is cleared.
LAZULI_INLINE __m512 e4m3_as_f16(const std::uint8_t* codes) {
  const __m256i words = _mm256_slli_epi16(_mm256_cvtepi8_epi16(load16(codes)), 7);
  return _mm512_cvtph_ps(_mm256_and_si256(words, _mm256_set1_epi16(static_cast<short>(0xbfff))));
}

// 16 powers of two, of f32's exponents.
LAZULI_INLINE __m512 f32_exponents(const std::uint8_t* exponents) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(load16(exponents)), 23));
}

// 2^(e - 128), subnormal for e < 2.
LAZULI_INLINE __m512 half_e8m0(const std::uint8_t* bytes) {
  const __m512i exponent = _mm512_cvtepu8_epi32(load16(bytes));
  const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(exponent, _mm512_set1_epi32(1)), 23);
  const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), exponent);
  const __mmask16 small = _mm512_cmplt_epi32_mask(exponent, _mm512_set1_epi32(2));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, subnormal));
}

LAZULI_INLINE __m512 load_bf16(__m256i words) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

LAZULI_INLINE BlockScale wide_minimum(const PackedWeightView& weight, const std::uint8_t* entry) {
  BlockScale scale;
  if (weight.scale_width == 2) {
    const __m512i both = load64(entry);
    scale.scale[0] = load_bf16(_mm512_castsi512_si256(both));
    scale.minimum = load_bf16(_mm512_extracti64x4_epi64(both, 1));
  } else {
    scale.scale[0] = _mm512_load_ps(entry);
    scale.minimum = _mm512_load_ps(entry + 64);
  }
  return scale;
}

LAZULI_INLINE BlockScale wide_halves(const PackedWeightView& weight, const std::uint8_t* entry) {
  BlockScale scale;
  if (weight.scale_width == 1) {
    scale.scale[0] = upper_f16(entry, weight.factor);
    scale.scale[1] = upper_f16(entry + 16, weight.factor);
  } else {
    scale.scale[0] = _mm512_load_ps(entry);
    scale.scale[1] = _mm512_load_ps(entry + 64);
  }
  return scale;
}

template <Codes codes>
LAZULI_INLINE __m512i read_quad(const std::uint8_t* quants, int index) {
  if constexpr (codes == Codes::bits2) return two_bits(quants, index, 0);
  if constexpr (codes == Codes::bits3) return add_single_bits(two_bits(quants, index, 0), quants + 128, index, 4);
  if constexpr (codes == Codes::bits4) return nibbles(quants, index);
  if constexpr (codes == Codes::bits5) return nibbles_and_fifth_bits(quants, index);
  if constexpr (codes == Codes::bits6) {
    return _mm512_or_si512(nibbles(quants, index), two_bits(quants + 256, index, 4));
  }
  if constexpr (codes == Codes::bits8) return load64(quants + 64 * index);
  if constexpr (codes == Codes::e2m1) return e2m1(quants, index);
}

template <Scales scales>
LAZULI_INLINE BlockScale read_scale(const PackedWeightView& weight, const std::uint8_t* entry,
                                    const std::uint8_t* super) {
  BlockScale scale;
  if constexpr (scales == Scales::f16) scale = f16_scales(entry, false);
  if constexpr (scales == Scales::f16_minimum) scale = f16_scales(entry, true);
  if constexpr (scales == Scales::super_u8_minimum) scale = k_scales(entry, super);
  if constexpr (scales == Scales::super_i8_halves) {
    const __m512 d = load_f16(super);
    scale.scale[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(entry))));
    scale.scale[1] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(entry + 16))));
  }
  if constexpr (scales == Scales::half_e8m0) scale.scale[0] = half_e8m0(entry);
  if constexpr (scales == Scales::half_ue4m3_halves) {
    scale.scale[0] = half_ue4m3(entry);
    scale.scale[1] = half_ue4m3(entry + 16);
  }
  if constexpr (scales == Scales::wide_minimum) scale = wide_minimum(weight, entry);
  if constexpr (scales == Scales::wide_halves) scale = wide_halves(weight, entry);
  return scale;
}

// Formats of equal planes are one type, and share their code.
template <Planes planes_>
struct Packed {
  static constexpr Planes planes = planes_;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) {
    return read_quad<planes.codes>(quants, index);
  }
};

template <class Format>
LAZULI_INLINE BlockScale block_scale(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  return read_scale<Format::planes.scales>(weight, group + packed::scale_entry<Format>(weight, block),
                                           group + packed::super_entry<Format>(weight, block));
}

// Quants soon to be read, in the next group where this one ends, and the same block's scales in the next group: those
// planes are too short for the hardware to foresee, and a group would begin by waiting for them.
template <class Format>
LAZULI_INLINE void prefetch_block(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  constexpr Planes planes = Format::planes;
  constexpr std::int64_t ahead = far_distance / planes.quant_bytes;
  const std::int64_t other_planes = weight.group_bytes - weight.cols / packed_block_columns * planes.quant_bytes;
  const bool ends = block + ahead >= weight.cols / packed_block_columns;
  const std::uint8_t* quants = group + block * planes.quant_bytes;
  prefetch<_MM_HINT_T1>(quants + ahead * planes.quant_bytes + (ends ? other_planes : 0), planes.quant_bytes);
  prefetch(quants + near_distance, planes.quant_bytes);
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
