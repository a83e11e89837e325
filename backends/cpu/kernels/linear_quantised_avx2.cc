// Matmul with block-quantised weights, AVX2.
//
// A tile is one side (8 outputs, one 32-bit lane each) or both sides of a group times a few rows of activations.
// vpmaddubsw multiplies unsigned weights by signed activations and saturates its sums of two at 16 bits; each format
// says how many such sums fit before they must be widened. 8-bit weights would not fit: 128 less, they are taken as
// signed, and their sign moves to the activations.
#include <lazuli/backends/cpu/kernels/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/packed_planes.h>

#include <immintrin.h>

#define LAZULI_INLINE inline __attribute__((always_inline))
#define LAZULI_UNROLL _Pragma("GCC unroll 16")

namespace lazuli {
namespace {

using packed::Halves;
using packed::Planes;

constexpr int side_rows = 8;
constexpr int prefetch_distance = 2048;  // bytes

typedef std::int32_t AliasingInt __attribute__((may_alias));

// The scales of one side of a block; members as in the other levels.
struct BlockScale {
  __m256 scale[2];
  __m256 factor[2];
  __m256 minimum;
};

LAZULI_INLINE __m256i load32(const std::uint8_t* bytes) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
}

LAZULI_INLINE __m128i load8(const std::uint8_t* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

LAZULI_INLINE __m256 load_f16(const std::uint8_t* bytes) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
}

LAZULI_INLINE __m256i nibbles(const std::uint8_t* quants, int quad, int side) {
  const __m256i both = load32(quants + 64 * (quad % 4) + 32 * side);
  return _mm256_and_si256(quad < 4 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}

// Adds `value` to the bytes, in which that bit is clear, whose bit is set in the mask of the quad.
LAZULI_INLINE __m256i add_single_bits(__m256i codes, const std::uint8_t* masks, int quad, int side, int value) {
  const auto* mask = reinterpret_cast<const AliasingInt*>(masks + 8 * quad + 4 * side);
  const __m256i byte_of_lane = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of_lane = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(*mask), byte_of_lane);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of_lane), bit_of_lane);
  return _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value))));
}

LAZULI_INLINE __m256i nibbles_and_fifth_bits(const std::uint8_t* quants, int quad, int side) {
  return add_single_bits(nibbles(quants, quad, side), quants + 256, quad, side, 16);
}

// The two bits of a quad, moved to bit `place` (0 or 4) of their bytes.
LAZULI_INLINE __m256i two_bits(const std::uint8_t* pairs, int quad, int side, int place) {
  const __m256i four = load32(pairs + 64 * (quad / 4) + 32 * side);
  const int shift = place - 2 * (quad % 4);
  const __m256i moved = shift >= 0 ? _mm256_slli_epi16(four, shift) : _mm256_srli_epi16(four, -shift);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(3 << place)));
}

// Twice the e2m1 values, 12 added.
LAZULI_INLINE __m256i e2m1(const std::uint8_t* quants, int quad, int side) {
  const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(quants, quad, side));
}

LAZULI_INLINE BlockScale f16_scales(const std::uint8_t* scales, int side, bool minimums) {
  BlockScale scale;
  scale.scale[0] = load_f16(scales + 16 * side);
  if (minimums) scale.minimum = load_f16(scales + 32 + 16 * side);
  return scale;
}

LAZULI_INLINE BlockScale k_scales(const std::uint8_t* scales, const std::uint8_t* super, int side) {
  const __m256 six_bit_scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(scales + 8 * side)));
  const __m256 six_bit_minimum = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8(scales + 16 + 8 * side)));
  BlockScale scale;
  scale.scale[0] = _mm256_mul_ps(load_f16(super + 16 * side), six_bit_scale);
  const __m256 minimum = _mm256_mul_ps(load_f16(super + 32 + 16 * side), six_bit_minimum);
  scale.minimum = _mm256_xor_ps(minimum, _mm256_set1_ps(-0.0f));
  return scale;
}

// Bytes as the bits of an f16 below its sign, times `factor`.
LAZULI_INLINE __m256 upper_f16(const std::uint8_t* bytes, float factor) {
  const __m128i f16 = _mm_slli_epi16(_mm_cvtepu8_epi16(load8(bytes)), 7);
  return _mm256_mul_ps(_mm256_cvtph_ps(f16), _mm256_set1_ps(factor));
}

// Half an ue4m3 scale: shifted into f16 it is too small by 2^8.
LAZULI_INLINE __m256 half_ue4m3(const std::uint8_t* bytes) { return upper_f16(bytes, 0x1p7f); }

