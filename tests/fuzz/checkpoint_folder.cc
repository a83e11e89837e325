// SPDX-License-Identifier: MIT
// A checkpoint folder as `load_model` takes it. Five parts: config.json, model.safetensors.index.json,
// model.safetensors, and two shards.
#include <lazuli/models/load.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/loaded_model.h>
#include <lazuli/tests/fuzz/memory_folder.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const auto parts = fuzz::parts_of(fuzz::text_of(data, size), 5);
  folder.write("config.json", parts[0]);
  folder.write_or_remove("model.safetensors.index.json", parts[1]);
  folder.write_or_remove("model.safetensors", parts[2]);
  folder.write_or_remove("model-00001-of-00002.safetensors", parts[3]);
  folder.write_or_remove("model-00002-of-00002.safetensors", parts[4]);
  std::unique_ptr<LanguageModel> model;
  fuzz::accepted([&] { model = load_model(folder.path()); }, fuzz::Lines::several);
  if (model) fuzz::use_model(*model);
  return 0;
}
