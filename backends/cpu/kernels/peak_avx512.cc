// SPDX-License-Identifier: MIT
// Peak loops, AVX-512. Twelve independent sums cover the latency of both multiply ports.
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/peak_loops.h>

namespace lazuli {
namespace {

constexpr int sums = 12;

}  // namespace

void peak_f32_avx512(std::int64_t rounds) {
  const __m512 factor = _mm512_set1_ps(0.5f), term = _mm512_set1_ps(1.0f);
  __m512 sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) sum[i] = _mm512_fmadd_ps(sum[i], factor, term);
  }
  for (int i = 0; i < sums; ++i) __asm__ volatile("" ::"v"(sum[i]));
}

void peak_int8_avx512(std::int64_t rounds) {
  const __m512i weights = _mm512_set1_epi8(5), activations = _mm512_set1_epi8(3);
  __m512i sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = _mm512_set1_epi32(i);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], weights, activations);
  }
  for (int i = 0; i < sums; ++i) __asm__ volatile("" ::"v"(sum[i]));
}

}  // namespace lazuli
