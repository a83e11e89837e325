// Matmul of many rows, AMX bf16.
//
// A block of weights, 256 outputs by 512 columns, is dequantised to bf16 once and stays in L2 while all rows of
// activations pass by it, 32 at a time in L1: two by two tiles of 16 rows and 16 outputs, summed in f32 over ascending
// columns. Sums wait for their next block side by side in scratch memory: the rows of y are too far apart for the caches
// to hold them. A sum depends on its own row and its own output alone, so any split of rows and groups gives the same
// bits.
#include <lazuli/backends/cpu/kernels/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/packed_quads_avx512.h>

namespace lazuli {
namespace {

constexpr int tile_rows = 16;
constexpr int step_columns = 32;  // of one tile product
constexpr int block_steps = 16;
constexpr int block_pairs = 8;    // of groups: 16 + 16 outputs
constexpr int pair_outputs = 2 * packed_group_rows;
constexpr std::int64_t block_rows = 512;  // the sums of a block of rows stay in L2 as well
constexpr int tile_bytes = 1024;

// Eight tiles of 16 rows of 64 bytes. A static constant: compilers have taken stores to a configuration on the stack
// for dead.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfiguration tile_configuration;

// Columns k and k + 1 of 16 outputs to one row of a tile: a pair of bf16 for each output.
LAZULI_INLINE __m512i pair_bf16(__m512 even, __m512 odd) {
  const __m512i low = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));  // even in the lower, odd in the upper half
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                                              23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, low);
}

template <int column>
LAZULI_INLINE __m512 column_of(__m512i quad) {
  const __m512i byte = _mm512_and_si512(column == 0 ? quad : _mm512_srli_epi32(quad, 8 * column), _mm512_set1_epi32(255));
  return _mm512_cvtepi32_ps(byte);
}

// One block of 32 columns of a block-quantised group: 16 rows of a tile.
template <class Format>
struct Quantised {
  static LAZULI_INLINE void unpack_step(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                        std::uint8_t* tile) {
    constexpr Planes planes = Format::planes;
    const BlockScale scale = block_scale<Format>(weight, group, block);
    const std::uint8_t* quants = group + block * planes.quant_bytes;
    LAZULI_UNROLL
    for (int quad = 0; quad < 8; ++quad) {
      const int half = quad / 4;
      __m512 factor = planes.halves == Halves::separate ? scale.scale[half] : scale.scale[0];
      if constexpr (planes.halves == Halves::weighted) factor = _mm512_mul_ps(factor, scale.factor[half]);
      __m512 shift = _mm512_mul_ps(factor, _mm512_set1_ps(static_cast<float>(-planes.offset)));
      if constexpr (planes.minimums) shift = _mm512_add_ps(shift, scale.minimum);
      const __m512i values = Format::quad(quants, quad);
      const __m512i first = pair_bf16(_mm512_fmadd_ps(column_of<0>(values), factor, shift),
                                      _mm512_fmadd_ps(column_of<1>(values), factor, shift));
      const __m512i second = pair_bf16(_mm512_fmadd_ps(column_of<2>(values), factor, shift),
                                       _mm512_fmadd_ps(column_of<3>(values), factor, shift));
      _mm512_store_si512(tile + 128 * quad, first);
      _mm512_store_si512(tile + 128 * quad + 64, second);
    }
  }
};

// 32 columns of a group of bf16 weights; columns past the end are zero.
struct Bf16 {
  static LAZULI_INLINE __m512i column(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t index) {
    if (index >= weight.cols) return _mm512_setzero_si512();
    return _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(group + index * packed_group_rows * 2)));
  }
  static LAZULI_INLINE void unpack_step(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step,
                                        std::uint8_t* tile) {
    for (int pair = 0; pair < tile_rows; ++pair) {
      const std::int64_t even = step * step_columns + 2 * pair;
      const __m512i high = _mm512_slli_epi32(column(weight, group, even + 1), 16);
      _mm512_store_si512(tile + 64 * pair, _mm512_or_si512(column(weight, group, even), high));
    }
  }
};

// One block of a group of mxfp8 weights, whose codes lie column after column.
struct Mxfp8 {
  static LAZULI_INLINE void unpack_step(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                        std::uint8_t* tile) {
    const __m512 scale = f32_exponents(group + weight.scales_offset + 16 * block);
    const std::uint8_t* codes = group + packed::mxfp8_planes.quant_bytes * block;
    for (int pair = 0; pair < tile_rows; ++pair) {
      const __m512 even = _mm512_mul_ps(e4m3_as_f16(codes + 32 * pair), scale);
      const __m512 odd = _mm512_mul_ps(e4m3_as_f16(codes + 32 * pair + 16), scale);
      _mm512_store_si512(tile + 64 * pair, pair_bf16(even, odd));
    }
  }
};

