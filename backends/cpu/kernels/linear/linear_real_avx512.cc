// SPDX-License-Identifier: MIT
// Matmul with f32, f16, bf16 and mxfp8 weights and f32 activations, AVX-512.
//
// An output has four sums, one for each column index modulo 4, made by FMA in ascending column order and added as
// (0 + 1) + (2 + 3) at the end: the other levels round in the same places.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx512.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

namespace lazuli {
namespace {

// `scale` is what the weights of columns 4n to 4n + 3 are multiplied with, where a type has such.
struct F32 {
  static constexpr int bytes = 4;
  static LAZULI_INLINE __m512 scale(const std::uint8_t*, std::int64_t) { return _mm512_setzero_ps(); }
  static LAZULI_INLINE void prefetch_scale(const std::uint8_t*, std::int64_t) {}
  static LAZULI_INLINE __m512 load(const std::uint8_t* column, __m512) { return _mm512_load_ps(column); }
};

struct F16 : F32 {
  static constexpr int bytes = 2;
  static LAZULI_INLINE __m512 load(const std::uint8_t* column, __m512) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(column)));
  }
};

struct BF16 : F32 {
  static constexpr int bytes = 2;
  // One permutation puts the words into the upper halves of lanes and zeros below.
  static LAZULI_INLINE __m512 load(const std::uint8_t* column, __m512) {
    const __m256i words = _mm256_load_si256(reinterpret_cast<const __m256i*>(column));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i upper_halves = _mm512_slli_epi32(lane, 16);
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, upper_halves, _mm512_castsi256_si512(words)));
  }
};

struct Mxfp8 {
  static constexpr int bytes = 1;
  static LAZULI_INLINE __m512 scale(const std::uint8_t* scales, std::int64_t column) {
    return f32_exponents(scales + column / packed_block_columns * packed::mxfp8_planes.scale_bytes);
  }
  static LAZULI_INLINE void prefetch_scale(const std::uint8_t* scales, std::int64_t column) {
    prefetch(scales + column / packed_block_columns * packed::mxfp8_planes.scale_bytes, 1);
  }
  static LAZULI_INLINE __m512 load(const std::uint8_t* column, __m512 scale) {
    return _mm512_mul_ps(e4m3_as_f16(column), scale);
  }
};

// Four sums for each row leave registers for no more. A tile is of one group, whose weights come from memory in their
// order, and are fetched ahead.
constexpr int max_tile_rows = 6;

template <class Type, int rows>
void multiply_tile(const PackedWeightView& weight, std::int64_t index, const RealRowsView& x, std::int64_t row,
                   float* y, std::int64_t y_stride) {
  constexpr int column_bytes = packed_group_rows * Type::bytes;
  const std::uint8_t* group = weight.data + index * weight.group_bytes;
  const float* values = x.values + row * x.stride;
  __m512 sum[4][rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sum[0][r] = sum[1][r] = sum[2][r] = sum[3][r] = _mm512_setzero_ps();
  std::int64_t column = 0;
  for (; column + 4 <= weight.cols; column += 4) {
    const __m512 scale = Type::scale(group + weight.scales_offset, column);
    prefetch(group + column * column_bytes + prefetch_distance, 4 * column_bytes);
    Type::prefetch_scale(group + weight.group_bytes + weight.scales_offset, column);
    LAZULI_UNROLL
    for (int part = 0; part < 4; ++part) {
      const __m512 weights = Type::load(group + (column + part) * column_bytes, scale);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const __m512 value = _mm512_set1_ps(values[r * x.stride + column + part]);
        sum[part][r] = _mm512_fmadd_ps(weights, value, sum[part][r]);
      }
    }
  }
  // Types with scales have whole blocks and end here.
  LAZULI_UNROLL
  for (int part = 0; part < 3; ++part) {
    if (column + part >= weight.cols) break;
    const __m512 weights = Type::load(group + (column + part) * column_bytes, _mm512_setzero_ps());
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 value = _mm512_set1_ps(values[r * x.stride + column + part]);
      sum[part][r] = _mm512_fmadd_ps(weights, value, sum[part][r]);
    }
  }
  const std::int64_t output = index * packed_group_rows;
  const __mmask16 mask = mask_of(weight.rows - output);
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512 total = _mm512_add_ps(_mm512_add_ps(sum[0][r], sum[1][r]), _mm512_add_ps(sum[2][r], sum[3][r]));
    _mm512_mask_storeu_ps(y + (row + r) * y_stride + output, mask, total);
  }
}

// One group times the rows [row, row_end), in tiles of `rows` while there are so many.
template <class Type, int rows = max_tile_rows>
LAZULI_INLINE void multiply_group(const PackedWeightView& weight, std::int64_t group, const RealRowsView& x,
                                  std::int64_t row, std::int64_t row_end, float* y, std::int64_t y_stride) {
  for (; row + rows <= row_end; row += rows) multiply_tile<Type, rows>(weight, group, x, row, y, y_stride);
  if constexpr (rows > 1)
    if (row < row_end) multiply_group<Type, rows - 1>(weight, group, x, row, row_end, y, y_stride);
}

// A block of groups after the other, which stays in the second cache, against a few rows after the others, which stay
// in the first.
template <class Type>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  constexpr std::int64_t block_bytes = 512 * 1024, block_rows = 4 * max_tile_rows;
  const std::int64_t fitting = weight.group_bytes == 0 ? 1 : block_bytes / weight.group_bytes;
  const std::int64_t block_groups = fitting > 1 ? fitting : 1;
  for (std::int64_t first = group_begin; first < group_end; first += block_groups) {
    const std::int64_t last = group_end - first < block_groups ? group_end : first + block_groups;
    for (std::int64_t row = row_begin; row < row_end; row += block_rows) {
      const std::int64_t stop = row_end - row < block_rows ? row_end : row + block_rows;
      for (std::int64_t group = first; group < last; ++group)
        multiply_group<Type>(weight, group, x, row, stop, y, y_stride);
    }
  }
}

}  // namespace

#define LAZULI_DEFINE(type, Type)                                                                              \
  void linear_##type##_avx512(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin, \
                              std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,  \
                              std::int64_t y_stride) {                                                         \
    multiply<Type>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);                        \
  }
LAZULI_DEFINE(f32, F32)
LAZULI_DEFINE(f16, F16)
LAZULI_DEFINE(bf16, BF16)
LAZULI_DEFINE(mxfp8, Mxfp8)
#undef LAZULI_DEFINE

}  // namespace lazuli
