// SPDX-License-Identifier: MIT
// Matmul with block-quantised weights, AVX-512 VNNI.
//
// A tile is one group of 16 outputs, or two where there are many rows, one 32-bit lane each, times a few rows of
// activations. Per block of 32 columns, eight vpdpbusd a row make 16 dot products of unsigned weights and signed
// activations; the weights' offset is taken back by starting the sum at -offset times the sum of the activations.
// Scaled dot products are added by FMA in ascending block order: the other levels round in the same places.
#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx512.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/linear/linear_many_rows.h>

namespace lazuli {
namespace {

// Few rows walk their groups chunk by chunk: a chunk of activations stays in L1, and 32 groups pay for preparing it
// while their weights stay in L2 for the next tile of rows. One or two rows take long chunks: then weights are read in
// the order they lie in memory.
template <int rows>
constexpr int few_rows_blocks = rows <= 2 ? 256 : 32;
constexpr int batch_groups = 32;

typedef std::int32_t AliasingInt __attribute__((may_alias));

// A chunk of one tile's activations. `values` are read where they lie: copies would cost more than rows far apart do.
// `start` is what the dot products (of the halves, where they are not joined) start at, `sum` what minimums are
// multiplied with.
template <int rows, int blocks>
struct Activations {
  LAZULI_INLINE const std::int8_t* block_values(int r, int block) const {
    return values + r * value_stride + block * packed_block_columns;
  }
  const std::int8_t* values;
  std::int64_t value_stride;
  alignas(64) float scale[rows][blocks];
  union {
    std::int32_t start[2][rows][blocks];
    float sum[rows][blocks];
  };
};

template <Terms terms, int rows, int blocks>
LAZULI_INLINE void prepare_activations(const QuantisedRowsView& x, std::int64_t row, std::int64_t first_block,
                                       int count, int offset, Activations<rows, blocks>& out) {
  out.values = x.values + row * x.value_stride + first_block * packed_block_columns;
  out.value_stride = x.value_stride;
  for (int r = 0; r < rows; ++r) {
    const float* scales = x.scales + (row + r) * x.scale_stride + first_block;
    const std::int16_t* half_sums = x.half_sums + (row + r) * x.half_sum_stride + 2 * first_block;
    for (int block = 0; block < count; block += 16) {
      const __mmask32 inside = count - block < 16 ? (1u << 2 * (count - block)) - 1 : 0xffffffffu;
      const __m512 scale = _mm512_maskz_loadu_ps(mask_of(count - block), scales + block);
      const __m512i halves = _mm512_maskz_loadu_epi16(inside, half_sums + 2 * block);
      _mm512_store_ps(out.scale[r] + block, scale);
      if constexpr (terms == Terms::minimum) {
        const __m512i sums = _mm512_madd_epi16(halves, _mm512_set1_epi16(1));
        _mm512_store_ps(out.sum[r] + block, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums)));
      } else if constexpr (terms == Terms::one) {
        const __m512i both = _mm512_madd_epi16(halves, _mm512_set1_epi16(static_cast<short>(-offset)));
        _mm512_store_si512(out.start[0][r] + block, both);
      } else {
        const __m512i first = _mm512_madd_epi16(halves, _mm512_set1_epi32(-offset & 0xffff));
        const __m512i second = _mm512_madd_epi16(halves, _mm512_set1_epi32(-offset * 0x10000));
        _mm512_store_si512(out.start[0][r] + block, first);
        _mm512_store_si512(out.start[1][r] + block, second);
      }
    }
  }
}

// A block of weights as it is kept, and the same put apart.
template <class Format>
struct PackedSource {
  LAZULI_INLINE __m512i quad(int index) const { return Format::quad(quants, index); }
  LAZULI_INLINE __m512 factor(int index) const {
    return index == 1 && Format::planes.minimums ? scale.minimum : scale.scale[index];
  }
  const std::uint8_t* quants;
  BlockScale scale;
};

template <Terms terms>
struct UnpackedSource {
  LAZULI_INLINE __m512i quad(int index) const { return load64(block.quads[index]); }
  LAZULI_INLINE __m512 factor(int index) const { return _mm512_load_ps(block.factors[index]); }
  const UnpackedBlock<terms>& block;
};

