// Building blocks the model definitions share: weights with an operator() that builds nodes.
#pragma once

#include <lazuli/graph/ops.h>

#include <functional>

namespace lazuli {

// x Wᵀ, no bias.
struct Linear {
  Array weight;  // [out, in]

  Array operator()(const Array& x) const { return linear(x, weight); }
};

struct RmsNorm {
  Array weight;  // [width], as it multiplies
  double epsilon = 1e-6;

  Array operator()(const Array& x) const { return rms_norm(x, weight, epsilon); }
};

// Gated feed-forward with GELU: down(gelu(gate x) · up x), Shazeer 2020 (GeGLU).
struct GatedMlp {
  Linear gate, up, down;

  Array operator()(const Array& x) const { return down(gelu_tanh(gate(x)) * up(x)); }
};

// [T, heads · d] seen as [T, heads, d], and back.
inline Array split_heads(const Array& x, std::int64_t heads) { return reshape(x, {x.size(0), heads, -1}); }
inline Array merge_heads(const Array& x) { return reshape(x, {x.size(0), -1}); }

}  // namespace lazuli
