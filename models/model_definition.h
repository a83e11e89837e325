// SPDX-License-Identifier: MIT
// How a checkpoint is recognised as a model's, and becomes it.
#pragma once

#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/model.h>
#include <lazuli/models/model_options.h>

#include <array>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// Of a checkpoint, what models of every kind take from it.
struct CheckpointParts {
  Weights weights;
  std::string name;
  std::shared_ptr<const Tokenizer> tokenizer;
  ModelOptions options;
  std::vector<std::string> notes;  // ModelInfo::notes
};

struct ModelDefinition {
  std::string_view architecture;                // general.architecture in GGUF files
  std::array<std::string_view, 3> model_types;  // model_type in config.json; those not used are empty
  // Throw an Error that names the key, or lists all tensors that do not fit. `text_config`: the key of config.json, or
  // all of a text-only config.json.
  std::unique_ptr<LanguageModel> (*from_gguf)(const GgufFile& file, CheckpointParts parts);
  std::unique_ptr<LanguageModel> (*from_json)(const nlohmann::json& text_config, CheckpointParts parts);
};

#define LAZULI_MODEL(name) extern const ModelDefinition name##_model;
#include <lazuli/models/models.def>
#undef LAZULI_MODEL

}  // namespace lazuli
