// SPDX-License-Identifier: MIT
// What the Gemma models answer alike.
#pragma once

#include <fmt/format.h>
#include <lazuli/models/model_definition.h>

#include <utility>

namespace lazuli {

class GemmaModel : public LanguageModel {
 public:
  const ModelInfo& info() const final { return info_; }
  const std::vector<KvCacheShape>& caches() const final { return caches_; }
  std::shared_ptr<const Tokenizer> tokenizer() const final { return tokenizer_; }

 protected:
  GemmaModel(const ModelDefinition& definition, CheckpointParts& parts) : tokenizer_(std::move(parts.tokenizer)) {
    info_.architecture = definition.architecture;
    info_.name = std::move(parts.name);
    info_.notes = std::move(parts.notes);
  }

  // Rows of an embedding table: those there are, whatever the configuration says.
  std::int64_t embedding_rows(const Weights& weights, const char* table, std::int64_t stated) {
    const std::int64_t rows = weights.rows_or(table, stated);
    if (rows != stated)
      info_.notes.push_back(fmt::format("{} has {} rows, though the configuration says {}", table, rows, stated));
    return rows;
  }

  ModelInfo info_;
  std::vector<KvCacheShape> caches_;

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// The definition of a model that is made of its configuration and the parts of a checkpoint.
template <class Config, class Model>
constexpr ModelDefinition define_gemma(std::string_view architecture, std::array<std::string_view, 3> model_types) {
  return {architecture, model_types,
          [](const GgufFile& file, CheckpointParts parts) -> std::unique_ptr<LanguageModel> {
            return std::make_unique<Model>(Config::from_gguf(file), std::move(parts));
          },
          [](const nlohmann::json& text_config, CheckpointParts parts) -> std::unique_ptr<LanguageModel> {
            return std::make_unique<Model>(Config::from_json(text_config), std::move(parts));
          }};
}

}  // namespace lazuli
