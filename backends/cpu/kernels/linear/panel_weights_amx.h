// SPDX-License-Identifier: MIT
// Packed weights dequantised to the bf16 pairs of tile products. Private to AMX units; everything here has internal
// linkage.
//
// A tile of weights is 16 outputs by 32 columns: row k holds columns 2k and 2k + 1 of the outputs side by side. A unit
// is two rows. Each struct has unpack<begin, end>(weight, group, step, tile), which writes some units of the tile of 32
// columns `step`, and prefetch(weight, group, step) for kernels that read groups once, in their order.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_quads_avx512.h>
#include <lazuli/backends/cpu/kernels/intrinsics/bf16_pairs_avx512.h>

namespace lazuli {
namespace {

constexpr int tile_bytes = 1024;
constexpr int step_columns = 32;
constexpr int units_per_tile = 8;

LAZULI_INLINE void store_pair(std::uint8_t* tile, int row, __m512 even, __m512 odd) {
  _mm512_store_si512(tile + 64 * row, pair_bf16(even, odd));
}

template <class Format>
struct Quantised {
  template <int begin, int end>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step,
                                   std::uint8_t* tile) {
    constexpr Planes planes = Format::planes;
    const BlockScale scale = block_scale<Format>(weight, group, step);
    const std::uint8_t* quants = group + step * planes.quant_bytes;
    LAZULI_UNROLL
    for (int quad = begin; quad < end; ++quad) {
      const __m512 factor = planes.halves == Halves::separate ? scale.scale[quad / 4] : scale.scale[0];
      __m512 shift = _mm512_mul_ps(factor, _mm512_set1_ps(static_cast<float>(-planes.offset)));
      if constexpr (planes.minimums) shift = _mm512_add_ps(shift, scale.minimum);
      const __m512i values = Format::quad(quants, quad);
      const auto column = [&](int index) {
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(values, 8 * index), _mm512_set1_epi32(255));
        return _mm512_fmadd_ps(_mm512_cvtepi32_ps(byte), factor, shift);
      };
      store_pair(tile, 2 * quad, column(0), column(1));
      store_pair(tile, 2 * quad + 1, column(2), column(3));
    }
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step) {
    prefetch_block<Format>(weight, group, step);
  }
};

// Nibbles n whose values are (n - 8) d. For a whole tile at once there is a shorter way: set at bit p of the mantissa
// of 1, a nibble is 1 + n 2^(p - 23), and an FMA takes it to its value, without a conversion. 2^(23 - p) d and (2^(23 -
// p) + 8) d have 24 bits at most for a d of 11 bits and p >= 8, so that the value is exact. Bits 8, 12 and 16 serve all
// eight nibbles of a lane with two shifts.
template <class Format>
struct Nibbles : Quantised<Format> {
  template <int begin, int end>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step,
                                   std::uint8_t* tile) {
    if constexpr (begin == 0 && end == units_per_tile)
      unpack_tile(block_scale<Format>(weight, group, step).scale[0], group + step * Format::planes.quant_bytes, tile);
    else
      Quantised<Format>::template unpack<begin, end>(weight, group, step, tile);
  }

 private:
  struct Place {
    __m512i mask;
    __m512 factor, shift;

    LAZULI_INLINE Place(__m512 d, int bit)
        : mask(_mm512_set1_epi32(15 << bit)),
          factor(_mm512_mul_ps(d, _mm512_set1_ps(static_cast<float>(1 << (23 - bit))))),
          shift(_mm512_mul_ps(d, _mm512_set1_ps(static_cast<float>(-(1 << (23 - bit)) - Format::planes.offset)))) {}
    LAZULI_INLINE __m512 value(__m512i nibbles) const {
      constexpr int a_and_b_or_c = 0xea;
      const __m512i one = _mm512_set1_epi32(0x3f800000);
      return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_ternarylogic_epi32(nibbles, mask, one, a_and_b_or_c)), factor,
                             shift);
    }
  };

  static LAZULI_INLINE void unpack_tile(__m512 d, const std::uint8_t* quants, std::uint8_t* tile) {
    const Place at8(d, 8), at12(d, 12), at16(d, 16);
    LAZULI_UNROLL
    for (int vector = 0; vector < 4; ++vector) {
      const __m512i here = load64(quants + 64 * vector), up = _mm512_slli_epi32(here, 8),
                    down = _mm512_srli_epi32(here, 12);
      store_pair(tile, 2 * vector, at8.value(up), at8.value(here));
      store_pair(tile, 2 * vector + 1, at16.value(here), at12.value(down));
      store_pair(tile, 2 * vector + 8, at12.value(up), at12.value(here));
      store_pair(tile, 2 * vector + 9, at8.value(down), at16.value(down));
    }
  }
};

template <bool is_nibbles, Planes planes>
struct ChoosePanelWeights {
  using Weights = Quantised<Packed<planes>>;
};
template <Planes planes>
struct ChoosePanelWeights<true, planes> {
  using Weights = Nibbles<Packed<planes>>;
};

template <Planes planes>
using PanelWeights =
    typename ChoosePanelWeights<planes.codes == Codes::bits4 && planes.scales == Scales::f16 && planes.offset == 8,
                                planes>::Weights;

// bf16 weights; columns past the end are zero.
struct Bf16 {
  template <int begin, int end>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step,
                                   std::uint8_t* tile) {
    LAZULI_UNROLL
    for (int row = 2 * begin; row < 2 * end; ++row) {
      const std::int64_t column = step * step_columns + 2 * row, left = weight.cols - column;
      const auto inside = static_cast<__mmask32>(left >= 2 ? 0xffffffff : left == 1 ? 0xffff : 0);
      const __m512i halves = _mm512_maskz_loadu_epi16(inside, group + column * packed_group_rows * 2);
      _mm512_store_si512(tile + 64 * row, interleave(halves));
    }
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView&, const std::uint8_t*, std::int64_t) {}
};

// mxfp8 weights, whose codes lie column after column.
struct Mxfp8 {
  template <int begin, int end>
  static LAZULI_INLINE void unpack(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step,
                                   std::uint8_t* tile) {
    const __m512 scale = f32_exponents(group + weight.scales_offset + 16 * step);
    const std::uint8_t* codes = group + packed::mxfp8_planes.quant_bytes * step;
    LAZULI_UNROLL
    for (int row = 2 * begin; row < 2 * end; ++row)
      store_pair(tile, row, _mm512_mul_ps(e4m3_as_f16(codes + 32 * row), scale),
                 _mm512_mul_ps(e4m3_as_f16(codes + 32 * row + 16), scale));
  }
  static LAZULI_INLINE void prefetch(const PackedWeightView&, const std::uint8_t*, std::int64_t) {}
};

}  // namespace
}  // namespace lazuli
