// SPDX-License-Identifier: MIT
// Eight channels in a register of AVX. For units compiled for AVX2 and wider; internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/windows/window_rows.h>

namespace lazuli {
namespace {

struct EightLanes {
  using Register = __m256;
  static constexpr std::int64_t lanes = 8;
  static LAZULI_WINDOW_INLINE __m256 broadcast(float value) { return _mm256_set1_ps(value); }
  static LAZULI_WINDOW_INLINE __m256 load(const float* from) { return _mm256_loadu_ps(from); }
  static LAZULI_WINDOW_INLINE void store(float* to, __m256 value) { _mm256_storeu_ps(to, value); }
  static LAZULI_WINDOW_INLINE __m256 add(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
  static LAZULI_WINDOW_INLINE __m256 divide(__m256 a, __m256 b) { return _mm256_div_ps(a, b); }
  static LAZULI_WINDOW_INLINE __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
  // vmaxps gives its second operand where one is NaN.
  static LAZULI_WINDOW_INLINE __m256 maximum(__m256 best, __m256 x) {
    return _mm256_blendv_ps(_mm256_max_ps(x, best), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }
};

}  // namespace
}  // namespace lazuli
