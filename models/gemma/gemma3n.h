// SPDX-License-Identifier: MIT
// Gemma 3n, text: AltUp planes, one of which goes through each layer; LAuReL beside attention (Menghani et al. 2024,
// "LAuReL: Learned Augmented Residual Layer"); per-layer embeddings; sparse activations in the first layers; and late
// layers that read the keys and values of earlier ones.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class GgufFile;

struct Gemma3nConfig {
  // The gate keeps what lies this many standard deviations above its mean; `dense` keeps everything.
  static constexpr double dense = -std::numeric_limits<double>::infinity();

  std::int64_t hidden_size = 2048;
  std::int64_t layers = 35;
  std::int64_t heads = 8;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 256;
  std::int64_t vocab_size = 262400;
  std::int64_t vocab_size_per_layer = 262144;  // rows of the per-layer table; later ids read row 0
  std::int64_t per_layer_size = 256;           // width of a layer's input embedding
  std::int64_t context_length = 32768;
  std::int64_t window = 512;           // of sliding layers, the query itself included
  std::int64_t shared_kv_layers = 15;  // the last ones, which read an earlier layer's keys and values
  std::int64_t laurel_rank = 64;
  std::int64_t altup_planes = 4;
  std::int64_t altup_active = 0;
  double altup_coefficient_limit = 120;
  bool altup_correct_scale = true;
  double norm_epsilon = 1e-6;
  double rope_base_global = 1e6;
  double rope_base_sliding = 1e4;
  double rope_factor_global = 1;  // linear scaling: positions are divided by it
  double final_softcap = 30;      // 0: none
  // One value a layer.
  std::vector<bool> sliding;
  std::vector<std::int64_t> intermediate_size;
  std::vector<double> sparsity_cutoff;

  // Keys missing in files of other converters get the published values. Throws an Error that names the key.
  static Gemma3nConfig from_gguf(const GgufFile& file);
  // `text_config`: the key of config.json, or all of a text-only config.json. Throws an Error that names the key.
  static Gemma3nConfig from_json(const nlohmann::json& text_config);

  // What results depend on beside the sizes of caches and weights.
  std::vector<std::pair<std::string, std::string>> settings() const;

  std::int64_t owner_layers() const { return layers - shared_kv_layers; }  // which have keys and values of their own
  // The layer whose keys and values this one reads: itself, or the last owner of its kind.
  std::int64_t kv_layer(std::int64_t layer) const;
};

}  // namespace lazuli
