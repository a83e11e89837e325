// SPDX-License-Identifier: MIT
// Gemma 3's configuration, from GGUF metadata and from config.json.
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf_metadata.h>
#include <lazuli/models/gemma/check_numbers.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/model_settings.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace lazuli {
namespace {

constexpr std::int64_t default_period = 6;  // every sixth layer is global

// 4B, 12B and 27B, all of which scale the global layers' positions; some converters leave that out.
constexpr std::int64_t layers_of_27b = 62;
constexpr std::int64_t layers_of_scaled[] = {34, 48, layers_of_27b};
constexpr double published_rope_factor = 8;

void check(const Gemma3Config& c, const std::string& source) {
  if (c.heads % c.kv_heads != 0)
    fail("{}: {} attention heads for {} key/value heads; expected a multiple", source, c.heads, c.kv_heads);
  if (c.head_dim % 2 != 0) fail("{}: the head size is {}; expected an even number", source, c.head_dim);
  require_positive(source, {{"the rope base of global layers", c.rope_base_global},
                            {"the rope base of sliding layers", c.rope_base_sliding},
                            {"the rope factor", c.rope_factor},
                            {"the scale of attention", c.attention_scale}});
  require_not_negative(source, {{"the norms' epsilon", c.norm_epsilon}, {"the cap of logits", c.final_softcap}});
}

}  // namespace

Gemma3Config Gemma3Config::from_gguf(const GgufFile& file) {
  const GgufMetadata metadata(file, "gemma3");
  metadata.check_causal();
  Gemma3Config config;
  config.hidden_size = metadata.size("embedding_length");
  config.layers = metadata.layers();
  config.intermediate_size = metadata.size("feed_forward_length");
  config.heads = metadata.size("attention.head_count");
  config.kv_heads = metadata.size("attention.head_count_kv");
  config.head_dim = metadata.size_or("attention.key_length", 256);
  config.vocab_size = metadata.rows_or("token_embd.weight", 262144);
  config.context_length = metadata.size("context_length");
  config.norm_epsilon = metadata.number_or("attention.layer_norm_rms_epsilon", 1e-6);
  config.window = metadata.size_or("attention.sliding_window", 512);
  config.sliding = metadata.sliding_layers(config.layers, default_period);
  config.rope_base_global = metadata.number_or("rope.freq_base", 1e6);
  config.rope_base_sliding = metadata.number_or("rope.freq_base_swa", 1e4);
  const bool scaled = std::ranges::find(layers_of_scaled, config.layers) != std::end(layers_of_scaled);
  config.rope_factor = metadata.rope_factor(scaled ? published_rope_factor : 1);
  config.final_softcap = metadata.number_or("final_logit_softcapping", 0);
  // 27B scales by its width per head, not by the head size (query_pre_attn_scalar is not stored in GGUF).
  config.attention_scale = 1 / std::sqrt(config.layers == layers_of_27b ? static_cast<double>(config.hidden_size) /
                                                                              static_cast<double>(config.heads)
                                                                        : static_cast<double>(config.head_dim));
  check(config, file.name());
  return config;
}

Gemma3Config Gemma3Config::from_json(const nlohmann::json& json) {
  json_check_causal(json);
  Gemma3Config config;
  config.hidden_size = json_size(json, "hidden_size", 2304);
  config.layers = json_layers(json, 26);
  config.intermediate_size = json_size(json, "intermediate_size", 9216);
  config.heads = json_size(json, "num_attention_heads", 8);
  config.kv_heads = json_size(json, "num_key_value_heads", 4);
  config.head_dim = json_size(json, "head_dim", 256);
  config.vocab_size = json_size(json, "vocab_size", 262208);
  config.context_length = json_size(json, "max_position_embeddings", 131072);
  config.norm_epsilon = json_number(json, "rms_norm_eps", 1e-6);
  config.window = json_size(json, "sliding_window", 4096);
  config.sliding = json_sliding_layers(json, config.layers, default_period);
  const RopeConfig global = json_rope(json, false, 1e6);
  config.rope_base_global = global.base;
  config.rope_factor = global.factor;
  config.rope_base_sliding = json_rope(json, true, 1e4).base;
  config.attention_scale = 1 / std::sqrt(json_number(json, "query_pre_attn_scalar", 256));
  config.final_softcap = json_number(json, "final_logit_softcapping", 0);
  config.norms_plus_one = true;
  check(config, "config.json");
  return config;
}

std::vector<std::pair<std::string, std::string>> Gemma3Config::settings() const {
  ModelSettings settings;
  settings.add("rope_base_global", rope_base_global).add("rope_base_sliding", rope_base_sliding);
  settings.add("rope_factor_global", rope_factor).add("norm_epsilon", norm_epsilon);
  settings.add("attention_scale", attention_scale).add("final_softcap", final_softcap).add("heads", heads);
  settings.add("window", window).add_global_layers(sliding);
  return std::move(settings).list();
}

}  // namespace lazuli
