// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/load.h>
#include <lazuli/models/model_definition.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/models/text/tokenizer_json.h>

#include <algorithm>
#include <filesystem>

namespace lazuli {
namespace {

constexpr const ModelDefinition* definitions[] = {
#define LAZULI_MODEL(name) &name##_model,
#include <lazuli/models/models.def>
#undef LAZULI_MODEL
};

// "gemma3, gemma3n or gemma4"
std::string architectures() {
  std::string text;
  for (const ModelDefinition* const& model : definitions) {
    const bool first = text.empty(), last = &model == std::end(definitions) - 1;
    text += fmt::format("{}{}", first ? "" : last ? " or " : ", ", model->architecture);
  }
  return text;
}

CheckpointParts with_notes(CheckpointParts parts) {
  const auto add = [&](const auto& notes) { parts.notes.insert(parts.notes.end(), notes.begin(), notes.end()); };
  add(parts.weights.notes());
  if (parts.tokenizer) add(parts.tokenizer->notes());
  return parts;
}

// What config.json says of the head wins over what lies in the files.
void choose_head(const CheckpointFolder& folder, CheckpointParts& parts) {
  constexpr const char* module = "output";
  if (!json_tied(folder.text_config(), folder.config())) {
    if (!parts.weights.has(fmt::format("{}.weight", module)))
      fail_file("{}: tie_word_embeddings is false, but no tensor is lm_head.weight", folder.file("config.json"));
  } else if (parts.weights.drop(module)) {
    parts.notes.emplace_back("lm_head.weight is ignored: tie_word_embeddings is true, so the embeddings are the head");
  }
}

CheckpointParts parts_of(const CheckpointFolder& folder, const ModelOptions& options) {
  json_check_causal(folder.config());
  const std::string name = std::filesystem::path(folder.path()).filename().string();
  CheckpointParts parts = with_notes({Weights::from_folder(folder), name, read_tokenizer_json(folder), options, {}});
  choose_head(folder, parts);
  return parts;
}

std::unique_ptr<LanguageModel> load_gguf(const std::string& path, const ModelOptions& options) {
  const GgufFile file = GgufFile::open(path);
  const auto architecture = file.get<std::string_view>("general.architecture");
  const std::string name(file.get_or<std::string_view>("general.name", architecture));
  for (const ModelDefinition* model : definitions)
    if (model->architecture == architecture)
      return model->from_gguf(file,
                              with_notes({Weights::from_gguf(file), name, Tokenizer::from_gguf(file), options, {}}));
  fail_file("{}: architecture {} is not supported; expected {}", path, printable(architecture), architectures());
}

std::unique_ptr<LanguageModel> load_folder(const std::string& path, const ModelOptions& options) {
  const CheckpointFolder folder = CheckpointFolder::open(path);
  const std::string type = folder.model_type();
  for (const ModelDefinition* model : definitions)
    if (!type.empty() && std::ranges::find(model->model_types, type) != model->model_types.end())
      return model->from_json(folder.text_config(), parts_of(folder, options));
  fail_file("{}: model_type {} is not supported; expected {}", folder.file("config.json"), printable(type),
            architectures());
}

}  // namespace

std::unique_ptr<LanguageModel> load_model(const std::string& path, const ModelOptions& options) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? load_folder(path, options) : load_gguf(path, options);
}

}  // namespace lazuli
