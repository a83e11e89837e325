// SPDX-License-Identifier: MIT
// tokenizer.json and the files beside it. Five parts: a text that is encoded, tokenizer.json, tokenizer_config.json,
// config.json, generation_config.json.
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/text/tokenizer_json.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>
#include <lazuli/tests/fuzz/tokenizer_properties.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const auto parts = fuzz::parts_of(fuzz::text_of(data, size), 5);
  folder.write_or_remove("tokenizer.json", parts[1]);
  folder.write_or_remove("tokenizer_config.json", parts[2]);
  folder.write("config.json", parts[3].empty() ? "{}" : parts[3]);
  folder.write_or_remove("generation_config.json", parts[4]);
  std::shared_ptr<const Tokenizer> tokenizer;
  fuzz::accepted([&] { tokenizer = read_tokenizer_json(CheckpointFolder::open(folder.path())); });
  if (tokenizer) fuzz::check_tokenizer(tokenizer, parts[0]);
  return 0;
}
