// SPDX-License-Identifier: MIT
// Gemma 3, text (Gemma 3 technical report, 2025): grouped-query attention with query and key norms, five sliding-window
// layers to one global, norms before and after each block, GeGLU, tied embedding.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class GgufFile;

struct Gemma3Config {
  std::int64_t hidden_size = 0;
  std::int64_t layers = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 256;
  std::int64_t vocab_size = 0;
  std::int64_t context_length = 0;
  std::int64_t window = 512;  // of sliding layers, the query itself included
  std::vector<bool> sliding;  // per layer
  double norm_epsilon = 1e-6;
  double rope_base_global = 1e6;
  double rope_base_sliding = 1e4;
  double rope_factor = 1;           // linear scaling of positions, global layers only
  double attention_scale = 0.0625;  // query_pre_attn_scalar^-0.5
  double final_softcap = 0;         // 0: none
  bool norms_plus_one = false;      // norms multiply by 1 + weight; GGUF's converter adds the 1

  // Keys missing in older files get the published values. Throws an Error that names the key.
  static Gemma3Config from_gguf(const GgufFile& file);
  // From the text model's part of a config.json; the published files of 4B and more leave most keys to their defaults.
  static Gemma3Config from_json(const nlohmann::json& config);

  // What results depend on beside the sizes of caches and weights.
  std::vector<std::pair<std::string, std::string>> settings() const;
};

}  // namespace lazuli
