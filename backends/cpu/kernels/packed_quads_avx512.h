// How AVX-512 code reads the planes of packed_planes.h: one struct a format, with the 64 unsigned bytes of a quad and the
// scales of a block. For units compiled for AVX-512 only; everything here has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/packed_planes.h>

// GCC 12 takes the deliberately undefined operands inside its own AVX-512 intrinsics for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#define LAZULI_INLINE inline __attribute__((always_inline))
#define LAZULI_UNROLL _Pragma("GCC unroll 16")

namespace lazuli {
namespace {

using packed::Halves;
using packed::Planes;

struct BlockScale {
  __m512 scale[2];   // of the halves; the second only where they are separate
  __m512 factor[2];  // integers, only where halves are weighted
  __m512 minimum;    // only where there are minimums
};

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

LAZULI_INLINE __m512i nibbles_and_fifth_bits(const std::uint8_t* quants, int quad) {
  const __mmask64 fifth = *reinterpret_cast<const __mmask64*>(quants + 256 + 8 * quad);
  const __m512i low = nibbles(quants, quad);
  return _mm512_mask_add_epi8(low, fifth, low, _mm512_set1_epi8(16));
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

// Half an ue4m3 scale: shifted into f16 it is too small by 2^8.
LAZULI_INLINE __m512 half_ue4m3(const std::uint8_t* bytes) {
  const __m256i f16 = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(bytes)), 7);
  return _mm512_mul_ps(_mm512_cvtph_ps(f16), _mm512_set1_ps(0x1p7f));
}

struct Q4_0 {
  static constexpr Planes planes = packed::q4_0_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) { return nibbles(quants, index); }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*) {
    return f16_scales(scales, false);
  }
};

struct Q4_1 : Q4_0 {
  static constexpr Planes planes = packed::q4_1_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*) {
    return f16_scales(scales, true);
  }
};

struct Q5_0 : Q4_0 {
  static constexpr Planes planes = packed::q5_0_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) {
    return nibbles_and_fifth_bits(quants, index);
  }
};

struct Q5_1 : Q5_0 {
  static constexpr Planes planes = packed::q5_1_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*) {
    return f16_scales(scales, true);
  }
};

struct Q8_0 : Q4_0 {
  static constexpr Planes planes = packed::q8_0_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) { return load64(quants + 64 * index); }
};

struct Q4_K {
  static constexpr Planes planes = packed::q4_k_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) { return nibbles(quants, index); }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t* super) {
    return k_scales(scales, super);
  }
};

struct Q5_K : Q4_K {
  static constexpr Planes planes = packed::q5_k_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) {
    return nibbles_and_fifth_bits(quants, index);
  }
};

struct Q6_K {
  static constexpr Planes planes = packed::q6_k_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) {
    const __m512i pairs = load64(quants + 256 + 64 * (index / 4));
    const int shift = 4 - 2 * (index % 4);
    const __m512i moved = shift >= 0 ? _mm512_slli_epi16(pairs, shift) : _mm512_srli_epi16(pairs, -shift);
    return _mm512_or_si512(nibbles(quants, index), _mm512_and_si512(moved, _mm512_set1_epi8(0x30)));
  }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t* super) {
    BlockScale scale;
    scale.scale[0] = load_f16(super);
    scale.factor[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(scales)));
    scale.factor[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(scales + 16)));
    return scale;
  }
};

struct Mxfp4 {
  static constexpr Planes planes = packed::mxfp4_planes;
  static LAZULI_INLINE __m512i quad(const std::uint8_t* quants, int index) { return e2m1(quants, index); }
  // 2^(e - 128), subnormal for e < 2.
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*) {
    const __m512i exponent = _mm512_cvtepu8_epi32(load16(scales));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(exponent, _mm512_set1_epi32(1)), 23);
    const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), exponent);
    const __mmask16 small = _mm512_cmplt_epi32_mask(exponent, _mm512_set1_epi32(2));
    BlockScale scale;
    scale.scale[0] = _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, subnormal));
    return scale;
  }
};

struct Nvfp4 : Mxfp4 {
  static constexpr Planes planes = packed::nvfp4_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*) {
    BlockScale scale;
    scale.scale[0] = half_ue4m3(scales);
    scale.scale[1] = half_ue4m3(scales + 16);
    return scale;
  }
};

}  // namespace
}  // namespace lazuli