// 8 scales of an entry, from the scale `index` on, of 4 bytes (f32) or 2 (bf16).
LAZULI_INLINE __m256 wide_scale(const std::uint8_t* entry, int index, int width) {
  if (width == 4) return _mm256_load_ps(reinterpret_cast<const float*>(entry + 4 * index));
  const __m128i words = _mm_load_si128(reinterpret_cast<const __m128i*>(entry + 2 * index));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

// `quads_in_16_bits`: how many sums of two products, of at most 2 * largest weight * 127 each, add up in 16 bits.
struct Q4_0 {
  static constexpr Planes planes = packed::q4_0_planes;
  static constexpr int quads_in_16_bits = 8;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return nibbles(quants, index, side);
  }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*, int side) {
    return f16_scales(scales, side, false);
  }
};

struct Q4_1 : Q4_0 {
  static constexpr Planes planes = packed::q4_1_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*, int side) {
    return f16_scales(scales, side, true);
  }
};

struct Q5_0 : Q4_0 {
  static constexpr Planes planes = packed::q5_0_planes;
  static constexpr int quads_in_16_bits = 4;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return nibbles_and_fifth_bits(quants, index, side);
  }
};

struct Q5_1 : Q5_0 {
  static constexpr Planes planes = packed::q5_1_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*, int side) {
    return f16_scales(scales, side, true);
  }
};

struct Q8_0 : Q4_0 {
  static constexpr Planes planes = packed::q8_0_planes;
  static constexpr int quads_in_16_bits = 1;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return _mm256_xor_si256(load32(quants + 64 * index + 32 * side), _mm256_set1_epi8(-128));
  }
};

struct Q4_K {
  static constexpr Planes planes = packed::q4_k_planes;
  static constexpr int quads_in_16_bits = 8;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return nibbles(quants, index, side);
  }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t* super, int side) {
    return k_scales(scales, super, side);
  }
};

struct Q5_K : Q4_K {
  static constexpr Planes planes = packed::q5_k_planes;
  static constexpr int quads_in_16_bits = 4;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return nibbles_and_fifth_bits(quants, index, side);
  }
};

struct Q6_K {
  static constexpr Planes planes = packed::q6_k_planes;
  static constexpr int quads_in_16_bits = 2;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return _mm256_or_si256(nibbles(quants, index, side), two_bits(quants + 256, index, side, 4));
  }
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t* super, int side) {
    BlockScale scale;
    scale.scale[0] = load_f16(super + 16 * side);
    scale.factor[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(scales + 8 * side)));
    scale.factor[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(scales + 16 + 8 * side)));
    return scale;
  }
};

struct Mxfp4 {
  static constexpr Planes planes = packed::mxfp4_planes;
  static constexpr int quads_in_16_bits = 4;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    return e2m1(quants, index, side);
  }
  // 2^(e - 128), subnormal for e < 2.
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*, int side) {
    const __m256i exponent = _mm256_cvtepu8_epi32(load8(scales + 8 * side));
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(exponent, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), exponent);
    const __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), exponent);
    BlockScale scale;
    scale.scale[0] = _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, small));
    return scale;
  }
};

struct Nvfp4 : Mxfp4 {
  static constexpr Planes planes = packed::nvfp4_planes;
  static LAZULI_INLINE BlockScale scale(const std::uint8_t* scales, const std::uint8_t*, int side) {
    BlockScale scale;
    scale.scale[0] = half_ue4m3(scales + 8 * side);
    scale.scale[1] = half_ue4m3(scales + 16 + 8 * side);
    return scale;
  }
};

// Formats with `wide_scales` read them as the weight's view says.
struct E2m1 : Mxfp4 {
  static constexpr Planes planes = packed::e2m1_planes;
  static LAZULI_INLINE BlockScale scale(const PackedWeightView& weight, const std::uint8_t* entry, int side) {
    const bool is_short = weight.scale_width == 1;
    BlockScale scale;
    LAZULI_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int index = 16 * half + 8 * side;
      scale.scale[half] = is_short ? upper_f16(entry + index, weight.factor) : wide_scale(entry, index, 4);
    }
    return scale;
  }
};

