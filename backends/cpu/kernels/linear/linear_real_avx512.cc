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

// Four sums for each row leave registers for no more. A tile is of one group.
constexpr int max_tile_rows = 6;

// A chunk of a group's weights stays in the first cache level while all tiles of a block of rows meet it; between
// chunks the sums of the block lie in memory.
constexpr std::int64_t chunk_columns = 256;
constexpr std::int64_t block_rows = 8 * max_tile_rows;
// A block of groups stays in the second, for the next block of rows.
constexpr std::int64_t block_bytes = 512 * 1024;

struct Chunk {
  std::int64_t begin, end;  // columns
  bool is_first, is_last;
};

struct Outputs {
  float* y;
  std::int64_t stride;
  __mmask16 mask;  // those of a group that exist
};

template <class Type, int rows>
LAZULI_INLINE void add_column(const std::uint8_t* column, __m512 scale, const float* values, std::int64_t stride,
                              __m512 (&sum)[rows]) {
  const __m512 weights = Type::load(column, scale);
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sum[r] = _mm512_fmadd_ps(weights, _mm512_set1_ps(values[r * stride]), sum[r]);
}

// Adds a chunk to the sums of a tile, which lie in `kept`; the last one makes the outputs of them. Weights that one
// tile alone meets are `streamed`: they come from memory in their order, and are fetched ahead.
template <class Type, int rows, bool streamed>
void multiply_tile(const PackedWeightView& weight, const std::uint8_t* group, const Chunk& chunk, const float* values,
                   std::int64_t stride, float* kept, const Outputs& to) {
  constexpr int column_bytes = packed_group_rows * Type::bytes;
  __m512 sum[4][rows];
  LAZULI_UNROLL
  for (int part = 0; part < 4; ++part) {
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r)
      sum[part][r] =
          chunk.is_first ? _mm512_setzero_ps() : _mm512_load_ps(kept + (part * rows + r) * packed_group_rows);
  }
  std::int64_t column = chunk.begin;
  for (; column + 4 <= chunk.end; column += 4) {
    const __m512 scale = Type::scale(group + weight.scales_offset, column);
    if constexpr (streamed) {
      prefetch(group + column * column_bytes + prefetch_distance, 4 * column_bytes);
      Type::prefetch_scale(group + weight.group_bytes + weight.scales_offset, column);
    }
    LAZULI_UNROLL
    for (int part = 0; part < 4; ++part)
      add_column<Type>(group + (column + part) * column_bytes, scale, values + column + part, stride, sum[part]);
  }
  // Types with scales have whole blocks and end here.
  LAZULI_UNROLL
  for (int part = 0; part < 3; ++part) {
    if (column + part >= chunk.end) break;
    add_column<Type>(group + (column + part) * column_bytes, _mm512_setzero_ps(), values + column + part, stride,
                     sum[part]);
  }
  if (chunk.is_last) {
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 total = _mm512_add_ps(_mm512_add_ps(sum[0][r], sum[1][r]), _mm512_add_ps(sum[2][r], sum[3][r]));
      _mm512_mask_storeu_ps(to.y + r * to.stride, to.mask, total);
    }
  } else {
    LAZULI_UNROLL
    for (int part = 0; part < 4; ++part) {
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) _mm512_store_ps(kept + (part * rows + r) * packed_group_rows, sum[part][r]);
    }
  }
}

// A tile of `count` rows.
template <class Type, bool streamed, int rows = max_tile_rows>
LAZULI_INLINE void multiply_rows(std::int64_t count, const PackedWeightView& weight, const std::uint8_t* group,
                                 const Chunk& chunk, const float* values, std::int64_t stride, float* kept,
                                 const Outputs& to) {
  if constexpr (rows > 0) {
    if (count == rows) return multiply_tile<Type, rows, streamed>(weight, group, chunk, values, stride, kept, to);
    multiply_rows<Type, streamed, rows - 1>(count, weight, group, chunk, values, stride, kept, to);
  }
}

// Lines of the chunk that is wanted next, a share before every tile: asked for one by one they would come too late.
class Ahead {
 public:
  Ahead(const std::uint8_t* next, std::int64_t bytes, std::int64_t tiles)
      : next_(next), end_(next + bytes), share_((bytes / tiles + 63) / 64 * 64) {}
  LAZULI_INLINE void fetch_share() {
    for (const std::uint8_t* stop = next_ + share_; next_ < stop && next_ < end_; next_ += 64)
      __builtin_prefetch(next_, 0, 2);
  }

 private:
  const std::uint8_t *next_, *end_;
  std::int64_t share_;
};

// A group times a block of rows.
template <class Type>
void multiply_block(const PackedWeightView& weight, const std::uint8_t* group, const float* values, std::int64_t stride,
                    std::int64_t rows, const Outputs& to) {
  constexpr int column_bytes = packed_group_rows * Type::bytes;
  alignas(64) float sums[4 * block_rows * packed_group_rows];
  std::int64_t begin = 0;
  do {  // once at least: without columns there are zeros to write
    const std::int64_t left = weight.cols - begin;
    const bool is_last = left <= chunk_columns;
    const Chunk chunk{begin, is_last ? weight.cols : begin + chunk_columns, begin == 0, is_last};
    std::int64_t tiles = (rows + max_tile_rows - 1) / max_tile_rows;
    Ahead ahead(group + chunk.end * column_bytes, (chunk.end - chunk.begin) * column_bytes, tiles);
    for (std::int64_t row = 0; tiles > 0; --tiles) {
      ahead.fetch_share();
      const std::int64_t count = (rows - row + tiles - 1) / tiles;  // alike: thin tiles are slow
      multiply_rows<Type, false>(count, weight, group, chunk, values + row * stride, stride,
                                 sums + 4 * row * packed_group_rows, {to.y + row * to.stride, to.stride, to.mask});
      row += count;
    }
    begin = chunk.end;
  } while (begin < weight.cols);
}

template <class Type>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  const bool streamed = row_end - row_begin <= max_tile_rows;
  const std::int64_t fitting = weight.group_bytes == 0 ? 1 : block_bytes / weight.group_bytes;
  const std::int64_t block_groups = streamed ? group_end - group_begin : fitting > 1 ? fitting : 1;
  for (std::int64_t first = group_begin; first < group_end; first += block_groups) {
    const std::int64_t last = group_end - first < block_groups ? group_end : first + block_groups;
    for (std::int64_t row = row_begin; row < row_end; row += block_rows) {
      const std::int64_t rows = row_end - row < block_rows ? row_end - row : block_rows;
      const float* values = x.values + row * x.stride;
      for (std::int64_t index = first; index < last; ++index) {
        const std::uint8_t* group = weight.data + index * weight.group_bytes;
        const std::int64_t output = index * packed_group_rows;
        const Outputs to{y + row * y_stride + output, y_stride, mask_of(weight.rows - output)};
        if (streamed)
          multiply_rows<Type, true>(rows, weight, group, {0, weight.cols, true, true}, values, x.stride, nullptr, to);
        else
          multiply_block<Type>(weight, group, values, x.stride, rows, to);
      }
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
