// SPDX-License-Identifier: MIT
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/synth/family.h>

#include <nlohmann/json.hpp>

namespace lazuli::synth {
namespace {

using Json = nlohmann::ordered_json;

constexpr const FamilyFiles& (*families[])() = {
#define LAZULI_MODEL(name) name##_files,
#include <lazuli/models/models.def>
#undef LAZULI_MODEL
};

Json layer_types(const Architecture& a) {
  Json types = Json::array();
  for (std::int64_t layer = 0; layer < a.layers; ++layer)
    types.push_back(a.is_sliding(layer) ? "sliding_attention" : "full_attention");
  return types;
}

}  // namespace

const FamilyFiles& files_of(Family family) { return families[static_cast<std::size_t>(family)](); }

std::vector<const FamilyFiles*> all_files() {
  std::vector<const FamilyFiles*> all;
  for (const auto family : families) all.push_back(&family());
  return all;
}

Json text_config(const Architecture& a) {
  const FamilyFiles& files = files_of(a.family);
  Json config = {{"model_type", std::string(files.model.architecture) + "_text"},
                 {"hidden_size", a.hidden_size},
                 {"num_hidden_layers", a.layers},
                 {"intermediate_size", a.intermediate_size},
                 {"num_attention_heads", a.heads},
                 {"num_key_value_heads", a.kv_heads},
                 {"head_dim", a.head_dim},
                 {"vocab_size", a.vocab_size},
                 {"sliding_window", a.window},
                 {"layer_types", layer_types(a)},
                 {"max_position_embeddings", a.context_length},
                 {"rms_norm_eps", 1e-6},
                 {"hidden_activation", "gelu_pytorch_tanh"},
                 {"attention_bias", false},
                 {"tie_word_embeddings", true}};
  files.add_config(config, a);
  return config;
}

void add_later_keys(GgufWriter& writer, const std::string& prefix, const Architecture& a) {
  writer.add_array(prefix + "attention.sliding_window_pattern", sliding_layers(a));
  writer.add(prefix + "attention.shared_kv_layers", u32(a.shared_kv_layers));
  writer.add(prefix + "embedding_length_per_layer_input", u32(a.per_layer_width));
  writer.add(prefix + "final_logit_softcapping", 30.0f);
}

}  // namespace lazuli::synth
