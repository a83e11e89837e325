// SPDX-License-Identifier: MIT
// A golden checkpoint folder of which a test may change the JSON files.
#pragma once

#include <fmt/format.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <lazuli/tests/support/test_model.h>

#include <string>

namespace lazuli::test {

class CheckpointCopy {
 public:
  explicit CheckpointCopy(const std::string& folder) {
    const std::string source = test_data_path("goldens/" + folder);
    config_ = read_json(source + "/config.json");
    std::filesystem::create_symlink(source + "/model.safetensors", path() + "/model.safetensors");
    write("config.json", config_);
  }

  const std::string& path() const { return folder_.path(); }
  void write(const std::string& name, const nlohmann::json& document) const { folder_.write(name, document.dump()); }
  void set_config(const char* key, const nlohmann::json& value) {
    config_[key] = value;
    write("config.json", config_);
  }
  // A vocabulary of as many tokens as the model has: <bos>, <eos> and the like by id where `named` says so, and
  // otherwise "tN ".
  void write_tokenizer(const std::map<int, std::string>& named) const {
    nlohmann::json vocabulary, added = nlohmann::json::array();
    for (int id = 0; id < config_["vocab_size"].get<int>(); ++id) {
      const auto name = named.find(id);
      vocabulary[name == named.end() ? fmt::format("t{} ", id) : name->second] = id;
      if (name != named.end()) added.push_back({{"id", id}, {"content", name->second}, {"special", true}});
    }
    write("tokenizer.json", {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}},
                             {"added_tokens", added}});
  }

 private:
  TemporaryFolder folder_;
  nlohmann::json config_;
};

}  // namespace lazuli::test