template <int bits>
struct Affine {
  static constexpr Planes planes = packed::affine_planes(bits);
  static constexpr int quads_in_16_bits = bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
  static LAZULI_INLINE __m256i quad(const std::uint8_t* quants, int index, int side) {
    if constexpr (bits == 2) return two_bits(quants, index, side, 0);
    if constexpr (bits == 3) return add_single_bits(two_bits(quants, index, side, 0), quants + 128, index, side, 4);
    if constexpr (bits == 4) return nibbles(quants, index, side);
    if constexpr (bits == 5) return nibbles_and_fifth_bits(quants, index, side);
    if constexpr (bits == 6) return Q6_K::quad(quants, index, side);
    return Q8_0::quad(quants, index, side);
  }
  static LAZULI_INLINE BlockScale scale(const PackedWeightView& weight, const std::uint8_t* entry, int side) {
    BlockScale scale;
    scale.scale[0] = wide_scale(entry, 8 * side, weight.scale_width);
    scale.minimum = wide_scale(entry, 16 + 8 * side, weight.scale_width);
    return scale;
  }
};

// Where a group has the scales of block `block`, and those of its super-block.
template <class Format>
LAZULI_INLINE const std::uint8_t* scale_entry(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  constexpr Planes planes = Format::planes;
  const std::uint8_t* scales = group + weight.scales_offset;
  if constexpr (!planes.wide_scales) return scales + block * planes.scale_bytes;
  return scales + (block >> weight.scale_shift) * (planes.scale_bytes * weight.scale_width);
}

template <class Format>
LAZULI_INLINE const std::uint8_t* super_entry(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  return group + weight.super_offset + block / 8 * Format::planes.super_bytes;
}

// The scales of one side.
template <class Format>
LAZULI_INLINE BlockScale block_scale(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block,
                                     int side) {
  const std::uint8_t* entry = scale_entry<Format>(weight, group, block);
  if constexpr (Format::planes.wide_scales) {
    return Format::scale(weight, entry, side);
  } else {
    return Format::scale(entry, super_entry<Format>(weight, group, block), side);
  }
}

template <class Format>
constexpr bool signed_weights = Format::planes.quant_bytes == 512;

// Where a tile reads its activations.
template <int rows>
struct TileRows {
  const std::int8_t* values[rows];
  const float* scales[rows];
  const std::int16_t* half_sums[rows];
};

// dot[r] = sum over the quads [first, first + count) of a block at `values[r] + offset`, from `start[r]` on.
template <class Format, int first, int count, int rows>
LAZULI_INLINE void dot_quads(const std::uint8_t* quants, int side, const TileRows<rows>& x, std::int64_t offset,
                             const std::int32_t* start, __m256i* dot) {
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) dot[r] = _mm256_set1_epi32(start[r]);
  constexpr int step = Format::quads_in_16_bits < count ? Format::quads_in_16_bits : count;
  LAZULI_UNROLL
  for (int run = first; run < first + count; run += step) {
    __m256i narrow[rows];
    LAZULI_UNROLL
    for (int quad = run; quad < run + step; ++quad) {
      const __m256i weights = Format::quad(quants, quad, side);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const auto* four = reinterpret_cast<const AliasingInt*>(x.values[r] + offset + 4 * quad);
        const __m256i values = _mm256_set1_epi32(*four);
        const __m256i product = signed_weights<Format>
                                    ? _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(values, weights))
                                    : _mm256_maddubs_epi16(weights, values);
        narrow[r] = quad == run ? product : _mm256_add_epi16(narrow[r], product);
      }
    }
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      dot[r] = _mm256_add_epi32(dot[r], _mm256_madd_epi16(narrow[r], _mm256_set1_epi16(1)));
    }
  }
}

