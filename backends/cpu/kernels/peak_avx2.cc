// SPDX-License-Identifier: MIT
// Peak loops, AVX2. Twelve independent sums cover the latency of both multiply ports.
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/peak_loops.h>

namespace lazuli {
namespace {

constexpr int sums = 12;

}  // namespace

void peak_f32_avx2(std::int64_t rounds) {
  const __m256 factor = _mm256_set1_ps(0.5f), term = _mm256_set1_ps(1.0f);
  __m256 sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) sum[i] = _mm256_fmadd_ps(sum[i], factor, term);
  }
  for (int i = 0; i < sums; ++i) __asm__ volatile("" ::"x"(sum[i]));
}

void peak_int8_avx2(std::int64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1), activations = _mm256_set1_epi8(3);
  __m256i sum[sums], weights[2] = {_mm256_set1_epi8(5), _mm256_set1_epi8(7)};
  for (int i = 0; i < sums; ++i) sum[i] = _mm256_setzero_si256();
  for (std::int64_t round = 0; round < rounds; ++round) {
    // Products of the same operands would be taken out of the loop.
    __asm__ volatile("" : "+x"(weights[0]), "+x"(weights[1]));
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) {
      __m256i pairs = _mm256_maddubs_epi16(weights[i % 2], activations);
      __asm__ volatile("" : "+x"(pairs));
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
    }
  }
  for (int i = 0; i < sums; ++i) __asm__ volatile("" ::"x"(sum[i]));
}

}  // namespace lazuli
