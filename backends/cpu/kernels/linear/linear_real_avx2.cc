// SPDX-License-Identifier: MIT
// Matmul with f32, f16, bf16 and mxfp8 weights and f32 activations, AVX2. A tile is a group: two sides of 8 outputs.
//
// An output has four sums, one for each column index modulo 4, made by FMA in ascending column order and added as
// (0 + 1) + (2 + 3) at the end: the other levels round in the same places.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx2.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

namespace lazuli {
namespace {

// `scale` is what the weights of columns 4n to 4n + 3 are multiplied with, where a type has such; `scales` are those of
// the side's first row.
struct F32 {
  static constexpr bool is_f32 = true;
  static constexpr int bytes = 4;
  static LAZULI_INLINE __m256 scale(const std::uint8_t*, std::int64_t) { return _mm256_setzero_ps(); }
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    return _mm256_load_ps(reinterpret_cast<const float*>(column));
  }
};

struct F16 : F32 {
  static constexpr bool is_f32 = false;
  static constexpr int bytes = 2;
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(column)));
  }
};

struct BF16 : F32 {
  static constexpr bool is_f32 = false;
  static constexpr int bytes = 2;
  static LAZULI_INLINE __m256 load(const std::uint8_t* column, __m256) {
    const __m128i words = _mm_load_si128(reinterpret_cast<const __m128i*>(column));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
};

// Codes as the upper bits of f16 are too small by 2^8, which the packed exponents take in. Bit 14, which the
// sign-extended codes fill with the sign, is cleared.
struct Mxfp8 {
  static constexpr bool is_f32 = false;
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

struct Outputs {
  float* y;
  std::int64_t stride;
  std::int64_t count;  // at most a group
};

LAZULI_INLINE void write_outputs(const __m256* total, const Outputs& to, std::int64_t row) {
  float* y = to.y + row * to.stride;
  float all[packed_group_rows];
  const bool whole = to.count == packed_group_rows;
  float* target = whole ? y : all;
  LAZULI_UNROLL
  for (int side = 0; side < 2; ++side) _mm256_storeu_ps(target + side * side_rows, total[side]);
  if (!whole) __builtin_memcpy(y, all, static_cast<unsigned long>(to.count) * sizeof(float));
}

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
void multiply_row(const PackedWeightView& weight, std::int64_t index, const float* values, float* y) {
  const std::uint8_t* group = weight.data + index * weight.group_bytes;
  const std::uint8_t* scales = group + weight.scales_offset;
  const std::int64_t cols = weight.cols;
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
  __m256 total[2];
  LAZULI_UNROLL
  for (int side = 0; side < 2; ++side)
    total[side] = _mm256_add_ps(_mm256_add_ps(sum[0][side], sum[1][side]), _mm256_add_ps(sum[2][side], sum[3][side]));
  const std::int64_t output = index * packed_group_rows, outputs = weight.rows - output;
  write_outputs(total, {y + output, 0, outputs < packed_group_rows ? outputs : packed_group_rows}, 0);
}

// Many rows. The four sums of an output are made one after the other, in four passes over a chunk of columns: a tile
// then needs one register a side and row, not four. A chunk of a group's weights, as f32, stays in the first cache
// level while all tiles of a block of rows meet it. Between chunks the sums of a block and a batch of groups lie in
// memory.
constexpr int tile_rows = 6;
constexpr std::int64_t chunk_columns = 256;
constexpr std::int64_t block_rows = 96;
constexpr std::int64_t batch_groups = 8;

using Sums = float[4][block_rows][packed_group_rows];  // of a block and a group

struct Chunk {
  const float* weights;
  std::int64_t columns;
  bool is_first, is_last;
};

// Adds a chunk to the sums of the rows from `row` on; the last one makes the outputs of them.
template <int rows>
void add_tile(const Chunk& chunk, const float* values, std::int64_t stride, std::int64_t row, Sums& sums,
              const Outputs& to) {
  const float* weights = chunk.weights;
  const std::int64_t columns = chunk.columns;
  for (std::int64_t part = 0; part < 4; ++part) {
    float* kept = sums[part][row];
    __m256 sum[rows][2];
    LAZULI_UNROLL
    for (int i = 0; i < 2 * rows; ++i)
      sum[i / 2][i % 2] = chunk.is_first ? _mm256_setzero_ps() : _mm256_load_ps(kept + i * side_rows);
    for (std::int64_t column = part; column < columns; column += 4) {
      const __m256 first = _mm256_load_ps(weights + column * packed_group_rows);
      const __m256 second = _mm256_load_ps(weights + column * packed_group_rows + side_rows);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const __m256 value = _mm256_set1_ps(values[r * stride + column]);
        sum[r][0] = _mm256_fmadd_ps(first, value, sum[r][0]);
        sum[r][1] = _mm256_fmadd_ps(second, value, sum[r][1]);
      }
    }
    if (chunk.is_last && part % 2 == 1) {
      LAZULI_UNROLL
      for (int i = 0; i < 2 * rows; ++i)
        sum[i / 2][i % 2] = _mm256_add_ps(_mm256_load_ps(sums[part - 1][row] + i * side_rows), sum[i / 2][i % 2]);
    }
    if (chunk.is_last && part == 3) {
      LAZULI_UNROLL
      for (int i = 0; i < 2 * rows; ++i)
        sum[i / 2][i % 2] = _mm256_add_ps(_mm256_load_ps(sums[1][row] + i * side_rows), sum[i / 2][i % 2]);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) write_outputs(sum[r], to, row + r);
    } else {
      LAZULI_UNROLL
      for (int i = 0; i < 2 * rows; ++i) _mm256_store_ps(kept + i * side_rows, sum[i / 2][i % 2]);
    }
  }
}

