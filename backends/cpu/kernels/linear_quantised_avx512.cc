// Matmul with block-quantised weights, AVX-512 VNNI.
//
// A tile is one group of 16 outputs, one 32-bit lane each, times a few rows of activations. Per block of 32 columns,
// eight vpdpbusd a row make 16 dot products of unsigned weights and signed activations; the weights' offset is taken
// back by starting the sum at -offset times the sum of the activations. Multiplications and additions of the scaled
// sums stay separate operations in ascending block order: the other levels round in the same places.
#include <lazuli/backends/cpu/kernels/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/packed_quads_avx512.h>

namespace lazuli {
namespace {

// A tile walks its groups chunk by chunk: 32 blocks of prepared activations stay in L1, and 32 groups pay for preparing
// them while their weights stay in L2 for the next tile of rows.
// Few rows take long chunks: then weights are read in the order they lie in memory.
template <int rows>
constexpr int chunk_blocks = rows <= 2 ? 256 : 32;
constexpr int batch_groups = 32;

typedef std::int32_t AliasingInt __attribute__((may_alias));

// Registers: a dot product and a sum a row, and for weighted halves the first half's product.
template <class Format>
constexpr int largest_tile = Format::planes.halves == Halves::weighted ? 8 : 12;

// A chunk of one tile's activations. `values` go block after block, so that every address in the tile is a constant
// away from its block's. `start` is what the dot products (of the halves, where they are not joined) start at, `sum`
// what minimums are multiplied with.
template <int rows>
struct Prepared {
  alignas(64) std::int8_t values[chunk_blocks<rows>][rows][packed_block_columns];
  float scale[rows][chunk_blocks<rows>];
  std::int32_t start[2][rows][chunk_blocks<rows>];
  float sum[rows][chunk_blocks<rows>];
};

// Reads scales and half sums up to the end of their last vector: rows are padded for that.
template <class Format, int rows>
LAZULI_INLINE void prepare(const QuantisedRowsView& x, std::int64_t row, std::int64_t first_block, int count,
                           Prepared<rows>& out) {
  constexpr Planes planes = Format::planes;
  for (int r = 0; r < rows; ++r) {
    const std::int8_t* values = x.values + (row + r) * x.value_stride + first_block * packed_block_columns;
    const float* scales = x.scales + (row + r) * x.scale_stride + first_block;
    const std::int16_t* half_sums = x.half_sums + (row + r) * x.half_sum_stride + 2 * first_block;
    for (int block = 0; block < count; ++block) {
      __builtin_memcpy(out.values[block][r], values + block * packed_block_columns, packed_block_columns);
    }
    for (int block = 0; block < count; block += 16) {
      _mm512_store_ps(out.scale[r] + block, _mm512_load_ps(scales + block));
      const __m512i halves = _mm512_load_si512(half_sums + 2 * block);
      if constexpr (planes.minimums) {
        const __m512i sums = _mm512_madd_epi16(halves, _mm512_set1_epi16(1));
        _mm512_store_ps(out.sum[r] + block, _mm512_cvtepi32_ps(sums));
      } else if constexpr (planes.halves == Halves::joined) {
        _mm512_store_si512(out.start[0][r] + block, _mm512_madd_epi16(halves, _mm512_set1_epi16(-planes.offset)));
      } else {
        const __m512i first = _mm512_madd_epi16(halves, _mm512_set1_epi32(-planes.offset & 0xffff));
        const __m512i second = _mm512_madd_epi16(halves, _mm512_set1_epi32(-planes.offset * 0x10000));
        _mm512_store_si512(out.start[0][r] + block, first);
        _mm512_store_si512(out.start[1][r] + block, second);
      }
    }
  }
}

// dot[r] = sum over `count` quads from `first` on, which belong to half `half` where halves are not joined.
template <class Format, int rows>
LAZULI_INLINE void dot_quads(const std::uint8_t* quants, const Prepared<rows>& x, int block, int half, int first,
                             int count, __m512i* dot) {
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    dot[r] = Format::planes.offset != 0 ? _mm512_set1_epi32(x.start[half][r][block]) : _mm512_setzero_si512();
  }
  LAZULI_UNROLL
  for (int quad = first; quad < first + count; ++quad) {
    const __m512i weights = Format::quad(quants, quad);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const auto* four = reinterpret_cast<const AliasingInt*>(x.values[block][r] + 4 * quad);
      dot[r] = _mm512_dpbusd_epi32(dot[r], weights, _mm512_set1_epi32(*four));
    }
  }
}

