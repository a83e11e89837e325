// SPDX-License-Identifier: MIT
// Gemma 4, text: grouped-query attention with query, key and value norms, sliding-window layers between global ones
// with wider heads and partial rotary embedding, GeGLU, tied embedding. E2B and E4B add per-layer embeddings and layers
// that read an earlier layer's keys and values; 26B-A4B adds a mixture of experts beside each MLP.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class GgufFile;

struct Gemma4Layer {
  bool sliding = true;
  std::int64_t head_dim = 0;
  std::int64_t kv_heads = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t kv_source = 0;  // the layer whose keys and values it reads: itself, or the last owner of its kind
};

struct Gemma4Config {
  std::int64_t hidden_size = 0;
  std::int64_t heads = 0;
  std::int64_t vocab_size = 0;
  std::int64_t context_length = 0;
  std::int64_t window = 512;  // of sliding layers, the query itself included
  std::vector<Gemma4Layer> layers;
  bool keys_are_values = false;  // in global layers: values are the keys before their norm and rotation
  double norm_epsilon = 1e-6;
  double rope_base_global = 1e6;
  double rope_base_sliding = 1e4;
  double rope_factor = 1;              // linear scaling of positions, global layers only
  double global_rotary_factor = 0.25;  // share of the pairs that rotate, global layers only
  double final_softcap = 0;            // 0: none
  std::int64_t per_layer_width = 0;    // of per-layer embeddings; 0: none
  std::int64_t per_layer_vocab_size = 0;
  std::int64_t experts = 0;  // 0: no mixture of experts
  std::int64_t experts_per_token = 0;
  std::int64_t expert_size = 0;  // inner width of an expert

  // Throws an Error that names the key.
  static Gemma4Config from_gguf(const GgufFile& file);
  // From the text model's part of a config.json; absent keys have the defaults of transformers' Gemma4TextConfig.
  static Gemma4Config from_json(const nlohmann::json& config);

  // What results depend on beside the sizes of caches and weights.
  std::vector<std::pair<std::string, std::string>> settings() const;
};

}  // namespace lazuli
