// SPDX-License-Identifier: MIT
// From a DType to its packed format, for units compiled for the baseline.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_entries.h>
#include <lazuli/backends/cpu/kernels/formats/packed_mlx_formats.h>
#include <lazuli/graph/types/block_size.h>

namespace lazuli::packed {

template <DType dtype, Planes planes_>
struct Format : FileBlock<dtype> {
  static constexpr Planes planes = planes_;
  static constexpr int columns = block_elements(dtype);  // of a block of the file
  static constexpr int file_bytes = block_bytes(dtype);
};

// Calls `visitor` with an object of the format of `dtype`; returns false for types without one.
template <class Visitor>
bool visit_format(DType dtype, Visitor visitor) {
  switch (dtype) {
#define LAZULI_PACKED(type, codes, scales, offset) \
  case DType::type:                                \
    visitor(Format<DType::type, type##_planes>{}); \
    return true;
#define LAZULI_PACKED_REAL(type, codes, scales, offset) LAZULI_PACKED(type, codes, scales, offset)
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>
    default:
      return false;
  }
}

// The planes of block `block` of the group that starts at `group`.
template <class Format>
BlockSource block_source(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block, int lane) {
  return {weight, group + block * Format::planes.quant_bytes, group + scale_entry<Format>(weight, block),
          group + super_entry<Format>(weight, block), lane};
}

}  // namespace lazuli::packed
