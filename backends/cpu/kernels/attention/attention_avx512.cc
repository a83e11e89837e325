// SPDX-License-Identifier: MIT
// Attention with AVX-512. No std:: code and no shared inline code here: this unit has wider compiler flags.
#include <lazuli/backends/cpu/kernels/attention/attention_parts.h>
#include <lazuli/backends/cpu/kernels/intrinsics/intrinsics_avx512.h>

namespace lazuli {
namespace {

struct Avx512Lanes {
  using Register = __m512;
  static constexpr int query_block = 4;
  static constexpr int dot_block = 16;  // accumulators; with the 8 registers of operands they fit the file of 32
  static constexpr int value_registers = 4;

  static Register load(const float* from) { return _mm512_loadu_ps(from); }
  static Register load(const F16* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Register load(const Bf16* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static Register load(Q8Lanes from) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.codes));
    const __m512 scale = _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(scale_bits(from))));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), scale);
  }
  static void store(float* to, Register a) { _mm512_storeu_ps(to, a); }
  static Register broadcast(float value) { return _mm512_set1_ps(value); }
  static float first(Register a) { return _mm512_cvtss_f32(a); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  static Register subtract(Register a, Register b) { return _mm512_sub_ps(a, b); }
  static Register multiply(Register a, Register b) { return _mm512_mul_ps(a, b); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  // b where a or b is NaN.
  static Register maximum(Register a, Register b) { return _mm512_max_ps(a, b); }

  // The lanes [first, end) of a, `other` elsewhere.
  static Register keep(Register a, int first, int end, float other) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 from_first = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(first));
    const __mmask16 kept = _mm512_mask_cmplt_epi32_mask(from_first, lane, _mm512_set1_epi32(end));
    return _mm512_mask_blend_ps(kept, _mm512_set1_ps(other), a);
  }
  static Register zero_where_below(Register a, Register x, float limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_NLT_UQ), a);
  }
  // 2 to the integer that the low bits of a hold, with the exponent's bias already in them.
  static Register power_of_two(Register a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
  }

  static float fold_add(Register a) {
    const __m256 high = _mm512_extractf32x8_ps(a, 1);
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float fold_maximum(Register a) {
    const __m256 high = _mm512_extractf32x8_ps(a, 1);
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  // The sums of 16 registers, each folded 8, 4, 2, 1 as fold_add does, in their order.
  static Register fold_add(const Register (&a)[16]) {
    Register eight[8], four[4], two[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {  // a pair of registers: [halves of 2i, halves of 2i + 1]
      eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x44),
                               _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xee));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {  // a quarter for each of 4 registers, in order
      four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(eight[2 * i], eight[2 * i + 1], 0x88),
                              _mm512_shuffle_f32x4(eight[2 * i], eight[2 * i + 1], 0xdd));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      two[i] = _mm512_add_ps(_mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
                             _mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
    }
    const Register one =
        _mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xdd));
    // Quarter q of `one` holds the sums of the registers q, q + 4, q + 8, q + 12.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_ps(order, one);
  }

  // scores[i][j] = q[i] · keys[j] for `queries` queries and dot_block / queries keys of `width` elements.
  // fetch(j, column) is called before each vector of a key is read.
  template <int queries, class Elements, class Fetch>
  static void dots(const float* const* q, const Elements* keys, std::int64_t width, float* const* scores, Fetch fetch) {
    constexpr int count = dot_block / queries;
    Register sums[dot_block];
#pragma GCC unroll 16
    for (int i = 0; i < dot_block; ++i) sums[i] = _mm512_setzero_ps();
    for (std::int64_t column = 0; column < width; column += vectors_together<Elements> * lanes) {
#pragma GCC unroll 2
      for (int vector = 0; vector < vectors_together<Elements>; ++vector) {
        Register query[queries];
#pragma GCC unroll 4
        for (int i = 0; i < queries; ++i) query[i] = load(q[i] + column + vector * lanes);
#pragma GCC unroll 16
        for (int j = 0; j < count; ++j) {
          fetch(j, column + vector * lanes);
          const Register key = load(vector_of(keys[j] + column, vector));
#pragma GCC unroll 4
          for (int i = 0; i < queries; ++i) sums[i * count + j] = _mm512_fmadd_ps(query[i], key, sums[i * count + j]);
        }
      }
    }
    const Register folded = fold_add(sums);
    if constexpr (queries == 4) {
      _mm_storeu_ps(scores[0], _mm512_castps512_ps128(folded));
      _mm_storeu_ps(scores[1], _mm512_extractf32x4_ps(folded, 1));
      _mm_storeu_ps(scores[2], _mm512_extractf32x4_ps(folded, 2));
      _mm_storeu_ps(scores[3], _mm512_extractf32x4_ps(folded, 3));
    } else if constexpr (queries == 2) {
      _mm256_storeu_ps(scores[0], _mm512_castps512_ps256(folded));
      _mm256_storeu_ps(scores[1], _mm512_extractf32x8_ps(folded, 1));
    } else {
      _mm512_storeu_ps(scores[0], folded);
    }
  }
};

}  // namespace

void attention_avx512(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                      float* scratch) {
  run_units<Avx512Lanes>(arguments, unit_begin, unit_end, scratch);
}

void attention_parts_avx512(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                            float* partials, float* scratch) {
  run_parts<Avx512Lanes>(arguments, unit_begin, unit_end, partials, scratch);
}

void attention_combine_avx512(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end,
                              float* partials) {
  combine_parts<Avx512Lanes>(arguments, query_begin, query_end, partials);
}

}  // namespace lazuli
