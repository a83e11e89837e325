// SPDX-License-Identifier: MIT
// Gemma 4's configuration, from GGUF metadata and from config.json.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf_metadata.h>
#include <lazuli/models/gemma/check_numbers.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/models/gemma/model_settings.h>

#include <algorithm>

namespace lazuli {
namespace {

constexpr std::int64_t default_period = 6;  // every sixth layer is global
constexpr std::int64_t period_of_e2b = 5;
constexpr double default_rotary_factor = 0.25;

// The last `shared` layers read the keys and values of the last owner of their kind.
void assign_kv_sources(Gemma4Config& config, std::int64_t shared, const std::string& source) {
  const auto layers = static_cast<std::int64_t>(config.layers.size());
  if (shared >= layers)
    fail("{}: {} of {} layers share keys and values; expected 0 to {}", source, shared, layers, layers - 1);
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    Gemma4Layer& current = config.layers[static_cast<std::size_t>(layer)];
    std::int64_t owner = std::min(layer, layers - shared - 1);
    if (layer != owner)
      while (owner >= 0 && config.layers[static_cast<std::size_t>(owner)].sliding != current.sliding) --owner;
    if (owner < 0)
      fail("{}: layer {} shares keys and values, but none of the first {} layers is {} as it is", source, layer,
           layers - shared, current.sliding ? "sliding" : "global");
    current.kv_source = owner;
  }
}

void check(const Gemma4Config& c, const std::string& source) {
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    const Gemma4Layer& layer = c.layers[i];
    const Gemma4Layer& owner = c.layers[static_cast<std::size_t>(layer.kv_source)];
    if (layer.kv_heads < 1 || c.heads % layer.kv_heads != 0)
      fail("{}: layer {} has {} attention heads for {} key/value heads; expected a multiple", source, i, c.heads,
           layer.kv_heads);
    if (layer.head_dim % 2 != 0)
      fail("{}: the head size of layer {} is {}; expected an even number", source, i, layer.head_dim);
    if (owner.head_dim != layer.head_dim || owner.kv_heads != layer.kv_heads)
      fail("{}: layer {} has {} key/value heads of {} and reads those of layer {}, which has {} of {}", source, i,
           layer.kv_heads, layer.head_dim, layer.kv_source, owner.kv_heads, owner.head_dim);
  }
  require_positive(source, {{"the rope base of global layers", c.rope_base_global},
                            {"the rope base of sliding layers", c.rope_base_sliding},
                            {"the rope factor", c.rope_factor}});
  require_not_negative(source, {{"the norms' epsilon", c.norm_epsilon}, {"the cap of logits", c.final_softcap}});
  if (!(c.global_rotary_factor > 0 && c.global_rotary_factor <= 1))
    fail("{}: the rotary factor of global layers is {}; expected a number above 0, at most 1", source,
         c.global_rotary_factor);
  if (c.experts > 0 && c.experts_per_token > c.experts)
    fail("{}: {} experts for each token; expected at most {}", source, c.experts_per_token, c.experts);
}

// GGUF says which pairs rotate by factors that divide their frequencies: ones, then numbers so large that the rest
// stand still.
double rotary_factor(const GgufFile& file) {
  constexpr float still = 1e20f;
  const GgufTensor* factors = file.find_tensor("rope_freqs.weight");
  if (factors == nullptr) return default_rotary_factor;
  if (factors->dtype != DType::f32 || factors->shape.size() != 1 || factors->shape[0] < 1)
    fail("{}: rope_freqs.weight is {}; expected f32[pairs]", file.name(),
         to_string(Type{factors->dtype, factors->shape}));
  const float* begin = factors->buffer->as<const float>();
  const float* end = begin + factors->shape[0];
  const float* rest = std::find_if(begin, end, [](float factor) { return factor != 1; });
  const float* other = std::find_if(rest, end, [](float factor) { return !(factor >= still); });
  if (other != end)
    fail("{}: rope_freqs.weight holds {} at {}; expected ones, then numbers from {}", file.name(), *other,
         other - begin, still);
  return static_cast<double>(rest - begin) / static_cast<double>(end - begin);
}