// sum[g][r] += factor * scale of the activations * the dot products of the quads [first, end), for each source g.
template <bool has_start, int first, int end, class Source, int groups, int rows, int blocks>
LAZULI_INLINE void add_dots(const Source (&weights)[groups], const Activations<rows, blocks>& x, int block,
                            __m512 (&sum)[groups][rows]) {
  __m512i dot[groups][rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512i start = has_start ? _mm512_set1_epi32(x.start[first / 4][r][block]) : _mm512_setzero_si512();
    LAZULI_UNROLL
    for (int g = 0; g < groups; ++g) dot[g][r] = start;
  }
  LAZULI_UNROLL
  for (int quad = first; quad < end; ++quad) {
    __m512i columns[groups];
    LAZULI_UNROLL
    for (int g = 0; g < groups; ++g) columns[g] = weights[g].quad(quad);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const auto* four = reinterpret_cast<const AliasingInt*>(x.block_values(r, block) + 4 * quad);
      const __m512i values = _mm512_set1_epi32(*four);
      LAZULI_UNROLL
      for (int g = 0; g < groups; ++g) dot[g][r] = _mm512_dpbusd_epi32(dot[g][r], columns[g], values);
    }
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512 scale = _mm512_set1_ps(x.scale[r][block]);
    LAZULI_UNROLL
    for (int g = 0; g < groups; ++g) {
      const __m512 product = _mm512_mul_ps(weights[g].factor(first == 0 ? 0 : 1), scale);
      sum[g][r] = _mm512_fmadd_ps(product, _mm512_cvtepi32_ps(dot[g][r]), sum[g][r]);
    }
  }
}

template <Terms terms, class Source, int groups, int rows, int blocks>
LAZULI_INLINE void add_block(const Source (&weights)[groups], const Activations<rows, blocks>& x, int block,
                             __m512 (&sum)[groups][rows]) {
  if constexpr (terms == Terms::halves) {
    add_dots<true, 0, 4>(weights, x, block, sum);
    add_dots<true, 4, 8>(weights, x, block, sum);
  } else {
    add_dots<terms == Terms::one, 0, 8>(weights, x, block, sum);
  }
  if constexpr (terms == Terms::minimum) {
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 x_sum = _mm512_set1_ps(x.sum[r][block]);
      LAZULI_UNROLL
      for (int g = 0; g < groups; ++g) sum[g][r] = _mm512_fmadd_ps(weights[g].factor(1), x_sum, sum[g][r]);
    }
  }
}

struct Avx512 {
  static constexpr int tile_rows = 6, tile_groups = 2;  // 12 dot products and 12 sums in registers
  static constexpr int chunk_blocks = 64;
  template <int rows>
  using Prepared = Activations<rows, chunk_blocks>;
  template <class Format>
  static constexpr Kind kind{terms_of(Format::planes), 0};
  template <class Format>
  static constexpr int offset = Format::planes.offset;

  template <class Format, Terms terms>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                   UnpackedBlock<terms>& to) {
    const std::uint8_t* quants = group + block * Format::planes.quant_bytes;
    const PackedSource<Format> from{quants, block_scale<Format>(weight, group, block)};
    prefetch_next_group<Format>(weight, group, block);
    LAZULI_UNROLL
    for (int quad = 0; quad < 8; ++quad) _mm512_store_si512(to.quads[quad], from.quad(quad));
    LAZULI_UNROLL
    for (int i = 0; i < (terms == Terms::one ? 1 : 2); ++i) _mm512_store_ps(to.factors[i], from.factor(i));
  }

  template <Terms terms, int rows>
  static void prepare(const QuantisedRowsView& x, std::int64_t row, std::int64_t first_block, int count, int offset,
                      Prepared<rows>& out) {
    prepare_activations<terms>(x, row, first_block, count, offset, out);
  }

  // A single group is multiplied twice, to write it once.
  template <Kind kind, int rows>
  static LAZULI_INLINE void multiply(const UnpackedBlock<kind.terms>* blocks, int count, int groups,
                                     const Prepared<rows>& x, const TileSums& sums) {
    const auto* second = groups == 2 ? blocks + count : blocks;
    const __mmask16 mask[2] = {mask_of(sums.outputs), mask_of(groups == 2 ? sums.outputs - packed_group_rows : 0)};
    __m512 sum[2][rows];
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      LAZULI_UNROLL
      for (int g = 0; g < 2; ++g) {
        const float* y = sums.y + r * sums.stride + g * packed_group_rows;
        sum[g][r] = sums.from_zero ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask[g], y);
      }
    }
    for (int block = 0; block < count; ++block) {
      const UnpackedSource<kind.terms> weights[2] = {{blocks[block]}, {second[block]}};
      add_block<kind.terms>(weights, x, block, sum);
    }
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      LAZULI_UNROLL
      for (int g = 0; g < 2; ++g)
        _mm512_mask_storeu_ps(sums.y + r * sums.stride + g * packed_group_rows, mask[g], sum[g][r]);
    }
  }
};

