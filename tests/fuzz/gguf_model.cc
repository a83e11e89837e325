// SPDX-License-Identifier: MIT
// GGUF files as `load_model` takes them: configuration, tokenizer, weights, and the graph of a step.
#include <lazuli/models/load.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/loaded_model.h>
#include <lazuli/tests/fuzz/memory_folder.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const std::string path = folder.write("model.gguf", fuzz::text_of(data, size));
  std::unique_ptr<LanguageModel> model;
  fuzz::accepted([&] { model = load_model(path); }, fuzz::Lines::several);
  if (model) fuzz::use_model(*model);
  return 0;
}
