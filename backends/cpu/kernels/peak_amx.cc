// SPDX-License-Identifier: MIT
// Peak loops, AMX: six tiles of sums, two of operands. Operands are not zero: what the unit does then costs less power,
// and a clock nobody sees in work.
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/intrinsics/tile_configuration_amx.h>
#include <lazuli/backends/cpu/kernels/peak_loops.h>

namespace lazuli {
namespace {

void start(std::uint32_t word) {
  __asm__ volatile("ldtilecfg %0" ::"m"(tile_configuration));
  alignas(64) std::uint32_t tile[256];
  for (std::uint32_t& each : tile) each = word;
  __asm__ volatile("" ::"r"(tile) : "memory");  // GCC 12 does not see that tile loads read memory
  _tile_loadd(6, tile, 64);
  _tile_loadd(7, tile, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
}

void finish() { __asm__ volatile("tilerelease"); }

}  // namespace

void peak_bf16_amx(std::int64_t rounds) {
  start(0x3fc0bfa0);  // 1.5 and -1.25
  for (std::int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  finish();
}

void peak_int8_amx(std::int64_t rounds) {
  start(0x35d3a51b);
  for (std::int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 6, 7);
    _tile_dpbusd(1, 6, 7);
    _tile_dpbusd(2, 6, 7);
    _tile_dpbusd(3, 6, 7);
    _tile_dpbusd(4, 6, 7);
    _tile_dpbusd(5, 6, 7);
  }
  finish();
}

}  // namespace lazuli
