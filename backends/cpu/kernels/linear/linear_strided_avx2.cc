// SPDX-License-Identifier: MIT
// Matmul of few rows with a right operand as it lies in memory, AVX2: packing it would take as long as the product.
//
// An output has four sums, one for each column index modulo 4, made by FMA in ascending column order and added as
// (0 + 1) + (2 + 3) at the end: the bits of the kernels for packed weights.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx2.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

namespace lazuli {
namespace {

struct F32 {
  using Word = float;
  static LAZULI_INLINE __m256 load(const float* from) { return _mm256_loadu_ps(from); }
  // Four columns of two outputs.
  static LAZULI_INLINE __m256 load(const float* first, const float* second) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(first)), _mm_loadu_ps(second), 1);
  }
};

LAZULI_INLINE __m128i load_words(const std::uint16_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

LAZULI_INLINE __m128i load_words(const std::uint16_t* first, const std::uint16_t* second) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)),
                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(second)));
}

struct F16 {
  using Word = std::uint16_t;
  template <class... From>
  static LAZULI_INLINE __m256 load(From... from) {
    return _mm256_cvtph_ps(load_words(from...));
  }
};

struct BF16 {
  using Word = std::uint16_t;
  template <class... From>
  static LAZULI_INLINE __m256 load(From... from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_words(from...)), 16));
  }
};

// The first `count` of `all`, zeros behind them.
template <int all, class Word>
struct Padded {
  Word words[all] = {};
  Padded(const Word* from, std::int64_t count) {
    __builtin_memcpy(words, from, static_cast<unsigned long>(count) * sizeof(Word));
  }
};

// Outputs that lie along the columns: eight at a time, two to a register. The four columns of a register are the four
// sums.
template <class Type>
struct AlongColumns {
  using Word = typename Type::Word;
  static constexpr int outputs = 8, pairs = 4;

  // A line of each output is used up before the next one's, since outputs may lie on the same cache sets.
  template <int rows>
  static void multiply(const Word* const* weights, std::int64_t cols, const float* values, std::int64_t stride,
                       std::int64_t count, float* y, std::int64_t y_stride) {
    __m256 sum[rows][pairs];
    LAZULI_UNROLL
    for (int i = 0; i < rows * pairs; ++i) sum[i / pairs][i % pairs] = _mm256_setzero_ps();
    const Word* at[outputs];
    LAZULI_UNROLL
    for (int output = 0; output < outputs; ++output) at[output] = weights[output];
    std::int64_t column = 0;
    for (; column + 16 <= cols; column += 16) {
      LAZULI_UNROLL
      for (int pair = 0; pair < pairs; ++pair) {
        LAZULI_UNROLL
        for (int quad = 0; quad < 16; quad += 4) {
          const __m256 weight = Type::load(at[pair] + column + quad, at[pair + pairs] + column + quad);
          LAZULI_UNROLL
          for (int r = 0; r < rows; ++r) {
            const auto* value = reinterpret_cast<const __m128*>(values + r * stride + column + quad);
            sum[r][pair] = _mm256_fmadd_ps(weight, _mm256_broadcast_ps(value), sum[r][pair]);
          }
        }
      }
    }
    for (; column + 4 <= cols; column += 4) {
      LAZULI_UNROLL
      for (int pair = 0; pair < pairs; ++pair) {
        const __m256 weight = Type::load(at[pair] + column, at[pair + pairs] + column);
        LAZULI_UNROLL
        for (int r = 0; r < rows; ++r) {
          const auto* value = reinterpret_cast<const __m128*>(values + r * stride + column);
          sum[r][pair] = _mm256_fmadd_ps(weight, _mm256_broadcast_ps(value), sum[r][pair]);
        }
      }
    }
    if (column < cols) add_last_columns<rows>(at, column, cols - column, values, stride, sum);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m256 even = _mm256_hadd_ps(sum[r][0], sum[r][1]), odd = _mm256_hadd_ps(sum[r][2], sum[r][3]);
      const __m256 total = _mm256_hadd_ps(even, odd);
      float all[outputs];
      _mm256_storeu_ps(all, total);
      __builtin_memcpy(y + r * y_stride, all, static_cast<unsigned long>(count) * sizeof(float));
    }
  }

  // One to three. Sums that have no column left stay as they are: adding zero could change the sign of a zero.
  template <int rows>
  static __attribute__((noinline)) void add_last_columns(const Word* const* at, std::int64_t column, std::int64_t count,
                                                         const float* values, std::int64_t stride,
                                                         __m256 (&sum)[rows][pairs]) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const __m256 mask = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane));
    for (int pair = 0; pair < pairs; ++pair) {
      const Padded<4, Word> first(at[pair] + column, count), second(at[pair + pairs] + column, count);
      const __m256 weight = Type::load(first.words, second.words);
      for (int r = 0; r < rows; ++r) {
        const Padded<4, float> value(values + r * stride + column, count);
        const __m256 broadcast = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(value.words));
        sum[r][pair] = _mm256_blendv_ps(sum[r][pair], _mm256_fmadd_ps(weight, broadcast, sum[r][pair]), mask);
      }
    }
  }
};

