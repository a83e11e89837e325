// SPDX-License-Identifier: MIT
// Files of Gemma 3.
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

#include <nlohmann/json.hpp>

namespace lazuli::synth {
namespace {

using Json = nlohmann::ordered_json;

void add_config(Json& config, const Architecture& a) {
  config["query_pre_attn_scalar"] = a.head_dim;
  config["rope_theta"] = 1e6;
  config["rope_local_base_freq"] = 1e4;
  if (a.rope_factor > 1) config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", a.rope_factor}};
}

void add_keys(GgufWriter&, const std::string&, const Architecture&) {}

}  // namespace

const FamilyFiles& gemma3_files() {
  static const FamilyFiles files = {
      .model = gemma3_model,
      // As the published config.json files state them.
      .published = {{.name = "gemma3-270m",
                     .family = Family::gemma3,
                     .multimodal = false,
                     .hidden_size = 640,
                     .layers = 18,
                     .intermediate_size = 2048,
                     .heads = 4,
                     .kv_heads = 1,
                     .head_dim = 256,
                     .period = 6,
                     .window = 512,
                     .context_length = 32768,
                     .vocab_size = 262144},
                    {.name = "gemma3-1b",
                     .family = Family::gemma3,
                     .multimodal = false,
                     .hidden_size = 1152,
                     .layers = 26,
                     .intermediate_size = 6912,
                     .heads = 4,
                     .kv_heads = 1,
                     .head_dim = 256,
                     .period = 6,
                     .window = 512,
                     .context_length = 32768,
                     .vocab_size = 262144},
                    {.name = "gemma3-4b",
                     .family = Family::gemma3,
                     .multimodal = true,
                     .hidden_size = 2560,
                     .layers = 34,
                     .intermediate_size = 10240,
                     .heads = 8,
                     .kv_heads = 4,
                     .head_dim = 256,
                     .period = 6,
                     .window = 1024,
                     .context_length = 131072,
                     .vocab_size = 262208,
                     .rope_factor = 8}},
      .hugging_face_prefix = "language_model.model.",
      .mlx_prefix = "language_model.model.",
      .norms_plus_one = true,
      .keeps_tokens_alone = true,
      .control_tokens = {{105, "<start_of_turn>"}, {106, "<end_of_turn>"}},
      .end_tokens = {eos_token, end_of_turn_token},
      .add_config = add_config,
      .add_keys = add_keys,
  };
  return files;
}

}  // namespace lazuli::synth
