// SPDX-License-Identifier: MIT
// Checkpoint folders as people have them: indices that are out of date, heads and vocabularies that the configuration
// does not fit, ids that no token has.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/mlx_weights.h>
#include <lazuli/models/checkpoint/tensor_files.h>
#include <lazuli/models/load.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <algorithm>
#include <filesystem>

namespace lazuli {
namespace {

using nlohmann::json;
using test::CheckpointCopy;
using test::error_of;
using test::SafetensorsWriter;
using test::TemporaryFolder;

// ---- files ----

class Files {
 public:
  Files() { folder_.write("config.json", "{}"); }

  Files& with(const std::string& name) {
    SafetensorsWriter writer;
    writer.add(name, "F32", {1}, std::vector<std::uint8_t>(4)).write(folder_.path() + '/' + name);
    return *this;
  }
  Files& with_index(const std::vector<std::string>& files) {
    json map = json::object();
    for (const std::string& file : files) map[file] = file;  // each file has a tensor of its own name
    folder_.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
    return *this;
  }
  std::vector<std::string> names() const { return find_tensor_files(CheckpointFolder::open(folder_.path())).names; }
  std::string note() const { return find_tensor_files(CheckpointFolder::open(folder_.path())).note; }
  std::string error() const {
    const std::string error = error_of([&] { names(); }), prefix = folder_.path() + ": ";
    return error.starts_with(prefix) ? error.substr(prefix.size()) : error;
  }

