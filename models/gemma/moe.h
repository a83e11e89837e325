// SPDX-License-Identifier: MIT
// A mixture of experts with GeGLU experts, as Gemma 4 26B-A4B has one beside each dense MLP: a router picks a few
// experts for every token (Shazeer et al. 2017) and their results are summed with its weights.
#pragma once

#include <lazuli/models/gemma/layers.h>

#include <optional>

namespace lazuli {

// What a token is routed to.
struct Routing {
  Array experts;  // i32 [T, k]
  Array weights;  // f32 [T, k]
};

struct Router {
  RmsNorm norm;   // its weight is the router's scale · hidden^-0.5
  Linear logits;  // [experts, hidden]
  Array
      per_expert_scale;  // [experts]; multiplies after the weights have been normalised, so that they need not sum to 1
  std::int64_t chosen = 0;

  // The `chosen` largest logits of each row of x [T, hidden], and the softmax of those alone.
  Routing operator()(const Array& x) const;
};

struct Experts {
  // [experts, 2 · width, hidden], gate rows first; or gate and up [experts, width, hidden] each.
  std::optional<Array> gate_up;
  Array gate, up;
  Array down;  // [experts, hidden, width]

  // Σ_j weight_j · expert_j(x), [T, hidden].
  Array operator()(const Array& x, const Routing& routing) const;
};

}  // namespace lazuli
