// SPDX-License-Identifier: MIT
// Sizes of published checkpoints, for writing files of their size (synth.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lazuli::synth {

enum class Family : std::uint8_t {
#define LAZULI_MODEL(name) name,
#include <lazuli/models/models.def>
#undef LAZULI_MODEL
};

// Sizes as a published config.json states them; what a family does not have is 0.
struct Architecture {
  std::string name;  // "gemma3n-e2b"
  Family family;
  bool multimodal;  // config.json keeps the text model's keys in text_config
  std::int64_t hidden_size;
  std::int64_t layers;
  std::int64_t intermediate_size;
  std::int64_t heads, kv_heads, head_dim;
  std::int64_t period;       // every period-th layer is global
  bool ends_global = false;  // the last layer is global whatever the period
  std::int64_t window;
  std::int64_t context_length;
  std::int64_t vocab_size;            // rows of the token table
  std::int64_t tokens = 262144;       // of the tokenizer; rows behind them are for images and sound
  std::int64_t shared_kv_layers = 0;  // the last ones
  std::int64_t per_layer_width = 0;   // of per-layer embeddings, whose table has a row for each token
  std::int64_t rope_factor = 1;       // Gemma 3: linear scaling in global layers
  std::int64_t sparse_layers = 0;     // Gemma 3n: the first ones
  std::int64_t laurel_rank = 0;       // Gemma 3n
  std::int64_t global_kv_heads = 0;   // Gemma 4: of global layers, whose values are their keys; 0: as in the others
  std::int64_t global_head_dim = 0;   // Gemma 4
  bool double_wide_mlp = false;       // Gemma 4: in layers that share keys and values
  std::int64_t experts = 0, experts_per_token = 0, expert_size = 0;  // Gemma 4

  bool is_sliding(std::int64_t layer) const {
    return (layer + 1) % period != 0 && !(ends_global && layer + 1 == layers);
  }
  std::int64_t owner_layers() const { return layers - shared_kv_layers; }  // with keys and values of their own
  std::int64_t head_dim_of(std::int64_t layer) const {
    return global_head_dim > 0 && !is_sliding(layer) ? global_head_dim : head_dim;
  }
  std::int64_t kv_heads_of(std::int64_t layer) const { return keys_are_values(layer) ? global_kv_heads : kv_heads; }
  bool keys_are_values(std::int64_t layer) const { return global_kv_heads > 0 && !is_sliding(layer); }
  std::int64_t intermediate_size_of(std::int64_t layer) const {
    return intermediate_size * (double_wide_mlp && layer >= owner_layers() ? 2 : 1);
  }
};

std::span<const Architecture> published_architectures();

// Throws an Error that lists the names.
const Architecture& find_architecture(std::string_view name);

// The same with `layers` layers: pattern kept; as many of them share keys and values, or are sparse, as before in
// proportion, but no more than find an owner of their kind in front. Throws an Error unless 1 <= layers <= those
// published.
Architecture shortened(Architecture architecture, std::int64_t layers);

}  // namespace lazuli::synth
