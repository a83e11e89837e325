// SPDX-License-Identifier: MIT
// What AMX units load into the tile configuration register. Everything here has internal linkage.
#pragma once

#include <cstdint>

namespace lazuli {
namespace {

// Eight tiles of 16 rows of 64 bytes. A static constant: compilers have taken stores to a configuration on the stack
// for dead.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfiguration tile_configuration;

}  // namespace
}  // namespace lazuli
