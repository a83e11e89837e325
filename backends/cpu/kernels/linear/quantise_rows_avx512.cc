// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/intrinsics/intrinsics_avx512.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

namespace lazuli {
namespace {

constexpr float smallest_magnitude = 0x1p-119f;  // 127 over anything smaller could overflow

inline __attribute__((always_inline)) void quantise_block(const float* x, std::int8_t* values, float* scale,
                                                          std::int16_t* half_sums) {
  const __m512 first = _mm512_loadu_ps(x), second = _mm512_loadu_ps(x + 16);
  const __m512 first_magnitude = _mm512_abs_ps(first), second_magnitude = _mm512_abs_ps(second);
  const __m512 limit = _mm512_set1_ps(0x1.fffffep127f);
  const int not_finite = _mm512_cmp_ps_mask(first_magnitude, limit, _CMP_NLE_UQ) |
                         _mm512_cmp_ps_mask(second_magnitude, limit, _CMP_NLE_UQ);
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(first_magnitude, second_magnitude));
  auto* out = reinterpret_cast<__m128i*>(values);
  if (not_finite != 0 || largest < smallest_magnitude) {
    *scale = not_finite != 0 ? __builtin_nanf("") : 0.0f;
    _mm_storeu_si128(out, _mm_setzero_si128());
    _mm_storeu_si128(out + 1, _mm_setzero_si128());
    half_sums[0] = half_sums[1] = 0;
    return;
  }
  *scale = largest / 127.0f;
  const __m512 inverse = _mm512_set1_ps(127.0f / largest);
  const __m512i first_value = _mm512_cvtps_epi32(_mm512_mul_ps(first, inverse));
  const __m512i second_value = _mm512_cvtps_epi32(_mm512_mul_ps(second, inverse));
  _mm_storeu_si128(out, _mm512_cvtepi32_epi8(first_value));
  _mm_storeu_si128(out + 1, _mm512_cvtepi32_epi8(second_value));
  half_sums[0] = static_cast<std::int16_t>(_mm512_reduce_add_epi32(first_value));
  half_sums[1] = static_cast<std::int16_t>(_mm512_reduce_add_epi32(second_value));
}

}  // namespace

void quantise_rows_avx512(const float* x, std::int64_t x_stride, std::int64_t row_begin, std::int64_t row_end,
                          const QuantisedRowsView& out) {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const float* source = x + row * x_stride;
    std::int8_t* values = out.values + row * out.value_stride;
    float* scales = out.scales + row * out.scale_stride;
    std::int16_t* half_sums = out.half_sums + row * out.half_sum_stride;
    for (std::int64_t block = 0; block < out.cols / packed_block_columns; ++block) {
      quantise_block(source + block * packed_block_columns, values + block * packed_block_columns, scales + block,
                     half_sums + 2 * block);
    }
  }
}

}  // namespace lazuli
