#include <lazuli/models/gemma3.h>
#include <lazuli/models/gguf.h>
#include <lazuli/models/load.h>
#include <lazuli/models/tokenizer.h>
#include <lazuli/models/weights.h>

namespace lazuli {

std::unique_ptr<LanguageModel> load_model(const std::string& path) {
  const GgufFile file = GgufFile::open(path);
  const auto architecture = file.get<std::string_view>("general.architecture");
  const std::string name(file.get_or<std::string_view>("general.name", architecture));
  if (architecture == "gemma3")
    return make_gemma3(Gemma3Config::from_gguf(file), Weights::from_gguf(file), name, Tokenizer::from_gguf(file));
  fail("{}: architecture {} is not supported; expected gemma3", path, architecture);
}

}  // namespace lazuli
