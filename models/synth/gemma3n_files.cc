// SPDX-License-Identifier: MIT
// Files of Gemma 3n.
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace lazuli::synth {
namespace {

using Json = nlohmann::ordered_json;

void add_config(Json& config, const Architecture& a) {
  constexpr double sparsity = 0.95;
  config["rope_theta"] = 1e6;
  config["rope_local_base_freq"] = 1e4;
  config["final_logit_softcapping"] = 30.0;
  config["num_kv_shared_layers"] = a.shared_kv_layers;
  Json pattern = Json::array();
  for (std::int64_t layer = 0; layer < a.layers; ++layer) pattern.push_back(layer < a.sparse_layers ? sparsity : 0.0);
  config["activation_sparsity_pattern"] = pattern;
  config["hidden_size_per_layer_input"] = a.per_layer_width;
  config["vocab_size_per_layer_input"] = a.tokens;
  config["laurel_rank"] = a.laurel_rank;
  config["altup_num_inputs"] = 4;
  config["altup_active_idx"] = 0;
  config["altup_coef_clip"] = 120.0;
  config["altup_correct_scale"] = true;
}

void add_keys(GgufWriter& writer, const std::string& prefix, const Architecture& a) {
  add_later_keys(writer, prefix, a);
  writer.add(prefix + "altup.active_idx", u32(0));
  writer.add(prefix + "altup.num_inputs", u32(4));
  // How many deviations above its mean a gate must lie: 95 % stay below.
  std::vector<float> cutoffs(static_cast<std::size_t>(a.layers), -std::numeric_limits<float>::infinity());
  std::fill_n(cutoffs.begin(), std::min(a.sparse_layers, a.layers), 1.6448536f);
  writer.add_array(prefix + "activation_sparsity_scale", cutoffs);
}

}  // namespace

const FamilyFiles& gemma3n_files() {
  static const FamilyFiles files = {
      .model = gemma3n_model,
      // As the published config.json files state them.
      .published = {{.name = "gemma3n-e2b",
                     .family = Family::gemma3n,
                     .multimodal = true,
                     .hidden_size = 2048,
                     .layers = 30,
                     .intermediate_size = 8192,
                     .heads = 8,
                     .kv_heads = 2,
                     .head_dim = 256,
                     .period = 5,
                     .window = 512,
                     .context_length = 32768,
                     .vocab_size = 262400,
                     .shared_kv_layers = 10,
                     .per_layer_width = 256,
                     .sparse_layers = 10,
                     .laurel_rank = 64},
                    {.name = "gemma3n-e4b",
                     .family = Family::gemma3n,
                     .multimodal = true,
                     .hidden_size = 2048,
                     .layers = 35,
                     .intermediate_size = 16384,
                     .heads = 8,
                     .kv_heads = 2,
                     .head_dim = 256,
                     .period = 5,
                     .window = 512,
                     .context_length = 32768,
                     .vocab_size = 262400,
                     .shared_kv_layers = 15,
                     .per_layer_width = 256,
                     .sparse_layers = 10,
                     .laurel_rank = 64}},
      .hugging_face_prefix = "model.language_model.",
      .mlx_prefix = "model.language_model.",
      .norms_scale_scores = true,
      .control_tokens = {{105, "<start_of_turn>"}, {106, "<end_of_turn>"}},
      .end_tokens = {eos_token, end_of_turn_token},
      .add_config = add_config,
      .add_keys = add_keys,
  };
  return files;
}

}  // namespace lazuli::synth