template <class Type>
void multiply_along_columns(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin,
                            std::int64_t output_end, float* y, std::int64_t y_stride) {
  using Along = AlongColumns<Type>;
  const auto* data = static_cast<const typename Type::Word*>(weight.data);
  for (std::int64_t output = output_begin; output < output_end; output += Along::outputs) {
    const std::int64_t left = output_end - output, count = left < Along::outputs ? left : Along::outputs;
    const typename Type::Word* outputs[Along::outputs];
    for (std::int64_t i = 0; i < Along::outputs; ++i)
      outputs[i] = data + (output + (i < count ? i : 0)) * weight.output_stride;
    std::int64_t row = 0;
    for (; row + 2 <= x.rows; row += 2)
      Along::template multiply<2>(outputs, weight.cols, x.values + row * x.stride, x.stride, count,
                                  y + row * y_stride + output, y_stride);
    if (row < x.rows)
      Along::template multiply<1>(outputs, weight.cols, x.values + row * x.stride, x.stride, count,
                                  y + row * y_stride + output, y_stride);
  }
}

// Outputs side by side: columns are read one after the other, as they lie, and the sums of a block of outputs stay in
// the first cache level.
constexpr std::int64_t block_outputs = 256;
constexpr std::int64_t block_rows = 4;

struct BlockSums {
  alignas(64) float part[4][block_outputs];
};

template <class Type>
LAZULI_INLINE __m256 load_outputs(const typename Type::Word* from, std::int64_t count) {
  if (count >= 8) return Type::load(from);
  const Padded<8, typename Type::Word> padded(from, count);
  return Type::load(static_cast<const typename Type::Word*>(padded.words));
}

// Eight columns of a block and a row: two to each sum.
template <class Type>
void add_eight_columns(const typename Type::Word* weights, std::int64_t column_stride, const float* values,
                       std::int64_t count, BlockSums& sums) {
  __m256 value[8];
  LAZULI_UNROLL
  for (int i = 0; i < 8; ++i) value[i] = _mm256_set1_ps(values[i]);
  for (std::int64_t output = 0; output < count; output += 8) {
    LAZULI_UNROLL
    for (int part = 0; part < 4; ++part) {
      const typename Type::Word* from = weights + part * column_stride + output;
      __m256 sum = _mm256_load_ps(sums.part[part] + output);
      sum = _mm256_fmadd_ps(load_outputs<Type>(from, count - output), value[part], sum);
      sum = _mm256_fmadd_ps(load_outputs<Type>(from + 4 * column_stride, count - output), value[part + 4], sum);
      _mm256_store_ps(sums.part[part] + output, sum);
    }
  }
}

template <class Type>
void multiply_along_outputs(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin,
                            std::int64_t output_end, float* y, std::int64_t y_stride) {
  const auto* data = static_cast<const typename Type::Word*>(weight.data);
  BlockSums sums[block_rows];
  for (std::int64_t first = output_begin; first < output_end; first += block_outputs) {
    const std::int64_t left = output_end - first, count = left < block_outputs ? left : block_outputs;
    for (std::int64_t row = 0; row < x.rows; row += block_rows) {
      const std::int64_t rows = x.rows - row < block_rows ? x.rows - row : block_rows;
      const float* values = x.values + row * x.stride;
      for (std::int64_t r = 0; r < rows; ++r) sums[r] = {};
      std::int64_t column = 0;
      for (; column + 8 <= weight.cols; column += 8) {
        for (std::int64_t r = 0; r < rows; ++r)
          add_eight_columns<Type>(data + column * weight.column_stride + first, weight.column_stride,
                                  values + r * x.stride + column, count, sums[r]);
      }
      for (; column < weight.cols; ++column) {
        const typename Type::Word* from = data + column * weight.column_stride + first;
        for (std::int64_t r = 0; r < rows; ++r) {
          const __m256 value = _mm256_set1_ps(values[r * x.stride + column]);
          float* part = sums[r].part[column % 4];
          for (std::int64_t output = 0; output < count; output += 8)
            _mm256_store_ps(part + output, _mm256_fmadd_ps(load_outputs<Type>(from + output, count - output), value,
                                                           _mm256_load_ps(part + output)));
        }
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        float* to = y + (row + r) * y_stride + first;
        const auto& part = sums[r].part;
        for (std::int64_t output = 0; output < count; ++output)
          to[output] = (part[0][output] + part[1][output]) + (part[2][output] + part[3][output]);
      }
    }
  }
}

template <class Type>
void multiply(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin,
              std::int64_t output_end, float* y, std::int64_t y_stride) {
  if (weight.column_stride == 1)
    multiply_along_columns<Type>(weight, x, output_begin, output_end, y, y_stride);
  else
    multiply_along_outputs<Type>(weight, x, output_begin, output_end, y, y_stride);
}

}  // namespace

#define LAZULI_DEFINE(type, Type)                                                                                      \
  void linear_strided_##type##_avx2(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin, \
                                    std::int64_t output_end, float* y, std::int64_t y_stride) {                        \
    multiply<Type>(weight, x, output_begin, output_end, y, y_stride);                                                  \
  }
LAZULI_DEFINE(f32, F32)
LAZULI_DEFINE(f16, F16)
LAZULI_DEFINE(bf16, BF16)
#undef LAZULI_DEFINE

}  // namespace lazuli
