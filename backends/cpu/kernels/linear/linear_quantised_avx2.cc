// SPDX-License-Identifier: MIT
// Matmul with block-quantised weights, AVX2.
//
// A tile is one side (8 outputs, one 32-bit lane each) or both sides of a group times a few rows of activations.
// vpmaddubsw multiplies unsigned weights by signed activations and saturates its sums of two at 16 bits; each format
// says how many such sums fit before they must be widened. 8-bit weights would not fit: 128 less, they are taken as
// signed, and their sign moves to the activations. Scaled dot products are added by FMA in ascending block order: the
// other levels round in the same places.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx2.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/linear/linear_many_rows.h>

namespace lazuli {
namespace {

template <class Format>
constexpr Kind kind_of{terms_of(Format::planes), quads_in_16_bits<Format>()};

// Subtracted from what quad() gives.
template <class Format>
constexpr int byte_offset = Format::planes.offset - (signed_weights<Format> ? 128 : 0);

// Where a tile of a few rows reads its activations.
template <int rows_>
struct Rows {
  static constexpr int rows = rows_;
  LAZULI_INLINE const std::int8_t* block_values(int r, std::int64_t block) const {
    return values[r] + block * packed_block_columns;
  }
  LAZULI_INLINE float scale(int r, std::int64_t block) const { return scales[r][block]; }
  LAZULI_INLINE int sum(int r, std::int64_t block) const {
    return half_sums[r][2 * block] + half_sums[r][2 * block + 1];
  }
  LAZULI_INLINE float scaled_sum(int r, std::int64_t block) const {
    return scale(r, block) * static_cast<float>(sum(r, block));
  }
  LAZULI_INLINE int start(int r, std::int64_t block) const { return -offset * sum(r, block); }
  LAZULI_INLINE int half_start(int r, std::int64_t block, int half) const {
    return -offset * half_sums[r][2 * block + half];
  }
  int offset;
  const std::int8_t* values[rows];
  const float* scales[rows];
  const std::int16_t* half_sums[rows];
};

// The same made ready: a chunk of a tile of many rows. Values go block after block, so that every address in the tile
// is a constant away from its block's.
template <int rows_>
struct PreparedRows {
  static constexpr int rows = rows_;
  LAZULI_INLINE const std::int8_t* block_values(int r, int block) const { return values[block][r]; }
  LAZULI_INLINE float scale(int r, int block) const { return scales[block][r]; }
  LAZULI_INLINE float scaled_sum(int r, int block) const { return scaled_sums[block][r]; }
  LAZULI_INLINE int start(int r, int block) const { return starts[block][0][r]; }
  LAZULI_INLINE int half_start(int r, int block, int half) const { return starts[block][half][r]; }

