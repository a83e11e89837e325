// SPDX-License-Identifier: MIT
// Attention with AVX2, FMA and F16C. No std:: code and no shared inline code here: this unit has wider compiler flags.
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/attention/attention_parts.h>

namespace lazuli {
namespace {

struct Avx2Lanes {
  struct Register {
    __m256 low, high;  // lanes 0 to 7, 8 to 15
  };
  static constexpr int query_block = 2;
  static constexpr int dot_block = 4;  // accumulators of two registers each, in a file of 16
  static constexpr int value_registers = 1;

  static Register load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static Register load(const F16* from) { return {_mm256_cvtph_ps(bits(from)), _mm256_cvtph_ps(bits(from + 8))}; }
  static Register load(const Bf16* from) { return {widen_bf16(bits(from)), widen_bf16(bits(from + 8))}; }
  static Register load(Q8Lanes from) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from.codes));
    const __m128i high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from.codes + 8));
    const __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(scale_bits(from))));
    return {_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)), scale),
            _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)), scale)};
  }
  static void store(float* to, Register a) {
    _mm256_storeu_ps(to, a.low);
    _mm256_storeu_ps(to + 8, a.high);
  }
  static Register broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static float first(Register a) { return _mm256_cvtss_f32(a.low); }
  static Register add(Register a, Register b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static Register subtract(Register a, Register b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static Register multiply(Register a, Register b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static Register multiply_add(Register a, Register b, Register c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  // b where a or b is NaN.
  static Register maximum(Register a, Register b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }

  // The lanes [first, end) of a, `other` elsewhere.
  static Register keep(Register a, int first, int end, float other) {
    return {keep(a.low, first, end, other), keep(a.high, first - 8, end - 8, other)};
  }
  static Register zero_where_below(Register a, Register x, float limit) {
    const __m256 bound = _mm256_set1_ps(limit);
    return {_mm256_and_ps(_mm256_cmp_ps(x.low, bound, _CMP_NLT_UQ), a.low),
            _mm256_and_ps(_mm256_cmp_ps(x.high, bound, _CMP_NLT_UQ), a.high)};
  }
  // 2 to the integer that the low bits of a hold, with the exponent's bias already in them.
  static Register power_of_two(Register a) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.low), 23)),
            _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.high), 23))};
  }

  static float fold_add(Register a) {
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float fold_maximum(Register a) {
    const __m256 eight = _mm256_max_ps(a.low, a.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  // The sums of 4 registers, each folded 8, 4, 2, 1 as fold_add does, in their order.
  static __m128 fold_add(const Register (&a)[4]) {
    __m256 eight[4], four[2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) eight[i] = _mm256_add_ps(a[i].low, a[i].high);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {  // a half for each of the registers i and i + 2
      four[i] = _mm256_add_ps(_mm256_permute2f128_ps(eight[i], eight[i + 2], 0x20),
                              _mm256_permute2f128_ps(eight[i], eight[i + 2], 0x31));
    }
    const __m256 two =
        _mm256_add_ps(_mm256_shuffle_ps(four[0], four[1], 0x44), _mm256_shuffle_ps(four[0], four[1], 0xee));
    const __m256 one = _mm256_add_ps(two, _mm256_movehdup_ps(two));  // the sums lie at the even places
    return _mm_shuffle_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps(one, 1), 0x88);
  }

  // scores[i][j] = q[i] · keys[j] for `queries` queries and dot_block / queries keys of `width` elements.
  // fetch(j, column) is called before each vector of a key is read.
  template <int queries, class Elements, class Fetch>
  static void dots(const float* const* q, const Elements* keys, std::int64_t width, float* const* scores, Fetch fetch) {
    constexpr int count = dot_block / queries;
    Register sums[dot_block];
#pragma GCC unroll 4
    for (int i = 0; i < dot_block; ++i) sums[i] = broadcast(0.0f);
    for (std::int64_t column = 0; column < width; column += vectors_together<Elements> * lanes) {
#pragma GCC unroll 2
      for (int vector = 0; vector < vectors_together<Elements>; ++vector) {
        Register query[queries];
#pragma GCC unroll 2
        for (int i = 0; i < queries; ++i) query[i] = load(q[i] + column + vector * lanes);
#pragma GCC unroll 4
        for (int j = 0; j < count; ++j) {
          fetch(j, column + vector * lanes);
          const Register key = load(vector_of(keys[j] + column, vector));
#pragma GCC unroll 2
          for (int i = 0; i < queries; ++i) sums[i * count + j] = multiply_add(query[i], key, sums[i * count + j]);
        }
      }
    }
    const __m128 folded = fold_add(sums);
    if constexpr (queries == 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(scores[0]), folded);
      _mm_storeh_pi(reinterpret_cast<__m64*>(scores[1]), folded);
    } else {
      _mm_storeu_ps(scores[0], folded);
    }
  }

 private:
  template <class Half>
  static __m128i bits(const Half* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static __m256 widen_bf16(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static __m256 keep(__m256 a, int first, int end, float other) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane);
    const __m256i within = _mm256_andnot_si256(before, _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane));
    return _mm256_blendv_ps(_mm256_set1_ps(other), a, _mm256_castsi256_ps(within));
  }
};

}  // namespace

void attention_avx2(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                    float* scratch) {
  run_units<Avx2Lanes>(arguments, unit_begin, unit_end, scratch);
}

void attention_parts_avx2(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                          float* partials, float* scratch) {
  run_parts<Avx2Lanes>(arguments, unit_begin, unit_end, partials, scratch);
}

void attention_combine_avx2(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end,
                            float* partials) {
  combine_parts<Avx2Lanes>(arguments, query_begin, query_end, partials);
}

}  // namespace lazuli
