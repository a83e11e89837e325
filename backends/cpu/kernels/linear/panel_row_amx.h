// SPDX-License-Identifier: MIT
// One row of activations times weights, by tile products of one row: little more than unpacking the weights. Private to
// AMX units; everything here has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/intrinsics/tile_configuration_amx.h>
#include <lazuli/backends/cpu/kernels/linear/panel_weights_amx.h>

namespace lazuli {
namespace {

// One row of sums, one row of activations.
constexpr TileConfiguration one_row_configuration{.rows = {1, 1, 16, 16, 16, 16, 16, 16}};

template <class Weights>
__attribute__((noinline)) void multiply_row(const PackedWeightView& weight, const TiledRowsView& x,
                                            std::int64_t group_begin, std::int64_t group_end, float* y) {
  // A tile is loaded a step after it was stored: loads do not see stores that are under way.
  alignas(64) std::uint8_t tiles[2][tile_bytes];
  alignas(64) float sums[packed_group_rows];
  __asm__ volatile("ldtilecfg %0" ::"m"(one_row_configuration));
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    const std::uint8_t* group = weight.data + index * weight.group_bytes;
    const auto multiply = [&](std::int64_t step) {
      _tile_loadd(1, x.tiles + 2 * step * tile_bytes, 64);
      _tile_loadd(2, tiles[step % 2], 64);
      _tile_dpbf16ps(0, 1, 2);
    };
    _tile_zero(0);
    for (std::int64_t step = 0; step < x.steps; ++step) {
      Weights::prefetch(weight, group, step);
      Weights::template unpack<0, units_per_tile>(weight, group, step, tiles[step % 2]);
      __asm__ volatile("" ::: "memory");  // the compiler does not know that tile loads read memory
      if (step > 0) multiply(step - 1);
    }
    if (x.steps > 0) multiply(x.steps - 1);
    _tile_stored(0, sums, 64);
    const std::int64_t output = index * packed_group_rows;
    _mm512_mask_storeu_ps(y + output, mask_of(weight.rows - output), _mm512_load_ps(sums));
  }
  __asm__ volatile("tilerelease");
}

}  // namespace
}  // namespace lazuli
