// SPDX-License-Identifier: MIT
// What files of a model look like, beyond the tensors it asks for: its published sizes, the keys of its configuration,
// and how its tokenizer and the values of its tensors differ from other models'.
#pragma once

#include <lazuli/models/model_definition.h>
#include <lazuli/models/synth/architecture.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lazuli {
class GgufWriter;
}

namespace lazuli::synth {

struct ControlToken {
  std::int64_t id;
  const char* text;
};

struct FamilyFiles {
  const ModelDefinition& model;
  std::vector<Architecture> published;
  // What stands before the names of a multimodal checkpoint's tensors.
  const char *hugging_face_prefix, *mlx_prefix;
  bool norms_plus_one = false;      // norms are stored without their 1, to which GGUF's converter adds it
  bool norms_scale_scores = false;  // no division by the root of the head size: the norms of queries and keys do that
  bool keeps_tokens_alone = false;  // GGUF's converter drops rows without a token; otherwise it adds tokens for them
  bool merges_whitespace = false;   // runs of whitespace are made by merges, which are in the file
  const char* tokenizer_model = "llama";  // tokenizer.ggml.model
  std::vector<ControlToken> control_tokens;
  std::vector<std::int32_t> end_tokens;  // that end a generation

  // The keys of config.json's text model, and of GGUF, that not all models have.
  void (*add_config)(nlohmann::ordered_json& config, const Architecture& a);
  void (*add_keys)(GgufWriter& writer, const std::string& prefix, const Architecture& a);
};

// Functions, as tests ask for them while other variables of the program are still being made.
#define LAZULI_MODEL(name) const FamilyFiles& name##_files();
#include <lazuli/models/models.def>
#undef LAZULI_MODEL

const FamilyFiles& files_of(Family family);
std::vector<const FamilyFiles*> all_files();  // in the order of models.def

inline std::uint32_t u32(std::int64_t size) { return static_cast<std::uint32_t>(size); }

inline std::vector<bool> sliding_layers(const Architecture& a) {
  std::vector<bool> sliding;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) sliding.push_back(a.is_sliding(layer));
  return sliding;
}

// The text model's part of config.json.
nlohmann::ordered_json text_config(const Architecture& a);
// GGUF keys of the models with per-layer embeddings.
void add_later_keys(GgufWriter& writer, const std::string& prefix, const Architecture& a);

}  // namespace lazuli::synth
