// Matmul with f32, f16, bf16 and mxfp8 weights and f32 activations, AVX2. A tile is a group: two sides of 8 outputs.
//
// An output has four sums, one for each column index modulo 4, made by FMA in ascending column order and added as
// (0 + 1) + (2 + 3) at the end: the other levels round in the same places.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx2.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/linear/linear_real_tiles.h>

namespace lazuli {
namespace {

// `scale` is what the weights of columns 4n to 4n + 3 are multiplied with, where a type has such; `scales` are those of
// the side's first row.
struct F32 {
  static constexpr int bytes = 4;
  static LAZULI_INLINE __m256 scale(const std::uint8_t*, std::int64_t) { return _mm256_setzero_ps(); }
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    return _mm256_load_ps(reinterpret_cast<const float*>(column));
  }
};

struct F16 : F32 {
  static constexpr int bytes = 2;
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(column)));
  }
};

struct BF16 : F32 {
  static constexpr int bytes = 2;
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    const __m128i words = _mm_load_si128(reinterpret_cast<const __m128i*>(column));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
};

// Codes as the upper bits of f16 are too small by 2^8, which the packed exponents take in. Bit 14, which the
// sign-extended codes fill with the sign, is cleared.
struct Mxfp8 {
  static constexpr int bytes = 1;
  static LAZULI_INLINE __m128i load8(const std::uint8_t* bytes) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
  }
  static LAZULI_INLINE __m256 scale(const std::uint8_t* scales, std::int64_t column) {
    const std::uint8_t* exponents = scales + column / packed_block_columns * packed::mxfp8_planes.scale_bytes;
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(load8(exponents)), 23));
  }
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256 scale) {
    const __m128i words = _mm_slli_epi16(_mm_cvtepi8_epi16(load8(column)), 7);
    return _mm256_mul_ps(_mm256_cvtph_ps(_mm_and_si128(words, _mm_set1_epi16(static_cast<short>(0xbfff)))), scale);
  }
};

// sum[side] += the column's weights times the value.
template <class Type>
LAZULI_INLINE void add_column(const std::uint8_t* column, const __m256* scale, float value, __m256* sum) {
  LAZULI_UNROLL
  for (int side = 0; side < 2; ++side) {
    const __m256 weights = Type::load(column + side * side_rows * Type::bytes, scale[side]);
    sum[side] = _mm256_fmadd_ps(weights, _mm256_set1_ps(value), sum[side]);
  }
}

// One row; weights are read in the order they lie in memory.
template <class Type>
LAZULI_INLINE void multiply_row(const std::uint8_t* group, const std::uint8_t* scales, std::int64_t cols,
                                const float* values, float* out) {
  constexpr int column_bytes = packed_group_rows * Type::bytes;
  __m256 sum[4][2];
  LAZULI_UNROLL
  for (int i = 0; i < 8; ++i) sum[i / 2][i % 2] = _mm256_setzero_ps();
  __m256 scale[2] = {};
  std::int64_t column = 0;
  for (; column + 4 <= cols; column += 4) {
    prefetch(group + column * column_bytes + prefetch_distance, 4 * column_bytes);
    LAZULI_UNROLL
    for (int side = 0; side < 2; ++side) scale[side] = Type::scale(scales + side * side_rows, column);
    LAZULI_UNROLL
    for (int part = 0; part < 4; ++part) {
      add_column<Type>(group + (column + part) * column_bytes, scale, values[column + part], sum[part]);
    }
  }
  // Types with scales have whole blocks and end here.
  LAZULI_UNROLL
  for (int part = 0; part < 3; ++part) {
    if (column + part >= cols) break;
    add_column<Type>(group + (column + part) * column_bytes, scale, values[column + part], sum[part]);
  }
  LAZULI_UNROLL
  for (int side = 0; side < 2; ++side) {
    const __m256 total =
        _mm256_add_ps(_mm256_add_ps(sum[0][side], sum[1][side]), _mm256_add_ps(sum[2][side], sum[3][side]));
    _mm256_storeu_ps(out + side * side_rows, total);
  }
}

struct Avx2 {
  using Register = __m256;
  static constexpr int vectors = 2;  // sides
  static LAZULI_INLINE __m256 broadcast(float value) { return _mm256_set1_ps(value); }
  static LAZULI_INLINE __m256 add(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
  static LAZULI_INLINE __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
};

template <class Type, int rows>
LAZULI_INLINE void multiply_both_sides(const std::uint8_t* first, const std::uint8_t* scales, std::int64_t cols,
                                       const float* values, std::int64_t stride, float* out) {
  const TileWeights<2> tile{{first, first + side_rows * Type::bytes}, {scales, scales + side_rows}};
  __m256 total[rows][2];
  multiply_real_tile<Avx2, Type, rows>(tile, cols, values, stride, total);
  for (int r = 0; r < rows; ++r) {
    for (int side = 0; side < 2; ++side)
      _mm256_storeu_ps(out + r * packed_group_rows + side * side_rows, total[r][side]);
  }
}

template <class Type, int rows>
void multiply_tile(const PackedWeightView& weight, std::int64_t index, const RealRowsView& x, std::int64_t row,
                   float* y, std::int64_t y_stride) {
  const std::uint8_t* group = weight.data + index * weight.group_bytes;
  const std::uint8_t* scales = group + weight.scales_offset;
  const float* values = x.values + row * x.stride;
  float out[rows * packed_group_rows];
  if constexpr (rows == 1) {
    multiply_row<Type>(group, scales, weight.cols, values, out);
  } else {
    multiply_both_sides<Type, rows>(group, scales, weight.cols, values, x.stride, out);
  }
  const std::int64_t output = index * packed_group_rows;
  const std::int64_t left = weight.rows - output;
  const std::int64_t outputs = left < packed_group_rows ? left : packed_group_rows;
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(y + (row + r) * y_stride + output, out + r * packed_group_rows,
                     static_cast<unsigned long>(outputs) * sizeof(float));
  }
}

template <class Type>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    std::int64_t row = row_begin;
    for (; row + 6 <= row_end; row += 6) multiply_tile<Type, 6>(weight, index, x, row, y, y_stride);
    for (; row + 3 <= row_end; row += 3) multiply_tile<Type, 3>(weight, index, x, row, y, y_stride);
    for (; row < row_end; ++row) multiply_tile<Type, 1>(weight, index, x, row, y, y_stride);
  }
}

}  // namespace

#define LAZULI_DEFINE(type, Type)                                                                            \
  void linear_##type##_avx2(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin, \
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,  \
                            std::int64_t y_stride) {                                                         \
    multiply<Type>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);                      \
  }
LAZULI_DEFINE(f32, F32)
LAZULI_DEFINE(f16, F16)
LAZULI_DEFINE(bf16, BF16)
LAZULI_DEFINE(mxfp8, Mxfp8)
#undef LAZULI_DEFINE

}  // namespace lazuli
