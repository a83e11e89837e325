// SPDX-License-Identifier: MIT
// A checkpoint as a folder: config.json, model.safetensors or its shards, generation_config.json, tokenizer.json.
#pragma once

#include <lazuli/graph/array.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lazuli {

class CheckpointFolder {
 public:
  // Reads the JSON files; throws an Error that names the file when config.json is missing or one is malformed.
  static CheckpointFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + '/' + name; }
  bool has_file(const std::string& name) const;

  const nlohmann::json& config() const { return config_; }
  // The keys of the text model: "text_config" where there is one, otherwise the whole of config.json.
  const nlohmann::json& text_config() const;
  // model_type of config.json: "gemma3_text", "gemma3n", ... Throws when it is missing.
  std::string model_type() const;

  // What generation_config.json says of a key, or else config.json: a token id or a list of them, which may lie outside
  // every vocabulary.
  std::vector<std::int64_t> token_ids(const char* key) const;
  // Tokens that end a generation: eos_token_id. Numbers that are no id are left out, here and below.
  std::vector<std::int32_t> eos_ids() const;
  // Tokens that are never to be generated (generation_config.json).
  std::vector<std::int32_t> suppressed_ids() const;

  struct StoredTensor {
    Array array;        // without data where the tensor cannot be read
    std::string found;  // then: its dtype and shape, "C64[640]"; empty where the index places it in a file without it
    std::string file;   // name of the file that holds it
  };
  // Every tensor by the name it has in the files (tensor_files.h). Throws an Error that names the tensor that two of
  // them hold. `notes` are told where an index is not used.
  std::map<std::string, StoredTensor> list_tensors(std::vector<std::string>* notes = nullptr) const;

 private:
  std::string path_;
  nlohmann::json config_;
  nlohmann::json generation_;  // null when there is no generation_config.json
};

// Reads a JSON file; throws an Error that names it.
nlohmann::json read_json(const std::string& path);

// A value of a configuration by key, `otherwise` where the key is absent or null. Throws an Error that names the key
// when it has another type, or when a number is not finite or outside [least, most].
std::int64_t json_size(const nlohmann::json& config, const char* key, std::int64_t otherwise, std::int64_t least = 1);
double json_number(const nlohmann::json& config, const char* key, double otherwise);
bool json_flag(const nlohmann::json& config, const char* key, bool otherwise);

// Throws where attention is not causal, as in embedding models: is_causal, or use_bidirectional_attention, which may be
// "vision", as images do not reach a text model.
void json_check_causal(const nlohmann::json& config);
// tie_word_embeddings of the text model, or of the whole; true where neither says so, as in the published classes.
bool json_tied(const nlohmann::json& text_config, const nlohmann::json& config);

// num_hidden_layers, at most `max_layers`.
std::int64_t json_layers(const nlohmann::json& config, std::int64_t otherwise);

// Per layer, whether its attention slides: layer_types where given, otherwise every `period`-th layer is global, the
// period being the key sliding_window_pattern (or _sliding_window_pattern) with `default_period` where it is absent.
std::vector<bool> json_sliding_layers(const nlohmann::json& config, std::int64_t layers, std::int64_t default_period);

// The rotary parameters of one kind of layer. `rope_parameters` is read nested by kind ("full_attention",
// "sliding_attention") or flat; older files spell rope_theta, rope_local_base_freq and rope_scaling instead.
struct RopeConfig {
  double base = 1e4;
  double factor = 1;                 // linear scaling: positions are divided by it
  double partial_rotary_factor = 1;  // share of the lanes that rotate
  bool proportional = false;         // rope_type "proportional"
};
// Sliding layers take base `otherwise_base` and no scaling where nothing is said. Throws for other kinds of scaling.
RopeConfig json_rope(const nlohmann::json& config, bool sliding, double otherwise_base);

}  // namespace lazuli
