// SPDX-License-Identifier: MIT
// Building blocks the model definitions share: weights with an operator() that builds nodes.
#pragma once

#include <lazuli/graph/ops/ops.h>

#include <cmath>
#include <functional>
#include <numbers>

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

// Rows of an embedding table of any dtype, f32.
inline Array look_up(const Array& table, const Array& ids) { return cast(take_rows(table, ids), DType::f32); }

// Rows of the token table, scaled by the square root of their width.
inline Array embed_tokens(const Array& table, const Array& tokens) {
  Scope scope("embed");
  return look_up(table, tokens) * std::sqrt(static_cast<double>(table.size(1)));
}

// Hidden states to logits.
struct LanguageHead {
  Linear projection;
  double cap = 0;  // of the softcap; 0: none

  Array operator()(const Array& hidden) const {
    const Array logits = projection(hidden);
    return cap > 0 ? softcap(logits, cap) : logits;
  }
};

// Per-layer embeddings (Gemma 3n, Gemma 4 E): every layer gets a small vector for each token, half from a table of its
// own, half from the token's embedding.
struct PerLayerInputs {
  Array table;              // [vocab, layers · width]; ids past its end read row 0
  Linear projection;        // [layers · width, hidden]
  RmsNorm projection_norm;  // over width
  std::int64_t layers = 0;

  // (norm(projection(embedded) / √hidden) + table[tokens] · √width) / √2, f32 [T, layers, width].
  Array operator()(const Array& tokens, const Array& embedded) const {
    Scope scope("per_layer_inputs");
    const std::int64_t rows = tokens.size(0), entries = table.size(0), width = table.size(1) / layers;
    const Array ids = select(less(tokens, static_cast<int>(entries)), tokens, 0);
    const Array looked_up = look_up(table, ids) * std::sqrt(static_cast<double>(width));
    const Array projected = projection(embedded) * (1 / std::sqrt(static_cast<double>(embedded.size(-1))));
    const Shape by_layer{rows, layers, width};
    return (projection_norm(reshape(projected, by_layer)) + reshape(looked_up, by_layer)) * (1 / std::numbers::sqrt2);
  }
};

// What a layer makes of its per-layer input: norm(projection(gelu(gate x) · input)).
struct PerLayerUpdate {
  Linear gate, projection;
  RmsNorm norm;

  Array operator()(const Array& x, const Array& input) const {
    Scope scope("per_layer_update");
    return norm(projection(gelu_tanh(gate(x)) * input));
  }
};

// A key or value cache with this step's rows, f32 [T, kv_heads, d], written from `start` on; `ring` where there is a
// window.
inline Array write_cache_rows(const Array& cache, const Array& rows, const Array& start, bool ring) {
  return slice_update(cache, is_quantised(cache.dtype()) ? rows : cast(rows, cache.dtype()), start, 0, ring);
}

// [T, heads · d] seen as [T, heads, d], and back.
inline Array split_heads(const Array& x, std::int64_t heads) { return reshape(x, {x.size(0), heads, -1}); }
inline Array merge_heads(const Array& x) { return reshape(x, {x.size(0), -1}); }

}  // namespace lazuli
