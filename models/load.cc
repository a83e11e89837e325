#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/models/load.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/models/text/tokenizer_json.h>

#include <filesystem>

namespace lazuli {
namespace {

std::unique_ptr<LanguageModel> load_gguf(const std::string& path, const ModelOptions& options) {
  const GgufFile file = GgufFile::open(path);
  const auto architecture = file.get<std::string_view>("general.architecture");
  const std::string name(file.get_or<std::string_view>("general.name", architecture));
  if (architecture == "gemma3")
    return make_gemma3(Gemma3Config::from_gguf(file), Weights::from_gguf(file), name, Tokenizer::from_gguf(file));
  if (architecture == "gemma3n")
    return make_gemma3n(Gemma3nConfig::from_gguf(file), Weights::from_gguf(file), name, Tokenizer::from_gguf(file),
                        options.altup);
  if (architecture == "gemma4")
    return make_gemma4(Gemma4Config::from_gguf(file), Weights::from_gguf(file), name, Tokenizer::from_gguf(file));
  fail("{}: architecture {} is not supported; expected gemma3, gemma3n or gemma4", path, architecture);
}

std::unique_ptr<LanguageModel> load_folder(const std::string& path, const ModelOptions& options) {
  const CheckpointFolder folder = CheckpointFolder::open(path);
  const std::string type = folder.model_type();
  const std::string name = std::filesystem::path(folder.path()).filename().string();
  const nlohmann::json& config = folder.text_config();
  if (type == "gemma3" || type == "gemma3_text")
    return make_gemma3(Gemma3Config::from_json(config), Weights::from_folder(folder), name,
                       read_tokenizer_json(folder));
  if (type == "gemma3n" || type == "gemma3n_text")
    return make_gemma3n(Gemma3nConfig::from_json(config), Weights::from_folder(folder), name,
                        read_tokenizer_json(folder), options.altup);
  if (type == "gemma4" || type == "gemma4_text" || type == "gemma4_unified")
    return make_gemma4(Gemma4Config::from_json(config), Weights::from_folder(folder), name,
                       read_tokenizer_json(folder));
  fail("{}: model_type {} is not supported; expected gemma3, gemma3n or gemma4", folder.file("config.json"), type);
}

}  // namespace

std::unique_ptr<LanguageModel> load_model(const std::string& path, const ModelOptions& options) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? load_folder(path, options) : load_gguf(path, options);
}

}  // namespace lazuli
