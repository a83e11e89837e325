// SPDX-License-Identifier: MIT
// Windows over pixels, AVX-512.
#include <lazuli/backends/cpu/kernels/intrinsics/intrinsics_avx512.h>
#include <lazuli/backends/cpu/kernels/windows/eight_lanes.h>
#include <lazuli/backends/cpu/kernels/windows/window_declarations.h>

namespace lazuli {
namespace {

struct SixteenLanes {
  using Register = __m512;
  static constexpr std::int64_t lanes = 16;
  static LAZULI_WINDOW_INLINE __m512 broadcast(float value) { return _mm512_set1_ps(value); }
  static LAZULI_WINDOW_INLINE __m512 load(const float* from) { return _mm512_loadu_ps(from); }
  static LAZULI_WINDOW_INLINE void store(float* to, __m512 value) { _mm512_storeu_ps(to, value); }
  static LAZULI_WINDOW_INLINE __m512 add(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
  static LAZULI_WINDOW_INLINE __m512 divide(__m512 a, __m512 b) { return _mm512_div_ps(a, b); }
  static LAZULI_WINDOW_INLINE __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
  // vmaxps gives its second operand where one is NaN.
  static LAZULI_WINDOW_INLINE __m512 maximum(__m512 best, __m512 x) {
    return _mm512_mask_mov_ps(_mm512_max_ps(x, best), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
  }
};

}  // namespace

LAZULI_DEFINE_WINDOWS(avx512, SixteenLanes, EightLanes, OneLane)

}  // namespace lazuli
