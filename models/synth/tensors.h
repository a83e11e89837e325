// SPDX-License-Identifier: MIT
// The tensors of a checkpoint of a published architecture: names, shapes, and what their random values look like.
#pragma once

#include <lazuli/graph/types/shape.h>
#include <lazuli/models/synth/architecture.h>
#include <lazuli/models/synth/random_values.h>

#include <string>
#include <vector>

namespace lazuli::synth {

enum class TensorKind : std::uint8_t {
  vector,           // norms, scales
  coefficients,     // AltUp's small matrices
  matrix,           // of a layer
  plain_matrix,     // one that GGUF converters leave unquantised: AltUp, LAuReL, the projection of per-layer inputs
  router,           // of experts
  embedding,        // token table, which is the head as well
  per_layer_table,  // per-layer embeddings
};

// A run of one random stream. A tensor is one piece, but for stacks that other containers keep apart.
struct Piece {
  std::string stream;
  std::int64_t first = 0;
  std::int64_t elements = 0;
  Spread spread;
};

struct Tensor {
  std::string name;  // in its container
  Shape shape;
  TensorKind kind;
  std::int64_t layer;  // -1: of the whole model
  std::vector<Piece> pieces;
};

// In the order of the file. GGUF: AltUp's matrices are stacks, Gemma 3's norms contain the 1 that is added to them, the
// tables have as many rows as there are tokens in the file (gguf_tokens), zeros where the published one has none.
std::vector<Tensor> gguf_tensors(const Architecture& architecture);
std::int64_t gguf_tokens(const Architecture& architecture);

// Hugging Face's names; with `mlx`, MLX's, which keep the gates and ups of experts apart.
std::vector<Tensor> folder_tensors(const Architecture& architecture, bool mlx);

}  // namespace lazuli::synth