  alignas(32) std::int8_t values[short_chunk_blocks][rows][packed_block_columns];
  float scales[short_chunk_blocks][rows], scaled_sums[short_chunk_blocks][rows];
  std::int32_t starts[short_chunk_blocks][2][rows];
};

// One side of a block of weights as it is kept, and the same put apart.
template <class Format>
struct PackedSide {
  LAZULI_INLINE __m256i quad(int index) const { return Format::quad(quants, index, side); }
  LAZULI_INLINE __m256 factor(int index) const {
    return index == 1 && Format::planes.minimums ? scale.minimum : scale.scale[index];
  }
  const std::uint8_t* quants;
  BlockScale scale;
  int side;
};

template <Terms terms>
struct UnpackedSide {
  LAZULI_INLINE __m256i quad(int index) const { return load32(block.quads[index] + 32 * side); }
  LAZULI_INLINE __m256 factor(int index) const { return _mm256_load_ps(block.factors[index] + side_rows * side); }
  const UnpackedBlock<terms>& block;
  int side;
};

// dot[r] = sum over the quads [first, first + count) of a block, from what is in it on.
template <int run, int first, int count, class Side, class X>
LAZULI_INLINE void add_quads(const Side& weights, const X& x, std::int64_t block, __m256i (&dot)[X::rows]) {
  constexpr int step = run < count ? run : count;
  LAZULI_UNROLL
  for (int begin = first; begin < first + count; begin += step) {
    __m256i narrow[X::rows];
    LAZULI_UNROLL
    for (int quad = begin; quad < begin + step; ++quad) {
      const __m256i columns = weights.quad(quad);
      const __m256i magnitudes = run == 1 ? _mm256_abs_epi8(columns) : columns;
      LAZULI_UNROLL
      for (int r = 0; r < X::rows; ++r) {
        const auto* four = reinterpret_cast<const AliasingInt*>(x.block_values(r, block) + 4 * quad);
        const __m256i values = _mm256_set1_epi32(*four);
        const __m256i product = _mm256_maddubs_epi16(magnitudes, run == 1 ? _mm256_sign_epi8(values, columns) : values);
        narrow[r] = quad == begin ? product : _mm256_add_epi16(narrow[r], product);
        __asm__("" : "+x"(narrow[r]));  // or GCC sums in trees, for which there are not registers enough
      }
    }
    LAZULI_UNROLL
    for (int r = 0; r < X::rows; ++r) {
      dot[r] = _mm256_add_epi32(dot[r], _mm256_madd_epi16(narrow[r], _mm256_set1_epi16(1)));
    }
  }
}

// sum[r] += factor * scale of the activations * dot
template <class X>
LAZULI_INLINE void add_scaled(__m256 factor, const X& x, std::int64_t block, const __m256i (&dot)[X::rows],
                              __m256 (&sum)[X::rows]) {
  LAZULI_UNROLL
  for (int r = 0; r < X::rows; ++r) {
    const __m256 product = _mm256_mul_ps(factor, _mm256_set1_ps(x.scale(r, block)));
    sum[r] = _mm256_fmadd_ps(product, _mm256_cvtepi32_ps(dot[r]), sum[r]);
  }
}

template <Kind kind, class Side, class X>
LAZULI_INLINE void add_block(const Side& weights, const X& x, std::int64_t block, __m256 (&sum)[X::rows]) {
  __m256i dot[X::rows];
  if constexpr (kind.terms == Terms::halves) {
    const auto add_half = [&]<int half>() __attribute__((always_inline)) {
      LAZULI_UNROLL
      for (int r = 0; r < X::rows; ++r) dot[r] = _mm256_set1_epi32(x.half_start(r, block, half));
      add_quads<kind.run, 4 * half, 4>(weights, x, block, dot);
      add_scaled(weights.factor(half), x, block, dot, sum);
    };
    add_half.template operator()<0>();
    add_half.template operator()<1>();
  } else {
    constexpr bool has_start = kind.terms != Terms::minimum || kind.run == 1;
    LAZULI_UNROLL
    for (int r = 0; r < X::rows; ++r) {
      dot[r] = has_start ? _mm256_set1_epi32(x.start(r, block)) : _mm256_setzero_si256();
    }
    add_quads<kind.run, 0, 8>(weights, x, block, dot);
    add_scaled(weights.factor(0), x, block, dot, sum);
  }
  if constexpr (kind.terms == Terms::minimum) {
    LAZULI_UNROLL
    for (int r = 0; r < X::rows; ++r) {
      sum[r] = _mm256_fmadd_ps(weights.factor(1), _mm256_set1_ps(x.scaled_sum(r, block)), sum[r]);
    }
  }
}

struct Avx2 {
  static constexpr int tile_rows = 4, tile_groups = 1;
  static constexpr int chunk_blocks = short_chunk_blocks;  // longer ones gain nothing: products take longer than sums
  template <int rows>
  using Prepared = PreparedRows<rows>;
  template <class Format>
  static constexpr Kind kind = kind_of<Format>;
  template <class Format>
  static constexpr int offset = byte_offset<Format>;

  template <class Format, Terms terms>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                   UnpackedBlock<terms>& to) {
    const std::uint8_t* quants = group + block * Format::planes.quant_bytes;
    prefetch_next_group<Format>(weight, group, block);
    LAZULI_UNROLL
    for (int side = 0; side < 2; ++side) {
      const PackedSide<Format> from{quants, block_scale<Format>(weight, group, block, side), side};
      LAZULI_UNROLL
      for (int quad = 0; quad < 8; ++quad) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(to.quads[quad] + 32 * side), from.quad(quad));
      }
      LAZULI_UNROLL
      for (int i = 0; i < (terms == Terms::one ? 1 : 2); ++i) {
        _mm256_store_ps(to.factors[i] + side_rows * side, from.factor(i));
      }
    }
  }

  template <Terms terms, int rows>
  static void prepare(const QuantisedRowsView& x, std::int64_t row, std::int64_t first_block, int count, int offset,
                      PreparedRows<rows>& out) {
    for (int r = 0; r < rows; ++r) {
      const std::int8_t* values = x.values + (row + r) * x.value_stride + first_block * packed_block_columns;
      const float* scales = x.scales + (row + r) * x.scale_stride + first_block;
      const std::int16_t* half_sums = x.half_sums + (row + r) * x.half_sum_stride + 2 * first_block;
      for (int block = 0; block < count; ++block) {
        __builtin_memcpy(out.values[block][r], values + block * packed_block_columns, packed_block_columns);
        const int first = half_sums[2 * block], second = half_sums[2 * block + 1];
        out.scales[block][r] = scales[block];
        out.scaled_sums[block][r] = scales[block] * static_cast<float>(first + second);
        out.starts[block][0][r] = -offset * (terms == Terms::halves ? first : first + second);
        out.starts[block][1][r] = -offset * second;
      }
    }
  }

  template <Kind kind, int rows>
  static LAZULI_INLINE void multiply(const UnpackedBlock<kind.terms>* blocks, int count, int,
                                     const PreparedRows<rows>& x, const TileSums& sums) {
    for (int side = 0; side < 2; ++side) {
      float* y = sums.y + side * side_rows;
      const std::int64_t outputs = sums.outputs - side * side_rows;
      if (outputs <= 0) return;
      const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(outputs < 8 ? outputs : 8)), lane);
      __m256 sum[rows];
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        sum[r] = sums.from_zero ? _mm256_setzero_ps() : _mm256_maskload_ps(y + r * sums.stride, inside);
      }
      for (int block = 0; block < count; ++block) {
        add_block<kind>(UnpackedSide<kind.terms>{blocks[block], side}, x, block, sum);
      }
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) _mm256_maskstore_ps(y + r * sums.stride, inside, sum[r]);
    }
  }
};

