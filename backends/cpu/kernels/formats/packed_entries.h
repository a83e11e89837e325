// SPDX-License-Identifier: MIT
// Where in a packed group a block's scales lie. For units of every instruction set: all of it has internal linkage.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/kernels/formats/packed_planes.h>

namespace lazuli::packed {
namespace {

// The byte of the group at which the scales of block `block` begin.
template <class Format>
inline __attribute__((always_inline)) std::int64_t scale_entry(const PackedWeightView& weight, std::int64_t block) {
  constexpr Planes planes = Format::planes;
  if constexpr (!planes.wide_scales) return weight.scales_offset + block * planes.scale_bytes;
  return weight.scales_offset + (block >> weight.scale_shift) * (planes.scale_bytes * weight.scale_width);
}

// The same of the scales of its super-block.
template <class Format>
inline __attribute__((always_inline)) std::int64_t super_entry(const PackedWeightView& weight, std::int64_t block) {
  return weight.super_offset + block / (packed_super_columns / packed_block_columns) * Format::planes.super_bytes;
}

}  // namespace
}  // namespace lazuli::packed
