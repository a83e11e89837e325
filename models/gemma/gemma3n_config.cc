// SPDX-License-Identifier: MIT
// Gemma 3n's configuration, from GGUF metadata and from config.json.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf_metadata.h>
#include <lazuli/models/gemma/check_numbers.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/model_settings.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lazuli {
namespace {

constexpr std::int64_t default_period = 5;          // every fifth layer is global
constexpr std::int64_t default_sparse_layers = 10;  // the first ones, in models of more layers
constexpr double default_sparsity = 0.95;
constexpr std::int64_t published_owner_layers = 20;

// Φ⁻¹: where the standard normal distribution function reaches `probability`, by Newton's method. From 0 the iterates
// approach the root from one side, since Φ bends one way on each side of 0.
double normal_quantile(double probability) {
  constexpr int max_steps = 200;
  double x = 0;
  for (int step = 0; step < max_steps; ++step) {
    const double value = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    const double slope = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    const double next = x - (value - probability) / slope;
    if (std::abs(next - x) <= 1e-15 * std::abs(next)) return next;
    x = next;
  }
  return x;
}

// The cutoff that a share `sparsity` of normally distributed gates stays below.
double cutoff_of(double sparsity) { return sparsity > 0 ? normal_quantile(sparsity) : Gemma3nConfig::dense; }

std::vector<double> default_cutoffs(std::int64_t layers) {
  std::vector<double> cutoffs(static_cast<std::size_t>(layers), Gemma3nConfig::dense);
  if (layers > default_sparse_layers) std::fill_n(cutoffs.begin(), default_sparse_layers, cutoff_of(default_sparsity));
  return cutoffs;
}

void check(const Gemma3nConfig& c, const std::string& source) {
  if (c.heads % c.kv_heads != 0)
    fail("{}: {} attention heads for {} key/value heads; expected a multiple", source, c.heads, c.kv_heads);
  if (c.head_dim % 2 != 0) fail("{}: the head size is {}; expected an even number", source, c.head_dim);
  if (c.altup_planes < 2 || c.altup_active < 0 || c.altup_active >= c.altup_planes)
    fail("{}: AltUp plane {} of {} is the active one; expected at least 2 planes and one of them", source,
         c.altup_active, c.altup_planes);
  require_positive(source, {{"the rope base of global layers", c.rope_base_global},
                            {"the rope base of sliding layers", c.rope_base_sliding},
                            {"the rope factor", c.rope_factor_global}});
  require_not_negative(source, {{"the norms' epsilon", c.norm_epsilon}, {"the cap of logits", c.final_softcap}});
  for (const double cutoff : c.sparsity_cutoff)
    if (std::isnan(cutoff)) fail_file("{}: a cutoff of sparse activations is {}; expected a number", source, cutoff);
  if (!(c.altup_coefficient_limit > 0))
    fail("{}: altup_coef_clip is {}; expected a positive number", source, c.altup_coefficient_limit);
  if (c.shared_kv_layers < 0 || c.shared_kv_layers >= c.layers)
    fail("{}: {} of {} layers share keys and values; expected 0 to {}", source, c.shared_kv_layers, c.layers,
         c.layers - 1);
  for (std::int64_t layer = c.owner_layers(); layer < c.layers; ++layer)
    if (c.kv_layer(layer) < 0)
      fail("{}: layer {} shares keys and values, but none of the first {} layers is {} as it is", source, layer,
           c.owner_layers(), c.sliding[static_cast<std::size_t>(layer)] ? "sliding" : "global");
}

// For those that read a value by its key. Lists and objects are refused here: copying them recurses as deep as they
// nest.
nlohmann::json as_value_of(const char* key, const nlohmann::json& element) {
  if (element.is_structured())
    fail("config.json: {} holds {}, expected a number for each layer", key, json_text(element));
  nlohmann::json object = nlohmann::json::object();
  object[key] = element;
  return object;
}

// A number for all layers, or a list of one for each.
std::vector<std::int64_t> json_sizes(const nlohmann::json& config, const char* key, std::int64_t otherwise,
                                     std::int64_t layers) {
  const auto count = static_cast<std::size_t>(layers);
  const auto found = config.find(key);
  if (found == config.end() || !found->is_array())
    return std::vector<std::int64_t>(count, json_size(config, key, otherwise));
  if (found->size() != count)
    fail("config.json: {} has {} elements; expected one for each of {} layers", key, found->size(), layers);
  std::vector<std::int64_t> sizes;
  for (const nlohmann::json& element : *found) sizes.push_back(json_size(as_value_of(key, element), key, otherwise));
  return sizes;
}

std::vector<double> json_cutoffs(const nlohmann::json& config, std::int64_t layers) {
  constexpr const char* key = "activation_sparsity_pattern";
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return default_cutoffs(layers);
  if (!found->is_array() || found->size() != static_cast<std::size_t>(layers))
    fail("config.json: {} is {}; expected a list of {} numbers", key,
         found->is_array() ? fmt::format("a list of {}", found->size()) : found->type_name(), layers);
  std::vector<double> cutoffs;
  for (const nlohmann::json& element : *found) {
    const double sparsity = json_number(as_value_of(key, element), key, 0);
    if (sparsity < 0 || sparsity >= 1) fail("config.json: {} holds {}; expected values in [0, 1)", key, sparsity);
    cutoffs.push_back(cutoff_of(sparsity));
  }
  return cutoffs;
}

}  // namespace

std::int64_t Gemma3nConfig::kv_layer(std::int64_t layer) const {
  if (layer < owner_layers()) return layer;
  std::int64_t owner = owner_layers() - 1;
  while (owner >= 0 && sliding[static_cast<std::size_t>(owner)] != sliding[static_cast<std::size_t>(layer)]) --owner;
  return owner;
}

