// SPDX-License-Identifier: MIT
// config.json and generation_config.json, in this order, read as each family's configuration.
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>

namespace lazuli::fuzz {
namespace {

template <class Config>
void read_config(const nlohmann::json& json) {
  accepted([&] {
    for (const auto& [name, value] : Config::from_json(json).settings())
      require(value.find("nan") == value.npos, "what a configuration says is a number", name + " is " + value);
  });
}

void read_folder(const std::string& path) {
  const CheckpointFolder folder = CheckpointFolder::open(path);
  accepted([&] { folder.model_type(); });
  accepted([&] { folder.eos_ids(); });
  accepted([&] { folder.token_ids("bos_token_id"); });
  accepted([&] { folder.suppressed_ids(); });
  accepted([&] { json_check_causal(folder.config()); });
  accepted([&] { json_tied(folder.text_config(), folder.config()); });
  read_config<Gemma3Config>(folder.text_config());
  read_config<Gemma3nConfig>(folder.text_config());
  read_config<Gemma4Config>(folder.text_config());
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const auto parts = fuzz::parts_of(fuzz::text_of(data, size), 2);
  folder.write("config.json", parts[0]);
  folder.write_or_remove("generation_config.json", parts[1]);
  fuzz::accepted([&] { fuzz::read_folder(folder.path()); });
  return 0;
}
