// SPDX-License-Identifier: MIT
// f32 to bf16, and the pairs of bf16 that tile products and dot products take. Private to units that have AVX-512 with
// BF16; everything here has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/intrinsics/intrinsics_avx512.h>

namespace lazuli {
namespace {

// 32 values to bf16, in order.
inline __m512i to_bf16(__m512 low, __m512 high) { return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)); }

// Elements i and 16 + i of 32 side by side.
inline __m512i interleave(__m512i halves) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}

// 16 pairs of bf16: `even` in the lower halves, `odd` in the upper ones.
inline __m512i pair_bf16(__m512 even, __m512 odd) { return interleave(to_bf16(even, odd)); }

}  // namespace
}  // namespace lazuli