Gemma3nConfig Gemma3nConfig::from_gguf(const GgufFile& file) {
  const GgufMetadata metadata(file, "gemma3n");
  metadata.check_causal();
  Gemma3nConfig config;
  config.hidden_size = metadata.size("embedding_length");
  config.layers = metadata.layers();
  config.heads = metadata.size("attention.head_count");
  config.kv_heads = metadata.size("attention.head_count_kv");
  config.head_dim = metadata.size_or("attention.key_length", metadata.size_or("head_dim", 256));
  config.vocab_size = metadata.rows_or("token_embd.weight", config.vocab_size);
  config.vocab_size_per_layer = metadata.rows_or("per_layer_token_embd.weight", config.vocab_size_per_layer);
  config.per_layer_size = metadata.size_or("embedding_length_per_layer_input", 256);
  config.context_length = metadata.size("context_length");
  config.window = metadata.size_or("attention.sliding_window", 512);
  // Some converters do not say how many layers share: all published sizes have 20 that do not.
  config.shared_kv_layers = metadata.size_or("attention.shared_kv_layers",
                                             std::max<std::int64_t>(config.layers - published_owner_layers, 0), 0);
  config.laurel_rank = metadata.rows_or("blk.0.laurel_l.weight", config.laurel_rank);
  config.altup_planes = metadata.size_or("altup.num_inputs", 4);
  config.altup_active = metadata.size_or("altup.active_idx", 0, 0);
  config.altup_correct_scale = file.get_or<bool>(metadata.key("altup.correct_scale"), true);
  config.norm_epsilon = metadata.number_or("attention.layer_norm_rms_epsilon", 1e-6);
  config.rope_base_global = metadata.number_or("rope.freq_base", 1e6);
  config.rope_base_sliding = metadata.number_or("rope.freq_base_swa", metadata.number_or("rope.freq_base_local", 1e4));
  config.rope_factor_global = metadata.rope_factor(1);
  config.final_softcap = metadata.number_or("final_logit_softcapping", 30);
  config.sliding = metadata.sliding_layers(config.layers, default_period);
  config.intermediate_size = metadata.sizes("feed_forward_length", config.layers);
  config.sparsity_cutoff =
      metadata.has("activation_sparsity_scale")
          ? file.get_each<double>(metadata.key("activation_sparsity_scale"), static_cast<std::size_t>(config.layers))
          : default_cutoffs(config.layers);
  check(config, file.name());
  return config;
}

Gemma3nConfig Gemma3nConfig::from_json(const nlohmann::json& json) {
  json_check_causal(json);
  Gemma3nConfig config;
  auto read = [&](std::int64_t& field, const char* key, std::int64_t least = 1) {
    field = json_size(json, key, field, least);
  };
  read(config.hidden_size, "hidden_size");
  config.layers = json_layers(json, config.layers);
  read(config.heads, "num_attention_heads");
  read(config.kv_heads, "num_key_value_heads");
  read(config.head_dim, "head_dim");
  read(config.vocab_size, "vocab_size");
  read(config.vocab_size_per_layer, "vocab_size_per_layer_input");
  read(config.per_layer_size, "hidden_size_per_layer_input");
  read(config.context_length, "max_position_embeddings");
  read(config.window, "sliding_window");
  read(config.shared_kv_layers, "num_kv_shared_layers", 0);
  read(config.laurel_rank, "laurel_rank");
  read(config.altup_planes, "altup_num_inputs");
  read(config.altup_active, "altup_active_idx", 0);
  // Null: the coefficients are not limited.
  const auto limit = json.find("altup_coef_clip");
  config.altup_coefficient_limit = limit != json.end() && limit->is_null() ? std::numeric_limits<double>::infinity()
                                                                           : json_number(json, "altup_coef_clip", 120);
  config.altup_correct_scale = json_flag(json, "altup_correct_scale", true);
  config.norm_epsilon = json_number(json, "rms_norm_eps", 1e-6);
  const RopeConfig global = json_rope(json, /*sliding=*/false, 1e6);
  config.rope_base_global = global.base;
  config.rope_factor_global = global.factor;
  config.rope_base_sliding = json_rope(json, /*sliding=*/true, 1e4).base;
  // Null: none.
  const auto cap = json.find("final_logit_softcapping");
  config.final_softcap = cap != json.end() && cap->is_null() ? 0 : json_number(json, "final_logit_softcapping", 30);
  config.sliding = json_sliding_layers(json, config.layers, default_period);
  config.intermediate_size = json_sizes(json, "intermediate_size", 16384, config.layers);
  config.sparsity_cutoff = json_cutoffs(json, config.layers);
  check(config, "config.json");
  return config;
}

std::vector<std::pair<std::string, std::string>> Gemma3nConfig::settings() const {
  ModelSettings settings;
  settings.add("rope_base_global", rope_base_global).add("rope_base_sliding", rope_base_sliding);
  settings.add("rope_factor_global", rope_factor_global).add("norm_epsilon", norm_epsilon);
  settings.add("final_softcap", final_softcap).add("heads", heads).add("window", window).add_global_layers(sliding);
  settings.add("shared_kv_layers", shared_kv_layers).add_layers("sparsity_cutoff", sparsity_cutoff);
  settings.add("altup_active", altup_active).add("altup_coefficient_limit", altup_coefficient_limit);
  settings.add("altup_correct_scale", altup_correct_scale);
  return std::move(settings).list();
}

}  // namespace lazuli
