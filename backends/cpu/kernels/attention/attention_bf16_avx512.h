// SPDX-License-Identifier: MIT
// Vector pieces of attention in bf16 tiles: loads, transposition, powers of two. Private to units that have
// AVX-512 with BF16; everything here has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/attention/attention_arguments.h>
#include <lazuli/backends/cpu/kernels/intrinsics/bf16_pairs_avx512.h>

#include <cstdint>

namespace lazuli {
namespace {

inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count <= 0 ? 0 : count < 16 ? (1 << count) - 1 : 0xffff);
}

// 16 elements of a cache, those outside the mask zero.
template <AttentionCache type>
__m512 load16(const void* base, std::int64_t offset, __mmask16 mask) {
  if constexpr (type == AttentionCache::f32) {
    return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(base) + offset);
  } else if constexpr (type == AttentionCache::q8_0) {
    // Blocks of 34 bytes: the scale, an f16, and 32 codes. The scale is read whatever the mask.
    const auto* block = static_cast<const std::uint8_t*>(base) + offset / 32 * 34;
    const __m512 scale = _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(block[0] | block[1] << 8)));
    const __m128i codes = _mm_maskz_loadu_epi8(mask, block + 2 + offset % 32);
    return _mm512_maskz_mul_ps(mask, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), scale);
  } else {
    const __m256i half = _mm256_maskz_loadu_epi16(mask, static_cast<const std::uint16_t*>(base) + offset);
    if constexpr (type == AttentionCache::f16) return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
}

// The transpose of 16 x 16 elements of 32 bits.
inline void transpose(__m512i (&a)[16]) {
  __m512i b[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // 4 x 4 within the quarters of each register
    const __m512i low01 = _mm512_unpacklo_epi32(a[i], a[i + 1]), high01 = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    const __m512i low23 = _mm512_unpacklo_epi32(a[i + 2], a[i + 3]), high23 = _mm512_unpackhi_epi32(a[i + 2], a[i + 3]);
    b[i] = _mm512_unpacklo_epi64(low01, low23);
    b[i + 1] = _mm512_unpackhi_epi64(low01, low23);
    b[i + 2] = _mm512_unpacklo_epi64(high01, high23);
    b[i + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // 4 x 4 quarters
    const __m512i even01 = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd);
    const __m512i even23 = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
    a[i] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    a[i + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    a[i + 8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    a[i + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  }
}

// 2^x for x <= 0, within 4e-6: bf16 keeps 8 bits of it. Below 2^-126, -inf included, exactly 0; NaN stays NaN.
// x = n + r with |r| <= 1/2, n read off x + 1.5 * 2^23; 2^r is a polynomial of degree 4 by the Remez exchange, exact
// at 0.
inline __m512 power_of_two(__m512 x) {
  const __m512 magic = _mm512_set1_ps(0x1.8p23f);
  const __m512 n = _mm512_sub_ps(_mm512_add_ps(x, magic), magic);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0x1.409104p-7f), r, _mm512_set1_ps(0x1.ca9008p-5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.ebf1b4p-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.62dfcap-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ), p, n);
}

}  // namespace
}  // namespace lazuli