// Whether no global layer that owns keys has values: then the keys serve. Where some have them, the others are missing.
bool lacks_global_values(const GgufFile& file, const Gemma4Config& config) {
  bool any_owner = false;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].sliding || config.layers[i].kv_source != static_cast<std::int64_t>(i)) continue;
    if (file.find_shape(fmt::format("blk.{}.attn_v.weight", i)) != nullptr) return false;
    any_owner = true;
  }
  return any_owner;
}

bool is_null(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_null();
}

bool is_absent(const nlohmann::json& json, const char* key) { return !json.contains(key) || is_null(json, key); }

// Head sizes of global layers: in keys of their own, or as what differs in some layers.
void read_layer_heads(const nlohmann::json& json, Gemma4Config& config) {
  if (is_absent(json, "per_layer_config")) {
    const std::int64_t head_dim = json_size(json, "global_head_dim", 512);
    const std::int64_t kv_heads = config.keys_are_values ? json_size(json, "num_global_key_value_heads", 0) : 0;
    for (Gemma4Layer& layer : config.layers) {
      if (layer.sliding) continue;
      layer.head_dim = head_dim;
      if (kv_heads > 0) layer.kv_heads = kv_heads;
    }
    return;
  }
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const auto differing = json.at("per_layer_config").find(std::to_string(i));
    if (differing == json.at("per_layer_config").end()) continue;
    Gemma4Layer& layer = config.layers[i];
    layer.head_dim = json_size(*differing, "head_dim", layer.head_dim);
    layer.kv_heads = json_size(*differing, "num_key_value_heads", layer.kv_heads);
  }
}

}  // namespace

Gemma4Config Gemma4Config::from_gguf(const GgufFile& file) {
  const GgufMetadata metadata(file, "gemma4");
  metadata.check_causal();
  Gemma4Config config;
  const std::int64_t layers = metadata.layers();
  config.hidden_size = metadata.size("embedding_length");
  config.heads = metadata.size("attention.head_count");
  config.vocab_size = metadata.rows_or("token_embd.weight", 262144);
  config.context_length = metadata.size("context_length");
  config.window = metadata.size_or("attention.sliding_window", 512);
  config.norm_epsilon = metadata.number_or("attention.layer_norm_rms_epsilon", 1e-6);
  config.rope_base_global = metadata.number_or("rope.freq_base", 1e6);
  config.rope_base_sliding = metadata.number_or("rope.freq_base_swa", 1e4);
  config.rope_factor = metadata.rope_factor(1);
  config.global_rotary_factor = rotary_factor(file);
  config.final_softcap = metadata.number_or("final_logit_softcapping", 30);
  config.per_layer_width = metadata.size_or("embedding_length_per_layer_input", 0, 0);
  if (config.per_layer_width > 0) config.per_layer_vocab_size = metadata.rows_or("per_layer_token_embd.weight", 262144);
  config.experts = metadata.size_or("expert_count", 0, 0);
  if (config.experts > 0) {
    config.experts_per_token = metadata.size("expert_used_count");
    config.expert_size = metadata.size("expert_feed_forward_length");
  }

  // The last layer is global, so the period divides the number of layers.
  const bool fits_e2b = layers % default_period != 0 && layers % period_of_e2b == 0;
  const std::vector<bool> sliding = metadata.sliding_layers(layers, fits_e2b ? period_of_e2b : default_period);
  const auto kv_heads = metadata.sizes("attention.head_count_kv", layers);
  const auto intermediate = metadata.sizes("feed_forward_length", layers);
  const std::int64_t global_head_dim = metadata.size_or("attention.key_length", 512),
                     head_dim = metadata.size_or("attention.key_length_swa", 256);
  for (std::size_t i = 0; i < sliding.size(); ++i)
    config.layers.push_back(
        {sliding[i], sliding[i] ? head_dim : global_head_dim, kv_heads[i], intermediate[i], /*kv_source=*/0});
  assign_kv_sources(config, metadata.size_or("attention.shared_kv_layers", 0, 0), file.name());
  config.keys_are_values = lacks_global_values(file, config);
  check(config, file.name());
  return config;
}

