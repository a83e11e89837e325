// From a DType to its packed format, for units compiled for the baseline.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_entries.h>
#include <lazuli/backends/cpu/kernels/formats/packed_mlx_formats.h>
#include <lazuli/graph/types/dtype.h>

namespace lazuli::packed {

// Calls `visitor` with an object of the format of `dtype`; returns false for types without one.
template <class Visitor>
bool visit_format(DType dtype, Visitor visitor) {
  switch (dtype) {
    case DType::q4_0:
      visitor(Q4_0{});
      return true;
    case DType::q4_1:
      visitor(Q4_1{});
      return true;
    case DType::q5_0:
      visitor(Q5_0{});
      return true;
    case DType::q5_1:
      visitor(Q5_1{});
      return true;
    case DType::q8_0:
      visitor(Q8_0{});
      return true;
    case DType::q4_k:
      visitor(Q4_K{});
      return true;
    case DType::q5_k:
      visitor(Q5_K{});
      return true;
    case DType::q6_k:
      visitor(Q6_K{});
      return true;
    case DType::mxfp4:
      visitor(Mxfp4{});
      return true;
    case DType::nvfp4:
      visitor(Nvfp4{});
      return true;
    case DType::mxfp8:
      visitor(Mxfp8{});
      return true;
    case DType::e2m1_16:
      visitor(E2m1{});
      return true;
#define LAZULI_AFFINE(name, bits, group) \
  case DType::name:                      \
    visitor(Affine<bits, group>{});      \
    return true;
#include <lazuli/graph/types/affine.def>
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