template <class Format, int rows>
LAZULI_INLINE void add_block(const std::uint8_t* quants, const BlockScale& scale, const Prepared<rows>& x, int block,
                             __m512* sum) {
  constexpr Planes planes = Format::planes;
  __m512i dot[rows];
  if constexpr (planes.halves == Halves::joined) {
    dot_quads<Format, rows>(quants, x, block, 0, 0, 8, dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 x_scale = _mm512_set1_ps(x.scale[r][block]);
      sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(_mm512_mul_ps(scale.scale[0], x_scale), _mm512_cvtepi32_ps(dot[r])));
      if constexpr (planes.minimums) {
        const __m512 x_sum = _mm512_set1_ps(x.sum[r][block]);
        sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(_mm512_mul_ps(scale.minimum, x_scale), x_sum));
      }
    }
  } else if constexpr (planes.halves == Halves::weighted) {
    // Integers of at most 2 * 128 * 16 * 32 * 127 < 2^24 throughout: f32 holds each of them exactly.
    __m512 weighted[rows];
    dot_quads<Format, rows>(quants, x, block, 0, 0, 4, dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) weighted[r] = _mm512_mul_ps(scale.factor[0], _mm512_cvtepi32_ps(dot[r]));
    dot_quads<Format, rows>(quants, x, block, 1, 4, 4, dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 both = _mm512_fmadd_ps(scale.factor[1], _mm512_cvtepi32_ps(dot[r]), weighted[r]);
      const __m512 product = _mm512_mul_ps(scale.scale[0], _mm512_set1_ps(x.scale[r][block]));
      sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(product, both));
    }
  } else {
    LAZULI_UNROLL
    for (int half = 0; half < 2; ++half) {
      dot_quads<Format, rows>(quants, x, block, half, 4 * half, 4, dot);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const __m512 product = _mm512_mul_ps(scale.scale[half], _mm512_set1_ps(x.scale[r][block]));
        sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(product, _mm512_cvtepi32_ps(dot[r])));
      }
    }
  }
}

// Adds the blocks [first_block, first_block + count) of one group to `sums`.
template <class Format, int rows>
LAZULI_INLINE void add_chunk(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t first_block,
                             int count, const Prepared<rows>& x, __m512* sums) {
  constexpr Planes planes = Format::planes;
  __m512 sum[rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sum[r] = sums[r];
  for (int index = 0; index < count; ++index) {
    const std::int64_t block = first_block + index;
    const BlockScale scale = block_scale<Format>(weight, group, block);
    if constexpr (rows <= 2) prefetch_block<Format>(weight, group, block);
    add_block<Format, rows>(group + block * planes.quant_bytes, scale, x, index, sum);
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = sum[r];
}

// `rows` rows of activations times the groups [group_begin, group_end), at most batch_groups of them.
template <class Format, int rows>
void multiply_tile(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                   std::int64_t group_end, std::int64_t row, float* y, std::int64_t y_stride) {
  const std::int64_t blocks = weight.cols / packed_block_columns;
  Prepared<rows> prepared;
  __m512 sums[batch_groups][rows];
  const std::int64_t groups = group_end - group_begin;
  for (std::int64_t index = 0; index < groups; ++index) {
    for (int r = 0; r < rows; ++r) sums[index][r] = _mm512_setzero_ps();
  }
  for (std::int64_t first = 0; first < blocks; first += chunk_blocks<rows>) {
    const int count = static_cast<int>(blocks - first < chunk_blocks<rows> ? blocks - first : chunk_blocks<rows>);
    prepare<Format, rows>(x, row, first, count, prepared);
    for (std::int64_t index = 0; index < groups; ++index) {
      const std::uint8_t* group = weight.data + (group_begin + index) * weight.group_bytes;
      add_chunk<Format, rows>(weight, group, first, count, prepared, sums[index]);
    }
  }
  for (std::int64_t index = 0; index < groups; ++index) {
    const std::int64_t output = (group_begin + index) * packed_group_rows;
    const std::int64_t left = weight.rows - output;
    const auto mask = static_cast<__mmask16>(left < packed_group_rows ? (1 << left) - 1 : 0xffff);
    for (int r = 0; r < rows; ++r) _mm512_mask_storeu_ps(y + (row + r) * y_stride + output, mask, sums[index][r]);
  }
}

template <class Format>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride) {
  constexpr int full = largest_tile<Format>;
  for (std::int64_t first = group_begin; first < group_end; first += batch_groups) {
    const std::int64_t last = first + batch_groups < group_end ? first + batch_groups : group_end;
    std::int64_t row = row_begin;
    for (; row + full <= row_end; row += full) multiply_tile<Format, full>(weight, x, first, last, row, y, y_stride);
    for (; row + 4 <= row_end; row += 4) multiply_tile<Format, 4>(weight, x, first, last, row, y, y_stride);
    for (; row + 2 <= row_end; row += 2) multiply_tile<Format, 2>(weight, x, first, last, row, y, y_stride);
    if (row < row_end) multiply_tile<Format, 1>(weight, x, first, last, row, y, y_stride);
  }
}

}  // namespace

#define LAZULI_DEFINE(type, Format)                                                                                 \
  void linear_##type##_avx512(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin, \
                              std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,       \
                              std::int64_t y_stride) {                                                              \
    multiply<Format>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);                           \
  }
LAZULI_DEFINE(q4_0, Q4_0)
LAZULI_DEFINE(q4_1, Q4_1)
LAZULI_DEFINE(q5_0, Q5_0)
LAZULI_DEFINE(q5_1, Q5_1)
LAZULI_DEFINE(q8_0, Q8_0)
LAZULI_DEFINE(q4_k, Q4_K)
LAZULI_DEFINE(q5_k, Q5_K)
LAZULI_DEFINE(q6_k, Q6_K)
LAZULI_DEFINE(mxfp4, Mxfp4)
LAZULI_DEFINE(nvfp4, Nvfp4)
LAZULI_DEFINE(e2m1_16, E2m1)
#define LAZULI_AFFINE(name, bits, group) LAZULI_DEFINE(name, Affine<bits>)
#include <lazuli/graph/affine.def>
#undef LAZULI_DEFINE

}  // namespace lazuli