// `sides` sides of a group from `first_side` on; results go to out[rows][16].
template <class Format, int rows, int sides>
LAZULI_INLINE void multiply_sides(const PackedWeightView& weight, const std::uint8_t* group, const Rows<rows>& x,
                                  int first_side, float (*out)[packed_group_rows]) {
  __m256 sum[sides][rows];
  LAZULI_UNROLL
  for (int index = 0; index < sides * rows; ++index) sum[index / rows][index % rows] = _mm256_setzero_ps();
  for (std::int64_t block = 0; block < weight.cols / packed_block_columns; ++block) {
    const std::uint8_t* quants = group + block * Format::planes.quant_bytes;
    if constexpr (rows == 1) prefetch_block<Format>(weight, group, block);
    LAZULI_UNROLL
    for (int index = 0; index < sides; ++index) {
      const int side = first_side + index;
      const PackedSide<Format> weights{quants, block_scale<Format>(weight, group, block, side), side};
      add_block<kind_of<Format>>(weights, x, block, sum[index]);
    }
  }
  LAZULI_UNROLL
  for (int index = 0; index < sides * rows; ++index) {
    const int side = first_side + index / rows;
    _mm256_storeu_ps(out[index % rows] + side * side_rows, sum[index / rows][index % rows]);
  }
}

template <class Format, int rows>
void multiply_few_rows(const PackedWeightView& weight, std::int64_t index, const QuantisedRowsView& x, std::int64_t row,
                       float* y, std::int64_t y_stride) {
  const std::uint8_t* group = weight.data + index * weight.group_bytes;
  Rows<rows> tile;
  tile.offset = byte_offset<Format>;
  for (int r = 0; r < rows; ++r) {
    tile.values[r] = x.values + (row + r) * x.value_stride;
    tile.scales[r] = x.scales + (row + r) * x.scale_stride;
    tile.half_sums[r] = x.half_sums + (row + r) * x.half_sum_stride;
  }
  float out[rows][packed_group_rows];
  if constexpr (rows <= 1) {
    multiply_sides<Format, rows, 2>(weight, group, tile, 0, out);
  } else {
    multiply_sides<Format, rows, 1>(weight, group, tile, 0, out);
    multiply_sides<Format, rows, 1>(weight, group, tile, 1, out);
  }
  const std::int64_t output = index * packed_group_rows;
  const std::int64_t left = weight.rows - output;
  const std::int64_t outputs = left < packed_group_rows ? left : packed_group_rows;
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(y + (row + r) * y_stride + output, out[r], static_cast<unsigned long>(outputs) * sizeof(float));
  }
}

template <class Format>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  if (row_end - row_begin >= many_rows)
    return multiply_many_rows<Avx2, Format>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    std::int64_t row = row_begin;
    for (; row + 4 <= row_end; row += 4) multiply_few_rows<Format, 4>(weight, index, x, row, y, y_stride);
    for (; row < row_end; ++row) multiply_few_rows<Format, 1>(weight, index, x, row, y, y_stride);
  }
}

}  // namespace

#define LAZULI_PACKED(type, codes, scales, offset)                                                                \
  void linear_##type##_avx2(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin, \
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,       \
                            std::int64_t y_stride) {                                                              \
    multiply<Packed<packed::type##_planes>>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);  \
  }
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>

}  // namespace lazuli