// A block of rows times a group. `next` is where the weights lie that are wanted afterwards, `next_bytes` of them: a
// share is fetched before each tile, since they come too late when they are asked for one by one.
void add_block(const Chunk& chunk, const float* values, std::int64_t stride, std::int64_t rows,
               const std::uint8_t* next, std::int64_t next_bytes, Sums& sums, const Outputs& to) {
  const std::int64_t tiles = (rows + tile_rows - 1) / tile_rows, share = (next_bytes / tiles + 63) / 64 * 64;
  for (std::int64_t row = 0; row < rows;) {
    for (const std::uint8_t* end = next + share; next < end; next += 64) __builtin_prefetch(next, 0, 2);
    const float* from = values + row * stride;
    switch (rows - row) {
      case 1:
        return add_tile<1>(chunk, from, stride, row, sums, to);
      case 2:
        return add_tile<2>(chunk, from, stride, row, sums, to);
      case 3:
        return add_tile<3>(chunk, from, stride, row, sums, to);
      case 4:
        return add_tile<4>(chunk, from, stride, row, sums, to);
      case 5:
        return add_tile<5>(chunk, from, stride, row, sums, to);
      default:
        add_tile<tile_rows>(chunk, from, stride, row, sums, to);
        row += tile_rows;
    }
  }
}

// The weights of a chunk as f32.
template <class Type>
LAZULI_INLINE const float* f32_chunk(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t first,
                                     std::int64_t columns, float* unpacked) {
  if constexpr (Type::is_f32) return reinterpret_cast<const float*>(group) + first * packed_group_rows;
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::uint8_t* from = group + (first + column) * packed_group_rows * Type::bytes;
    LAZULI_UNROLL
    for (int side = 0; side < 2; ++side) {
      const __m256 scale = Type::scale(group + weight.scales_offset + side * side_rows, first + column);
      _mm256_store_ps(unpacked + column * packed_group_rows + side * side_rows,
                      Type::load(from + side * side_rows * Type::bytes, scale));
    }
  }
  return unpacked;
}

template <class Type>
void multiply_batch(const PackedWeightView& weight, const float* values, std::int64_t stride, std::int64_t rows,
                    std::int64_t group_begin, std::int64_t group_end, float* y, std::int64_t y_stride) {
  constexpr int column_bytes = packed_group_rows * Type::bytes;
  alignas(64) Sums sums[batch_groups];
  alignas(64) float unpacked[Type::is_f32 ? 8 : chunk_columns * packed_group_rows];
  std::int64_t first = 0;
  do {  // once at least: without columns there are zeros to write
    const std::int64_t left = weight.cols - first;
    Chunk chunk{nullptr, left < chunk_columns ? left : chunk_columns, first == 0, left <= chunk_columns};
    for (std::int64_t index = group_begin; index < group_end; ++index) {
      const std::uint8_t* group = weight.data + index * weight.group_bytes;
      chunk.weights = f32_chunk<Type>(weight, group, first, chunk.columns, unpacked);
      const bool turns = index + 1 == group_end;
      const std::uint8_t* next =
          turns ? weight.data + group_begin * weight.group_bytes + (first + chunk.columns) * column_bytes
                : group + weight.group_bytes + first * column_bytes;
      const std::int64_t next_bytes = turns && chunk.is_last ? 0 : chunk.columns * column_bytes;
      const std::int64_t output = index * packed_group_rows, outputs = weight.rows - output;
      add_block(chunk, values + first, stride, rows, next, next_bytes, sums[index - group_begin],
                {y + output, y_stride, outputs < packed_group_rows ? outputs : packed_group_rows});
    }
    first += chunk.columns;
  } while (first < weight.cols);
}

// Single rows take no detour through memory.
constexpr std::int64_t many_rows = 3;

template <class Type>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  if (row_end - row_begin < many_rows) {
    for (std::int64_t index = group_begin; index < group_end; ++index)
      for (std::int64_t row = row_begin; row < row_end; ++row)
        multiply_row<Type>(weight, index, x.values + row * x.stride, y + row * y_stride);
    return;
  }
  for (std::int64_t row = row_begin; row < row_end; row += block_rows) {
    const std::int64_t rows = row_end - row < block_rows ? row_end - row : block_rows;
    for (std::int64_t group = group_begin; group < group_end; group += batch_groups) {
      const std::int64_t end = group_end - group < batch_groups ? group_end : group + batch_groups;
      multiply_batch<Type>(weight, x.values + row * x.stride, x.stride, rows, group, end, y + row * y_stride, y_stride);
    }
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
