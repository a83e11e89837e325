// SPDX-License-Identifier: MIT
// Attention over whole batches, and the position encodings other models than Gemma use. Functions of ops.h's ops: what
// a backend runs is what fusion makes of them. Op::attention (ops.h) is the one with a key/value cache.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>

#include <optional>
#include <vector>

namespace lazuli {

// softmax(scale q kᵀ + …) v, Vaswani et al. 2017, and what later models put into it.
struct LAZULI_API AttentionOptions {
  std::optional<double> scale;  // none: 1 / sqrt(d)
  // Query i sees the keys j <= i + S - T: the last query sees them all.
  bool causal = false;
  // Broadcast to [B, N, T, S]. bool: true where a query sees a key; of q's dtype: added to the scores. With `causal`
  // both apply. Empty: none. A query that sees nothing has a result of zeros.
  Array mask;
  // [N]: adds slope (j - (i + S - T)), Press et al. 2021 (ALiBi). Empty: none.
  Array alibi_slopes;
  double softcap = 0;  // c tanh(scores / c) before the mask (Gemma 2); 0: none
  // [N]: a score of each head that takes part in the softmax and whose value is zero (gpt-oss). Empty: none.
  Array sinks;
};

// q [B, N, T, d], k [B, M, S, d], v [B, M, S, e] of one real dtype, N a multiple of M: N / M heads of queries share one
// of keys and values. Result [B, N, T, e]. Throws an Error for other shapes.
LAZULI_API Array scaled_dot_product_attention(const Array& q, const Array& k, const Array& v,
                                              const AttentionOptions& options = {});

// Rotary embeddings whose pairs are neighbours, (2j, 2j + 1), as in the paper (Su et al. 2021) and in GPT-J; rope
// (ops.h) turns (j, j + d/2). x [T, heads, d], positions i32 [T]; of the attributes `rotated_pairs` counts pairs from
// the first on.
LAZULI_API Array rope_interleaved(const Array& x, const Array& positions, const RopeAttrs& attrs = {});

// Rotary embeddings of several positions a token, such as time, height and width (Qwen2-VL, Wang et al. 2024): x
// [T, heads, d], positions i32 [P, T]. Pair j turns by the position whose section it is in; `sections` are their
// lengths in order, d/2 in all, section i by positions[i mod P]. Pairs are (j, j + d/2).
LAZULI_API Array rope_sections(const Array& x, const Array& positions, const std::vector<std::int64_t>& sections,
                               const RopeAttrs& attrs = {});

}  // namespace lazuli