// Adds the blocks [first_block, first_block + count) of one group to `sums`.
template <class Format, int rows, int blocks>
LAZULI_INLINE void add_chunk(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t first_block,
                             int count, const Activations<rows, blocks>& x, __m512* sums) {
  constexpr Planes planes = Format::planes;
  __m512 sum[1][rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sum[0][r] = sums[r];
  for (int index = 0; index < count; ++index) {
    const std::int64_t block = first_block + index;
    const PackedSource<Format> weights[1] = {
        {group + block * planes.quant_bytes, block_scale<Format>(weight, group, block)}};
    if constexpr (rows <= 2) prefetch_block<Format>(weight, group, block);
    add_block<terms_of(planes)>(weights, x, index, sum);
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = sum[0][r];
}

// `rows` rows of activations times the groups [group_begin, group_end), at most batch_groups of them.
template <class Format, int rows>
void multiply_few_rows(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                       std::int64_t group_end, std::int64_t row, float* y, std::int64_t y_stride) {
  constexpr int chunk_blocks = few_rows_blocks<rows>;
  const std::int64_t blocks = weight.cols / packed_block_columns;
  Activations<rows, chunk_blocks> prepared;
  __m512 sums[batch_groups][rows];
  const std::int64_t groups = group_end - group_begin;
  for (std::int64_t index = 0; index < groups; ++index) {
    for (int r = 0; r < rows; ++r) sums[index][r] = _mm512_setzero_ps();
  }
  for (std::int64_t first = 0; first < blocks; first += chunk_blocks) {
    const int count = static_cast<int>(blocks - first < chunk_blocks ? blocks - first : chunk_blocks);
    prepare_activations<terms_of(Format::planes)>(x, row, first, count, Format::planes.offset, prepared);
    for (std::int64_t index = 0; index < groups; ++index) {
      const std::uint8_t* group = weight.data + (group_begin + index) * weight.group_bytes;
      add_chunk<Format>(weight, group, first, count, prepared, sums[index]);
    }
  }
  for (std::int64_t index = 0; index < groups; ++index) {
    const std::int64_t output = (group_begin + index) * packed_group_rows;
    const __mmask16 mask = mask_of(weight.rows - output);
    for (int r = 0; r < rows; ++r) _mm512_mask_storeu_ps(y + (row + r) * y_stride + output, mask, sums[index][r]);
  }
}

template <class Format>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  if (row_end - row_begin >= many_rows)
    return multiply_many_rows<Avx512, Format>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);
  for (std::int64_t first = group_begin; first < group_end; first += batch_groups) {
    const std::int64_t last = first + batch_groups < group_end ? first + batch_groups : group_end;
    std::int64_t row = row_begin;
    for (; row + 4 <= row_end; row += 4) multiply_few_rows<Format, 4>(weight, x, first, last, row, y, y_stride);
    for (; row + 2 <= row_end; row += 2) multiply_few_rows<Format, 2>(weight, x, first, last, row, y, y_stride);
    if (row < row_end) multiply_few_rows<Format, 1>(weight, x, first, last, row, y, y_stride);
  }
}

}  // namespace

#define LAZULI_PACKED(type, codes, scales, offset)                                                                  \
  void linear_##type##_avx512(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin, \
                              std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,       \
                              std::int64_t y_stride) {                                                              \
    multiply<Packed<packed::type##_planes>>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);    \
  }
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>

}  // namespace lazuli
