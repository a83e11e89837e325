// One row of activations times weights, with the additions of tile products but without tiles: for a single row, most of
// a tile product would go to waste, and so would the way of the weights through memory. Private to AMX units; everything
// here has internal linkage.
//
// A tile product sums even and odd columns by themselves, by FMA and from zero, and adds the sum of both to what is there
// (Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS). The same steps on vectors give the same bits,
// provided that denormal numbers are taken for zero.
#pragma once

#include <lazuli/backends/cpu/kernels/panel_weights_amx.h>

namespace lazuli {
namespace {

// The halves of 16 pairs of bf16, as f32.
LAZULI_INLINE __m512 even_of(__m512i pairs) { return reinterpret_cast<__m512>(_mm512_slli_epi32(pairs, 16)); }
LAZULI_INLINE __m512 odd_of(__m512i pairs) {
  return reinterpret_cast<__m512>(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}

// The even and odd columns of one step, of x and of the sums so far.
struct PairSums {
  alignas(64) float x_even[16], x_odd[16];
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();

  explicit PairSums(const std::uint8_t* x) {
    const __m512i pairs = load64(x);
    _mm512_store_ps(x_even, even_of(pairs));
    _mm512_store_ps(x_odd, odd_of(pairs));
  }
  LAZULI_INLINE void add(int pair, __m512i weights) {
    even = _mm512_fmadd_ps(_mm512_set1_ps(x_even[pair]), even_of(weights), even);
    odd = _mm512_fmadd_ps(_mm512_set1_ps(x_odd[pair]), odd_of(weights), odd);
  }
};

template <class Weights, int unit = 0>
LAZULI_INLINE void add_units(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t step, PairSums& sums) {
  if constexpr (unit < units_per_tile) {
    const PairRows rows = Weights::template unpack<unit>(weight, group, step);
    sums.add(2 * unit, rows.first);
    sums.add(2 * unit + 1, rows.second);
    add_units<Weights, unit + 1>(weight, group, step, sums);
  }
}

template <class Weights>
__attribute__((noinline)) void multiply_row(const PackedWeightView& weight, const TiledRowsView& x,
                                            std::int64_t group_begin, std::int64_t group_end, float* y) {
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    const std::uint8_t* group = weight.data + index * weight.group_bytes;
    __m512 sum = _mm512_setzero_ps();
    for (std::int64_t step = 0; step < x.steps; ++step) {
      Weights::prefetch(weight, group, step);
      PairSums sums(x.tiles + 2 * step * tile_bytes);
      add_units<Weights>(weight, group, step, sums);
      sum = _mm512_add_ps(sum, _mm512_add_ps(sums.even, sums.odd));
    }
    const std::int64_t output = index * packed_group_rows;
    _mm512_mask_storeu_ps(y + output, mask_of(weight.rows - output), sum);
  }
}

}  // namespace
}  // namespace lazuli