// Adds `steps` products for 32 rows and 32 outputs. `a` are the activations' tiles of the first 16 rows, those of the
// next 16 lie `a_stride` bytes on.
LAZULI_INLINE void multiply_tiles(const std::uint8_t* a, std::int64_t a_stride, const std::uint8_t* panel, int steps,
                                  bool first, float* sums) {
  constexpr int stride = pair_outputs * 4;
  float* below = sums + tile_rows * pair_outputs;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, stride);
    _tile_loadd(1, sums + packed_group_rows, stride);
    _tile_loadd(2, below, stride);
    _tile_loadd(3, below + packed_group_rows, stride);
  }
  for (int step = 0; step < steps; ++step) {
    const std::uint8_t* b = panel + 2 * tile_bytes * step;
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a + tile_bytes * step, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + tile_bytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + a_stride + tile_bytes * step, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + packed_group_rows, stride);
  _tile_stored(2, below, stride);
  _tile_stored(3, below + packed_group_rows, stride);
}

// The sums of a pair of groups to y, which may end within its outputs.
LAZULI_INLINE void store_sums(const float* sums, std::int64_t rows, std::int64_t outputs, float* y, std::int64_t y_stride) {
  const auto first = static_cast<__mmask16>(outputs < 16 ? (1 << outputs) - 1 : 0xffff);
  const auto second = static_cast<__mmask16>(outputs < 16 ? 0 : outputs < 32 ? (1 << (outputs - 16)) - 1 : 0xffff);
  for (std::int64_t row = 0; row < rows; ++row) {
    _mm512_mask_storeu_ps(y + row * y_stride, first, _mm512_load_ps(sums + row * pair_outputs));
    _mm512_mask_storeu_ps(y + row * y_stride + 16, second, _mm512_load_ps(sums + row * pair_outputs + 16));
  }
}

// A block's place in scratch memory.
struct Scratch {
  std::uint8_t* panel;  // [pair][step][2] tiles
  float* sums;          // [pair][row][32]
  std::int64_t rows;    // of the sums, padded

  std::uint8_t* tiles(int pair) const { return panel + pair * block_steps * 2 * tile_bytes; }
  float* sums_of(int pair) const { return sums + pair * rows * pair_outputs; }
};

// Groups [group_begin, group_end), at most 2 * block_pairs, times the rows [row_begin, row_end).
template <class Unpack>
LAZULI_INLINE void multiply_block(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin,
                                  std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                                  std::int64_t y_stride, const Scratch& scratch) {
  const std::int64_t blocks = (x.steps + block_steps - 1) / block_steps;
  const int groups = static_cast<int>(group_end - group_begin);
  const int pairs = (groups + 1) / 2;
  for (std::int64_t index = 0; index < blocks; ++index) {
    const std::int64_t begin = x.steps * index / blocks;
    const int count = static_cast<int>(x.steps * (index + 1) / blocks - begin);
    for (int group = 0; group < groups; ++group)
      for (int step = 0; step < count; ++step)
        Unpack::unpack_step(weight, weight.data + (group_begin + group) * weight.group_bytes, begin + step,
                            scratch.tiles(group / 2) + (2 * step + group % 2) * tile_bytes);
    for (std::int64_t row = row_begin; row < row_end; row += 2 * tile_rows) {
      const std::uint8_t* a = x.tiles + (row / tile_rows * x.steps + begin) * tile_bytes;
      for (int pair = 0; pair < pairs; ++pair)
        multiply_tiles(a, x.steps * tile_bytes, scratch.tiles(pair), count, index == 0,
                       scratch.sums_of(pair) + (row - row_begin) * pair_outputs);
    }
  }
  // The second half of an odd last pair is what was there before; its sums go nowhere.
  for (int pair = 0; pair < pairs; ++pair) {
    const std::int64_t output = (group_begin + 2 * pair) * packed_group_rows;
    const std::int64_t left = weight.rows - output, own = (groups - 2 * pair) * packed_group_rows;
    store_sums(scratch.sums_of(pair), row_end - row_begin, left < own ? left : own, y + row_begin * y_stride + output,
               y_stride);
  }
}

