// SPDX-License-Identifier: MIT
// Files of Gemma 4.
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

#include <nlohmann/json.hpp>

namespace lazuli::synth {
namespace {

using Json = nlohmann::ordered_json;

Json rope_of(double theta, const char* type = "default") { return {{"rope_type", type}, {"rope_theta", theta}}; }

void add_config(Json& config, const Architecture& a) {
  config["final_logit_softcapping"] = 30.0;
  config["global_head_dim"] = a.global_head_dim;
  config["attention_k_eq_v"] = a.global_kv_heads > 0;
  config["num_global_key_value_heads"] = a.global_kv_heads > 0 ? Json(a.global_kv_heads) : Json();
  config["num_kv_shared_layers"] = a.shared_kv_layers;
  config["use_double_wide_mlp"] = a.double_wide_mlp;
  config["hidden_size_per_layer_input"] = a.per_layer_width;
  config["vocab_size_per_layer_input"] = a.tokens;
  config["rope_parameters"] = {{"full_attention", rope_of(1e6, "proportional")}, {"sliding_attention", rope_of(1e4)}};
  config["rope_parameters"]["full_attention"]["partial_rotary_factor"] = 0.25;
  config["enable_moe_block"] = a.experts > 0;
  if (a.experts == 0) return;
  config["num_experts"] = a.experts;
  config["top_k_experts"] = a.experts_per_token;
  config["moe_intermediate_size"] = a.expert_size;
}

void add_keys(GgufWriter& writer, const std::string& prefix, const Architecture& a) {
  add_later_keys(writer, prefix, a);
  writer.add(prefix + "attention.key_length_swa", u32(a.head_dim));
  writer.add(prefix + "attention.value_length_swa", u32(a.head_dim));
  writer.add(prefix + "rope.dimension_count", u32(a.global_head_dim));
  writer.add(prefix + "rope.dimension_count_swa", u32(a.head_dim));
  if (a.experts == 0) return;
  writer.add(prefix + "expert_count", u32(a.experts));
  writer.add(prefix + "expert_used_count", u32(a.experts_per_token));
  writer.add(prefix + "expert_feed_forward_length", u32(a.expert_size));
}

}  // namespace

const FamilyFiles& gemma4_files() {
  static const FamilyFiles files = {
      .model = gemma4_model,
      // As the published config.json files state them.
      .published = {{.name = "gemma4-e2b",
                     .family = Family::gemma4,
                     .multimodal = true,
                     .hidden_size = 1536,
                     .layers = 35,
                     .intermediate_size = 6144,
                     .heads = 8,
                     .kv_heads = 1,
                     .head_dim = 256,
                     .period = 5,
                     .ends_global = true,
                     .window = 512,
                     .context_length = 131072,
                     .vocab_size = 262144,
                     .shared_kv_layers = 20,
                     .per_layer_width = 256,
                     .global_head_dim = 512,
                     .double_wide_mlp = true},
                    {.name = "gemma4-e4b",
                     .family = Family::gemma4,
                     .multimodal = true,
                     .hidden_size = 2560,
                     .layers = 42,
                     .intermediate_size = 10240,
                     .heads = 8,
                     .kv_heads = 2,
                     .head_dim = 256,
                     .period = 6,
                     .ends_global = true,
                     .window = 512,
                     .context_length = 131072,
                     .vocab_size = 262144,
                     .shared_kv_layers = 18,
                     .per_layer_width = 256,
                     .global_head_dim = 512},
                    {.name = "gemma4-12b",
                     .family = Family::gemma4,
                     .multimodal = true,
                     .hidden_size = 3840,
                     .layers = 48,
                     .intermediate_size = 15360,
                     .heads = 16,
                     .kv_heads = 8,
                     .head_dim = 256,
                     .period = 6,
                     .ends_global = true,
                     .window = 1024,
                     .context_length = 131072,
                     .vocab_size = 262144,
                     .global_kv_heads = 1,
                     .global_head_dim = 512},
                    {.name = "gemma4-26b-a4b",
                     .family = Family::gemma4,
                     .multimodal = true,
                     .hidden_size = 2816,
                     .layers = 30,
                     .intermediate_size = 2112,
                     .heads = 16,
                     .kv_heads = 8,
                     .head_dim = 256,
                     .period = 6,
                     .ends_global = true,
                     .window = 1024,
                     .context_length = 262144,
                     .vocab_size = 262144,
                     .global_kv_heads = 2,
                     .global_head_dim = 512,
                     .experts = 128,
                     .experts_per_token = 8,
                     .expert_size = 704},
                    {.name = "gemma4-31b",
                     .family = Family::gemma4,
                     .multimodal = true,
                     .hidden_size = 5376,
                     .layers = 60,
                     .intermediate_size = 21504,
                     .heads = 32,
                     .kv_heads = 16,
                     .head_dim = 256,
                     .period = 6,
                     .ends_global = true,
                     .window = 1024,
                     .context_length = 262144,
                     .vocab_size = 262144,
                     .global_kv_heads = 4,
                     .global_head_dim = 512}},
      .hugging_face_prefix = "model.language_model.",
      .mlx_prefix = "language_model.model.",
      .norms_scale_scores = true,
      .merges_whitespace = true,
      .tokenizer_model = "gemma4",
      .control_tokens = {{46, "<|tool>"},
                         {47, "<tool|>"},
                         {48, "<|tool_call>"},
                         {49, "<tool_call|>"},
                         {50, "<|tool_response>"},
                         {51, "<tool_response|>"},
                         {52, "<|\"|>"},
                         {98, "<|think|>"},
                         {100, "<|channel>"},
                         {101, "<channel|>"},
                         {105, "<|turn>"},
                         {106, "<turn|>"}},
      .end_tokens = {eos_token, end_of_turn_token, tool_response_token},
      .add_config = add_config,
      .add_keys = add_keys,
  };
  return files;
}

}  // namespace lazuli::synth
