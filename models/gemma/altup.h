// SPDX-License-Identifier: MIT
// Alternating updates (Baykal et al. 2023, "Alternating Updates for Efficient Transformers") as Gemma 3n uses them: the
// hidden state has P planes, of which one, the active plane, goes through each layer. The others are predicted from all
// planes before it, and corrected by what the layer added; the coefficients of both depend on the token.
#pragma once

#include <lazuli/models/gemma/layers.h>
#include <lazuli/models/model_options.h>

#include <vector>

namespace lazuli {

// All planes of T tokens, in one of the two forms.
struct AltupPlanes {
  Array active;              // [T, H]
  Array stacked;             // [P, T, H]; empty in the split form
  std::vector<Array> split;  // P of [T, H]; empty in the stacked form

  static AltupPlanes from_stack(Array stacked, std::int64_t active);
  static AltupPlanes from_parts(std::vector<Array> parts, std::int64_t active);

  bool is_stacked() const { return stacked.defined(); }
  std::vector<Array> parts() const;  // P of [T, H]
};

// One layer's share: its router and its coefficients.
struct Altup {
  std::int64_t active = 0;
  RmsNorm router_norm;
  Linear router;                  // [P, H]
  Linear prediction, correction;  // [P·P, P] and [P, P], clipped

  // x_j + Σ_i c_ji x_i, c = P · router(x_active); c_ji is entry P j + i.
  AltupPlanes predict(const AltupPlanes& planes) const;
  // p_j + (c_j + 1) (activated − p_active), c = C · router(activated).
  AltupPlanes correct(const AltupPlanes& predicted, const Array& activated) const;
  // Adds `update` [T, H] to all planes but the first.
  AltupPlanes add_behind_first(const AltupPlanes& planes, const Array& update) const;

 private:
  // tanh(router(norm(x) / H)), [T, P]
  Array modalities(const Array& x) const;
};

// From the token embedding to the planes, and back. Every plane but the first is a projection brought to the first
// one's magnitude: its root mean square over H.
struct AltupEmbedding {
  AltupForm form = AltupForm::stacked;
  std::int64_t active = 0;
  std::vector<Linear> expansions, contractions;  // [H, H], of planes 1 … P − 1

  AltupPlanes expand(const Array& embedded) const;
  Array contract(const AltupPlanes& planes) const;  // the mean of the planes, [T, H]
};

// Coefficients limited to ± limit, which may be infinite.
Linear clipped(const Array& coefficients, double limit);

}  // namespace lazuli