 private:
  TemporaryFolder folder_;
};

using Names = std::vector<std::string>;
const std::string single = "model.safetensors", first = "model-00001-of-00002.safetensors",
                  second = "model-00002-of-00002.safetensors";

TEST(TensorFiles, AnIndexServesWhereItsFilesAreThere) {
  EXPECT_EQ(Files().with(first).with(second).with_index({first, second}).names(), (Names{first, second}));
  EXPECT_EQ(Files().with(single).with_index({single}).names(), (Names{single}));
  EXPECT_EQ(Files().with(single).with_index({single}).note(), "");
}

TEST(TensorFiles, AnIndexThatIsOutOfDateIsNotUsed) {
  EXPECT_EQ(Files().with(single).with_index({first, second}).names(), (Names{single}));
  EXPECT_EQ(
      Files().with(single).with_index({first, second}).note(),
      "model.safetensors.index.json lists model-00001-of-00002.safetensors, model-00002-of-00002.safetensors, which "
      "are not there; model.safetensors is read in their place");
  EXPECT_EQ(Files().with(single).with(first).with_index({first, second}).names(), (Names{single}));
  const std::string older = "model-00001-of-00003.safetensors";
  EXPECT_EQ(Files().with(first).with(second).with_index({older}).names(), (Names{first, second}));
  // It knows one file of a set.
  EXPECT_EQ(Files().with(first).with(second).with_index({first}).names(), (Names{first, second}));
}

TEST(TensorFiles, ShardsNeedNoIndex) {
  EXPECT_EQ(Files().with(first).with(second).names(), (Names{first, second}));
  EXPECT_EQ(Files().with("weights-00001-of-00001.safetensors").names(), (Names{"weights-00001-of-00001.safetensors"}));
  EXPECT_EQ(Files().with(second).error(), "shards are missing: " + first);
  EXPECT_EQ(Files().with_index({first, second}).with(first).error(), "shards are missing: " + second);
  for (const char* name : {"model-1-of-00001.safetensors", "model-00002-of-00001.safetensors", "other.safetensors"})
    EXPECT_EQ(Files().with(name).error(), "holds neither model.safetensors nor model.safetensors.index.json") << name;
}

TEST(TensorFiles, TensorsOfAllFilesAreRead) {
  TemporaryFolder folder;
  folder.write("config.json", "{}");
  SafetensorsWriter().add("a", "F32", {1}, std::vector<std::uint8_t>(4)).write(folder.path() + '/' + first);
  SafetensorsWriter().add("b", "F32", {1}, std::vector<std::uint8_t>(4)).write(folder.path() + '/' + second);
  const auto tensors = CheckpointFolder::open(folder.path()).list_tensors();
  EXPECT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors.at("b").file, second);
}

// ---- heads and vocabularies ----

// A checkpoint with a head of its own beside its files: as many rows of ones as given.
void add_head(const CheckpointCopy& copy, std::int64_t rows, std::int64_t columns) {
  std::vector<std::uint8_t> ones;
  for (std::int64_t i = 0; i < rows * columns; ++i) ones.insert(ones.end(), {0x80, 0x3f});  // bf16
  const std::string path = copy.path() + "/model-00002-of-00002.safetensors";
  SafetensorsWriter().add("lm_head.weight", "BF16", {rows, columns}, ones).write(path);
  std::filesystem::rename(copy.path() + "/model.safetensors", copy.path() + "/model-00001-of-00002.safetensors");
}

bool has_note(const LanguageModel& model, const std::string& part) {
  return std::ranges::any_of(model.info().notes, [&](const std::string& note) { return note.find(part) != note.npos; });
}

TEST(TiedHead, TheConfigurationSaysWhetherThereIsOne) {
  for (const char* folder : {"gemma3-dense", "gemma3n", "gemma4-dense", "gemma4-e"}) {
    SCOPED_TRACE(folder);
    CheckpointCopy copy(folder);
    const std::int64_t own = load_model(copy.path())->info().parameters;
    EXPECT_TRUE(load_model(copy.path())->info().notes.empty());
    copy.set_config("tie_word_embeddings", false);
    EXPECT_EQ(error_of([&] { load_model(copy.path()); }),
              copy.path() + "/config.json: tie_word_embeddings is false, but no tensor is lm_head.weight");
    add_head(copy, 320, 128);
    EXPECT_EQ(load_model(copy.path())->info().parameters, own + 320 * 128);
    copy.set_config("tie_word_embeddings", true);
    const auto model = load_model(copy.path());
    EXPECT_EQ(model->info().parameters, own);
    EXPECT_TRUE(has_note(*model, "lm_head.weight is ignored"));
    // One that could not be multiplied with is no matter then.
    copy.set_config("tie_word_embeddings", nullptr);
    EXPECT_TRUE(has_note(*load_model(copy.path()), "lm_head.weight is ignored"));
  }
}

TEST(TiedHead, OneThatDoesNotFitIsNoMatterWhereItIsNotUsed) {
  CheckpointCopy copy("gemma3-dense");
  add_head(copy, 7, 3);
  EXPECT_TRUE(has_note(*load_model(copy.path()), "lm_head.weight is ignored"));
  copy.set_config("tie_word_embeddings", false);
  EXPECT_NE(error_of([&] { load_model(copy.path()); }).find("tensor lm_head.weight: found bf16[7,3]"),
            std::string::npos);
}

TEST(VocabularySize, IsThatOfTheEmbedding) {
  for (const char* folder : {"gemma3-dense", "gemma3n", "gemma4-e", "gemma4-moe"})
    for (const int stated : {256, 400}) {
      SCOPED_TRACE(folder);
      CheckpointCopy copy(folder);
      const std::int64_t rows = load_model(copy.path())->info().vocab_size;
      copy.set_config("vocab_size", stated);
      const auto model = load_model(copy.path());
      EXPECT_EQ(model->info().vocab_size, rows);
      EXPECT_TRUE(has_note(
          *model, fmt::format("token_embd.weight has {} rows, though the configuration says {}", rows, stated)));
    }
  CheckpointCopy copy("gemma4-e");
  copy.set_config("vocab_size_per_layer_input", 99);
  EXPECT_TRUE(has_note(*load_model(copy.path()), "per_layer_token_embd.weight has 320 rows"));
}

TEST(TokenIds, ThoseThatNoTokenHasAreNoted) {
  CheckpointCopy copy("gemma3-dense");
  copy.write_tokenizer({{1, "<eos>"}, {2, "<bos>"}});
  for (const json& ids : {json(262144), json(4294967295u), json(-1), json(18446744073709551615u)}) {
    for (const bool list : {false, true}) {
      SCOPED_TRACE(ids.dump());
      copy.write("generation_config.json",
                 {{"eos_token_id", list ? json{5, ids} : ids}, {"bos_token_id", ids}, {"suppress_tokens", {7, ids}}});
      const auto model = load_model(copy.path());
      const auto tokenizer = model->tokenizer();
      EXPECT_EQ(tokenizer->is_end_of_generation(5), list);
      EXPECT_EQ(tokenizer->bos(), 2);
      EXPECT_EQ(tokenizer->suppressed()[0], 7);
      EXPECT_TRUE(has_note(*model, "eos_token_id is "));
      EXPECT_TRUE(has_note(*model, "bos_token_id is "));
    }
  }
}

TEST(CausalAttention, IsAllThereIs) {
  for (const char* folder : {"gemma3-dense", "gemma3n", "gemma4-e"}) {
    SCOPED_TRACE(folder);
    for (const json& value : {json(true), json("all"), json("text")}) {
      CheckpointCopy copy(folder);
      copy.set_config("use_bidirectional_attention", value);
      EXPECT_EQ(error_of([&] { load_model(copy.path()); }),
                "config.json: use_bidirectional_attention is " + value.dump() + "; only causal attention is supported");
    }
    for (const json& value : {json(false), json(nullptr), json("vision")}) {
      CheckpointCopy copy(folder);
      copy.set_config("use_bidirectional_attention", value);
      EXPECT_EQ(error_of([&] { load_model(copy.path()); }), "no error") << value;
    }
  }
}

// ---- MLX's overrides ----

TEST(MlxGroupSize, OverridesMayBeSpelledWithAnyPrefix) {
  const char* prefixes[] = {
      "", "model.", "language_model.", "language_model.model.", "model.language_model.", "model.language_model.model."};
  for (const std::string stated : prefixes)
    for (const std::string module : prefixes) {
      const std::string name = "layers.3.mlp.up_proj";
      const json config = {{"quantization", {{"group_size", 64}, {"bits", 4}, {stated + name, {{"group_size", 32}}}}}};
      EXPECT_EQ(mlx_group_size(config, module + name), 32) << stated << " " << module;
      EXPECT_EQ(mlx_group_size(config, module + "layers.13.mlp.up_proj"), 64) << stated << " " << module;
      EXPECT_EQ(mlx_group_size(config, module + "layers.3.mlp.gate_proj"), 64) << stated << " " << module;
    }
}

}  // namespace
}  // namespace lazuli