Gemma4Config Gemma4Config::from_json(const nlohmann::json& json) {
  const std::string source = "config.json";
  json_check_causal(json);
  Gemma4Config config;
  config.hidden_size = json_size(json, "hidden_size", 2304);
  config.heads = json_size(json, "num_attention_heads", 8);
  config.vocab_size = json_size(json, "vocab_size", 262144);
  config.context_length = json_size(json, "max_position_embeddings", 131072);
  config.window = json_size(json, "sliding_window", 512);
  config.norm_epsilon = json_number(json, "rms_norm_eps", 1e-6);
  config.final_softcap = json_number(json, "final_logit_softcapping", 0);
  config.keys_are_values = json_flag(json, "attention_k_eq_v", false);
  // A null is a model without per-layer embeddings; files that do not say have them.
  config.per_layer_width =
      is_null(json, "hidden_size_per_layer_input") ? 0 : json_size(json, "hidden_size_per_layer_input", 256, 0);
  config.per_layer_vocab_size = json_size(json, "vocab_size_per_layer_input", 262144);
  if (json_flag(json, "enable_moe_block", false)) {
    config.experts = json_size(json, "num_experts", 128);
    config.experts_per_token = json_size(json, "top_k_experts", 8);
    config.expert_size = json_size(json, "moe_intermediate_size", 704);
  }
  const RopeConfig global = json_rope(json, /*sliding=*/false, 1e6);
  config.rope_base_global = global.base;
  config.rope_factor = global.factor;
  config.rope_base_sliding = json_rope(json, /*sliding=*/true, 1e4).base;
  config.global_rotary_factor =
      is_absent(json, "rope_parameters") ? default_rotary_factor : global.partial_rotary_factor;

  const std::int64_t layers = json_layers(json, 30);
  std::vector<bool> sliding = json_sliding_layers(json, layers, default_period);
  sliding.back() = false;  // whatever the file says, the published classes end with a global layer
  const Gemma4Layer same{true, json_size(json, "head_dim", 256), json_size(json, "num_key_value_heads", 4),
                         json_size(json, "intermediate_size", 9216), 0};
  config.layers.assign(static_cast<std::size_t>(layers), same);
  for (std::size_t i = 0; i < config.layers.size(); ++i) config.layers[i].sliding = sliding[i];
  read_layer_heads(json, config);
  const std::int64_t shared = json_size(json, "num_kv_shared_layers", 0, 0);
  assign_kv_sources(config, shared, source);
  if (json_flag(json, "use_double_wide_mlp", false))
    for (std::int64_t layer = layers - shared; layer < layers; ++layer)
      config.layers[static_cast<std::size_t>(layer)].intermediate_size *= 2;
  check(config, source);
  return config;
}

std::vector<std::pair<std::string, std::string>> Gemma4Config::settings() const {
  std::vector<bool> sliding;
  std::vector<std::int64_t> sources;
  for (const Gemma4Layer& layer : layers) {
    sliding.push_back(layer.sliding);
    sources.push_back(layer.kv_source);
  }
  ModelSettings settings;
  settings.add("rope_base_global", rope_base_global).add("rope_base_sliding", rope_base_sliding);
  settings.add("rope_factor_global", rope_factor).add("rotary_factor_global", global_rotary_factor);
  settings.add("norm_epsilon", norm_epsilon).add("final_softcap", final_softcap).add("heads", heads);
  settings.add("window", window).add_global_layers(sliding).add_layers("kv_source", sources);
  settings.add("keys_are_values", keys_are_values).add("per_layer_width", per_layer_width);
  settings.add("experts_per_token", experts_per_token);
  return std::move(settings).list();
}

}  // namespace lazuli