template <class Unpack>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, float* y, std::int64_t y_stride, std::uint8_t* memory) {
  __asm__ volatile("ldtilecfg %0" ::"m"(tile_configuration));
  for (std::int64_t row = 0; row < x.rows; row += block_rows) {
    const std::int64_t row_end = x.rows - row < block_rows ? x.rows : row + block_rows;
    const std::int64_t padded = (row_end - row + 2 * tile_rows - 1) / (2 * tile_rows) * (2 * tile_rows);
    const Scratch scratch{memory, reinterpret_cast<float*>(memory + panel_scratch_weights), padded};
    for (std::int64_t group = group_begin; group < group_end; group += 2 * block_pairs) {
      const std::int64_t last = group_end - group < 2 * block_pairs ? group_end : group + 2 * block_pairs;
      multiply_block<Unpack>(weight, x, group, last, row, row_end, y, y_stride, scratch);
    }
  }
  __asm__ volatile("tilerelease");
}

static_assert(panel_scratch_weights == block_pairs * block_steps * 2 * tile_bytes);
static_assert(panel_scratch_row == block_pairs * pair_outputs * 4);
static_assert(panel_scratch_rows == block_rows);

}  // namespace

void tile_rows_amx(const float* x, std::int64_t x_stride, std::int64_t tile_begin, std::int64_t tile_end,
                   const TiledRowsView& out) {
  for (std::int64_t tile = tile_begin; tile < tile_end; ++tile)
    for (std::int64_t step = 0; step < out.steps; ++step) {
      std::uint8_t* target = out.tiles + (tile * out.steps + step) * tile_bytes;
      const std::int64_t column = step * step_columns;
      const std::int64_t left = out.cols - column;
      const auto low = static_cast<__mmask16>(left < 16 ? (1 << left) - 1 : 0xffff);
      const auto high = static_cast<__mmask16>(left < 16 ? 0 : left < 32 ? (1 << (left - 16)) - 1 : 0xffff);
      for (int row = 0; row < tile_rows; ++row) {
        const std::int64_t source = tile * tile_rows + row;
        const float* values = x + source * x_stride + column;
        const bool inside = source < out.rows;
        const __m512 first = inside ? _mm512_maskz_loadu_ps(low, values) : _mm512_setzero_ps();
        const __m512 second = inside ? _mm512_maskz_loadu_ps(high, values + 16) : _mm512_setzero_ps();
        _mm512_store_si512(target + 64 * row, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
      }
    }
}

#define LAZULI_DEFINE(type, Unpack)                                                                             \
  void linear_panel_##type##_amx(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin, \
                                 std::int64_t group_end, float* y, std::int64_t y_stride, std::uint8_t* scratch) { \
    multiply<Unpack>(weight, x, group_begin, group_end, y, y_stride, scratch);                                  \
  }
LAZULI_DEFINE(q4_0, Quantised<Q4_0>)
LAZULI_DEFINE(q4_1, Quantised<Q4_1>)
LAZULI_DEFINE(q5_0, Quantised<Q5_0>)
LAZULI_DEFINE(q5_1, Quantised<Q5_1>)
LAZULI_DEFINE(q8_0, Quantised<Q8_0>)
LAZULI_DEFINE(q4_k, Quantised<Q4_K>)
LAZULI_DEFINE(q5_k, Quantised<Q5_K>)
LAZULI_DEFINE(q6_k, Quantised<Q6_K>)
LAZULI_DEFINE(mxfp4, Quantised<Mxfp4>)
LAZULI_DEFINE(nvfp4, Quantised<Nvfp4>)
LAZULI_DEFINE(bf16, Bf16)
LAZULI_DEFINE(mxfp8, Mxfp8)
LAZULI_DEFINE(e2m1_16, Quantised<E2m1>)
#define LAZULI_DEFINE_AFFINE(bits)                           \
  LAZULI_DEFINE(affine##bits##_32, Quantised<Affine<bits>>)  \
  LAZULI_DEFINE(affine##bits##_64, Quantised<Affine<bits>>)  \
  LAZULI_DEFINE(affine##bits##_128, Quantised<Affine<bits>>)
LAZULI_DEFINE_AFFINE(2)
LAZULI_DEFINE_AFFINE(3)
LAZULI_DEFINE_AFFINE(4)
LAZULI_DEFINE_AFFINE(5)
LAZULI_DEFINE_AFFINE(6)
LAZULI_DEFINE_AFFINE(8)
#undef LAZULI_DEFINE_AFFINE
#undef LAZULI_DEFINE

}  // namespace lazuli
