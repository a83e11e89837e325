// SPDX-License-Identifier: MIT
// How wide the scales of a packed weight must be. Block types of checkpoints in several arrays (affine, e2m1_16) hold
// every scale as f32, whatever it was in the checkpoint; most were shorter, and packed they are again where that loses
// nothing:
//   affine   bf16, where every scale and bias is a bf16 value
//   e2m1_16  ue5m3 (the upper bits of an f16 without its sign) times one factor, where some factor gives every scale
// Everything else keeps f32.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli {

struct ScaleForm {
  int width = 4;  // bytes of a scale
  float factor = 1;
};

// The short form that the first scales of a weight fit, or else f32. `blocks` need not be aligned; `elements` are all
// the weight's.
ScaleForm propose_scale_form(DType dtype, const std::byte* blocks, std::int64_t elements);

// Whether all scales of these blocks have the form without loss. Any part of a weight may be asked about.
bool scales_fit(ScaleForm form, DType dtype, const std::byte* blocks, std::int64_t elements);

}  // namespace lazuli
