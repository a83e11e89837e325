// SPDX-License-Identifier: MIT
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

#define LAZULI_INLINE inline __attribute__((always_inline))

namespace lazuli {
namespace {

constexpr float smallest_magnitude = 0x1p-119f;  // 127 over anything smaller could overflow

LAZULI_INLINE float largest_lane(__m256 values) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

LAZULI_INLINE std::int16_t sum_bytes(__m128i bytes) {
  // Sums of absolute differences to zero are unsigned: count from -128.
  const __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  const int total = _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4);
  return static_cast<std::int16_t>(total - 16 * 128);
}

LAZULI_INLINE void quantise_block(const float* x, std::int8_t* values, float* scale, std::int16_t* half_sums) {
  const __m256 sign = _mm256_set1_ps(-0.0f), limit = _mm256_set1_ps(0x1.fffffep127f);
  __m256 largest = _mm256_setzero_ps(), not_finite = _mm256_setzero_ps();
  for (int i = 0; i < packed_block_columns; i += 8) {
    const __m256 magnitude = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i));
    largest = _mm256_max_ps(largest, magnitude);
    not_finite = _mm256_or_ps(not_finite, _mm256_cmp_ps(magnitude, limit, _CMP_NLE_UQ));
  }
  const float magnitude = largest_lane(largest);
  const bool finite = _mm256_movemask_ps(not_finite) == 0;
  auto* out = reinterpret_cast<__m128i*>(values);
  if (!finite || magnitude < smallest_magnitude) {
    *scale = finite ? 0.0f : __builtin_nanf("");
    _mm_storeu_si128(out, _mm_setzero_si128());
    _mm_storeu_si128(out + 1, _mm_setzero_si128());
    half_sums[0] = half_sums[1] = 0;
    return;
  }
  *scale = magnitude / 127.0f;
  const __m256 inverse = _mm256_set1_ps(127.0f / magnitude);
  for (int half = 0; half < 2; ++half) {
    const __m256i first = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * half), inverse));
    const __m256i second = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * half + 8), inverse));
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(out + half, bytes);
    half_sums[half] = sum_bytes(bytes);
  }
}

}  // namespace

void quantise_rows_avx2(const float* x, std::int64_t x_stride, std::int64_t row_begin, std::int64_t row_end,
                        const QuantisedRowsView& out) {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    for (std::int64_t block = 0; block < out.cols / packed_block_columns; ++block) {
      quantise_block(x + row * x_stride + block * packed_block_columns,
                     out.values + row * out.value_stride + block * packed_block_columns,
                     out.scales + row * out.scale_stride + block,
                     out.half_sums + row * out.half_sum_stride + 2 * block);
    }
  }
}

}  // namespace lazuli
