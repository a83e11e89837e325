// Packed weights dequantised to the bf16 pairs of tile products, a few at a time. Private to AMX units; everything here
// has internal linkage.
//
// A tile of weights is 16 outputs by 32 columns: row k holds columns 2k and 2k + 1 of the outputs side by side. A unit is
// an eighth of it. Each struct has unpack<unit>(weight, group, step) for the tile of 32 columns `step`, and
// prefetch(weight, group, step) for who reads groups once, in their order.
#pragma once

#include <lazuli/backends/cpu/kernels/bf16_pairs_avx512.h>
#include <lazuli/backends/cpu/kernels/packed_quads_avx512.h>

namespace lazuli {
namespace {

constexpr int tile_bytes = 1024;
constexpr int step_columns = 32;
constexpr int units_per_tile = 8;

// Two rows of a tile.
struct PairRows {
  __m512i first, second;
};

template <int column>
LAZULI_INLINE __m512 column_of(__m512i quad) {
  const __m512i byte = _mm512_and_si512(column == 0 ? quad : _mm512_srli_epi32(quad, 8 * column), _mm512_set1_epi32(255));
  return _mm512_cvtepi32_ps(byte);
}

template <class Format>
struct Quantised {
  template <int unit>
  static LAZULI_INLINE PairRows unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step) {
    constexpr Planes planes = Format::planes;
    constexpr int half = unit / 4;
    const BlockScale scale = block_scale<Format>(weight, group, step);
    const __m512 factor = planes.halves == Halves::separate ? scale.scale[half] : scale.scale[0];
    __m512 shift = _mm512_mul_ps(factor, _mm512_set1_ps(static_cast<float>(-planes.offset)));
    if constexpr (planes.minimums) shift = _mm512_add_ps(shift, scale.minimum);
    const __m512i values = Format::quad(group + step * planes.quant_bytes, unit);
    return {pair_bf16(_mm512_fmadd_ps(column_of<0>(values), factor, shift),
                      _mm512_fmadd_ps(column_of<1>(values), factor, shift)),
            pair_bf16(_mm512_fmadd_ps(column_of<2>(values), factor, shift),
                      _mm512_fmadd_ps(column_of<3>(values), factor, shift))};
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step) {
    prefetch_block<Format>(weight, group, step);
  }
};

// bf16 weights; columns past the end are zero.
struct Bf16 {
  template <int unit>
  static LAZULI_INLINE PairRows unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step) {
    return {pair(weight, group, step * step_columns + 4 * unit), pair(weight, group, step * step_columns + 4 * unit + 2)};
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView&, const std::uint8_t*, std::int64_t) {}

 private:
  static LAZULI_INLINE __m512i pair(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t column) {
    const std::int64_t left = weight.cols - column;
    const auto inside = static_cast<__mmask32>(left >= 2 ? 0xffffffff : left == 1 ? 0xffff : 0);
    return interleave(_mm512_maskz_loadu_epi16(inside, group + column * packed_group_rows * 2));
  }
};

// mxfp8 weights, whose codes lie column after column.
struct Mxfp8 {
  template <int unit>
  static LAZULI_INLINE PairRows unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step) {
    const __m512 scale = f32_exponents(group + weight.scales_offset + 16 * step);
    const std::uint8_t* codes = group + packed::mxfp8_planes.quant_bytes * step + 64 * unit;
    return {pair(codes, scale), pair(codes + 32, scale)};
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView&, const std::uint8_t*, std::int64_t) {}

 private:
  static LAZULI_INLINE __m512i pair(const std::uint8_t* codes, __m512 scale) {
    return pair_bf16(_mm512_mul_ps(e4m3_as_f16(codes), scale), _mm512_mul_ps(e4m3_as_f16(codes + 16), scale));
  }
};

}  // namespace
}  // namespace lazuli