template <class Format, int rows>
LAZULI_INLINE void add_block(const std::uint8_t* quants, const BlockScale& scale, int side, const TileRows<rows>& x,
                             std::int64_t block, __m256* sum) {
  constexpr Planes planes = Format::planes;
  constexpr int offset = planes.offset - (signed_weights<Format> ? 128 : 0);
  const std::int64_t column = block * packed_block_columns;
  std::int32_t start[2][rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    start[0][r] = -offset * x.half_sums[r][2 * block];
    start[1][r] = -offset * x.half_sums[r][2 * block + 1];
    if constexpr (planes.halves == Halves::joined) start[0][r] += start[1][r];
  }
  __m256i dot[rows];
  if constexpr (planes.halves == Halves::joined) {
    dot_quads<Format, 0, 8>(quants, side, x, column, start[0], dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m256 x_scale = _mm256_set1_ps(x.scales[r][block]);
      sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(_mm256_mul_ps(scale.scale[0], x_scale), _mm256_cvtepi32_ps(dot[r])));
      if constexpr (planes.minimums) {
        const int x_sum = x.half_sums[r][2 * block] + x.half_sums[r][2 * block + 1];
        const __m256 product = _mm256_mul_ps(scale.minimum, x_scale);
        sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(product, _mm256_set1_ps(static_cast<float>(x_sum))));
      }
    }
  } else if constexpr (planes.halves == Halves::weighted) {
    // Integers of at most 2 * 128 * 16 * 32 * 127 < 2^24 throughout: f32 holds each of them exactly.
    __m256 weighted[rows];
    dot_quads<Format, 0, 4>(quants, side, x, column, start[0], dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) weighted[r] = _mm256_mul_ps(scale.factor[0], _mm256_cvtepi32_ps(dot[r]));
    dot_quads<Format, 4, 4>(quants, side, x, column, start[1], dot);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m256 both = _mm256_fmadd_ps(scale.factor[1], _mm256_cvtepi32_ps(dot[r]), weighted[r]);
      const __m256 product = _mm256_mul_ps(scale.scale[0], _mm256_set1_ps(x.scales[r][block]));
      sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(product, both));
    }
  } else {
    const auto add_half = [&](int half) {
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const __m256 product = _mm256_mul_ps(scale.scale[half], _mm256_set1_ps(x.scales[r][block]));
        sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(product, _mm256_cvtepi32_ps(dot[r])));
      }
    };
    dot_quads<Format, 0, 4>(quants, side, x, column, start[0], dot);
    add_half(0);
    dot_quads<Format, 4, 4>(quants, side, x, column, start[1], dot);
    add_half(1);
  }
}

LAZULI_INLINE void prefetch(const std::uint8_t* bytes, int count) {
  LAZULI_UNROLL
  for (int line = 0; line < count; line += 64) _mm_prefetch(reinterpret_cast<const char*>(bytes + line), _MM_HINT_T0);
}

// Quants soon to be read, and the same block's scales in the next group: those planes are too short for the hardware to
// foresee, and a group would begin by waiting for them.
template <class Format>
LAZULI_INLINE void prefetch_block(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block) {
  constexpr Planes planes = Format::planes;
  prefetch(group + block * planes.quant_bytes + prefetch_distance, planes.quant_bytes);
  const std::uint8_t* next = group + weight.group_bytes;
  prefetch(scale_entry<Format>(weight, next, block), 1);
  if constexpr (planes.super_bytes != 0) prefetch(super_entry<Format>(weight, next, block), 1);
}

// `sides` sides of a group from `first_side` on; results go to out[rows][16].
template <class Format, int rows, int sides>
LAZULI_INLINE void multiply_sides(const PackedWeightView& weight, const std::uint8_t* group, const TileRows<rows>& x,
                                  int first_side, float (*out)[packed_group_rows]) {
  constexpr Planes planes = Format::planes;
  __m256 sum[sides][rows];
  LAZULI_UNROLL
  for (int index = 0; index < sides * rows; ++index) sum[index / rows][index % rows] = _mm256_setzero_ps();
  for (std::int64_t block = 0; block < weight.cols / packed_block_columns; ++block) {
    const std::uint8_t* quants = group + block * planes.quant_bytes;
    if constexpr (rows == 1) prefetch_block<Format>(weight, group, block);
    LAZULI_UNROLL
    for (int index = 0; index < sides; ++index) {
      const int side = first_side + index;
      add_block<Format, rows>(quants, block_scale<Format>(weight, group, block, side), side, x, block, sum[index]);
    }
  }
  LAZULI_UNROLL
  for (int index = 0; index < sides * rows; ++index) {
    const int side = first_side + index / rows;
    _mm256_storeu_ps(out[index % rows] + side * side_rows, sum[index / rows][index % rows]);
  }
}

template <class Format, int rows>
void multiply_tile(const PackedWeightView& weight, std::int64_t index, const QuantisedRowsView& x, std::int64_t row,
                   float* y, std::int64_t y_stride) {
  const std::uint8_t* group = weight.data + index * weight.group_bytes;
  TileRows<rows> tile;
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
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    std::int64_t row = row_begin;
    for (; row + 4 <= row_end; row += 4) multiply_tile<Format, 4>(weight, index, x, row, y, y_stride);
    for (; row < row_end; ++row) multiply_tile<Format, 1>(weight, index, x, row, y, y_stride);
  }
}

}  // namespace

#define LAZULI_DEFINE(type, Format)                                                                               \
  void linear_##type##_avx2(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin, \
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,       \
                            std::int64_t y_stride) {                                                              \
    multiply<Format>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);                         \
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
