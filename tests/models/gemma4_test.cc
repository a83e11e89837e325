// SPDX-License-Identifier: MIT
// Gemma 4: what must not change a bit, what its graph becomes, and its configurations. golden_test.cc has it against
// the published classes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>

#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

// The default precision at the same instruction set: whatever the threads, the chunks and the fusion.
TEST(Gemma4, ChunksThreadsAndFusionChangeNoBit) {
  for (const char* folder : {"gemma4-e-gguf-q4_0", "gemma4-moe-gguf-q5_0"}) {
    const std::string path = test::test_data_path(std::string("goldens/") + folder);
    const std::vector<std::int32_t> ids = test::read_golden(path + "/golden.safetensors")[3].ids;
    auto logits = [&](int threads, const char* fusion, std::int64_t chunk) {
      SessionOptions options;
      options.threads = threads;
      options.fusion = fusion;
      Session session(options);
      const auto model = load_model(path + "/model.gguf");
      RunnerOptions runner_options;
      runner_options.chunk = chunk;
      Runner runner(*model, runner_options);
      const Array prompt = runner.prefill(ids);
      const Array next = runner.decode(argmax(prompt));
      std::vector<float> values(prompt.data<float>().begin(), prompt.data<float>().end());
      values.insert(values.end(), next.data<float>().begin(), next.data<float>().end());
      return values;
    };
    const std::vector<float> expected = logits(1, "all", RunnerOptions::whole_prompt);
    EXPECT_EQ(expected, logits(3, "none", 16)) << folder;
    EXPECT_EQ(expected, logits(2, "all", 5)) << folder;
    EXPECT_EQ(expected, logits(1, "none", 1)) << folder;
  }
}

std::int64_t layer_of(const GraphNode& node) {
  const std::string scope = node.scope ? *node.scope : std::string();
  return scope.starts_with("layers.") ? std::stoll(scope.substr(7)) : -1;
}

// What a prompt chunk computes when the caller wants the last row's logits: the layers up to the last that owns keys
// and values need every row, and of that one only the keys and values; the rest runs on one row.
TEST(Gemma4, OnlyRowsSomebodyReadsAreComputed) {
  for (const auto& [folder, owners] : {std::pair{"gemma4-e-gguf-q4_0", 5}, {"gemma4-moe-gguf-q5_0", 6}}) {
    SessionOptions options;
    options.fusion = "none";
    Session session(options);
    const auto model = load_model(test::test_data_path(std::string("goldens/") + folder + "/model.gguf"));
    Runner runner(*model, {});
    const Runner::Step step = runner.prefill_step(16);
    const auto compiled = std::dynamic_pointer_cast<CompiledGraph>(step.function.executable(step.arguments));
    ASSERT_NE(compiled, nullptr);
    const Graph& graph = compiled->fused;
    std::vector<int> whole(static_cast<std::size_t>(model->info().layers)), narrow = whole;
    for (const GraphNode& node : graph.nodes) {
      if (node.op != Op::linear && node.op != Op::expert_linear) continue;
      const std::int64_t layer = layer_of(node), rows = node.type().shape[0];
      ASSERT_TRUE(rows == 1 || rows == 16) << to_text(graph);
      if (node.scope && *node.scope == "head") {
        EXPECT_EQ(rows, 1);
      }
      if (layer >= 0) ++(rows == 1 ? narrow : whole)[static_cast<std::size_t>(layer)];
    }
    for (int layer = 0; layer < model->info().layers; ++layer) {
      const auto at = static_cast<std::size_t>(layer);
      if (layer < owners - 1) {
        EXPECT_EQ(narrow[at], 0) << folder << ", layer " << layer;
      } else {
        // The last owner's key and, unless the keys serve, value.
        const int kept = layer == owners - 1 ? (folder == std::string("gemma4-moe-gguf-q5_0") ? 1 : 2) : 0;
        EXPECT_EQ(whole[at], kept) << folder << ", layer " << layer << "\n" << to_text(graph);
        EXPECT_GT(narrow[at], 4) << folder << ", layer " << layer;
      }
    }
  }
}

TEST(Gemma4, ModelsWithoutPerLayerEmbeddingsExpectAnEmptyThought) {
  for (const auto& [folder, expected] : {std::pair{"gemma4-e", false}, {"gemma4-dense", true}, {"gemma4-moe", true}})
    EXPECT_EQ(load_model(test::test_data_path(std::string("goldens/") + folder))->info().empty_thought, expected)
        << folder;
}

nlohmann::json minimal() { return {{"num_hidden_layers", 12}, {"num_attention_heads", 8}, {"num_key_value_heads", 2}}; }

TEST(Gemma4Config, WhatFilesDoNotSay) {
  const Gemma4Config config = Gemma4Config::from_json(minimal());
  ASSERT_EQ(config.layers.size(), 12u);
  EXPECT_EQ(config.per_layer_width, 256);
  EXPECT_EQ(config.experts, 0);
  EXPECT_EQ(config.global_rotary_factor, 0.25);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  EXPECT_EQ(config.final_softcap, 0);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(config.layers[i].sliding, i % 6 != 5) << i;
    EXPECT_EQ(config.layers[i].head_dim, i % 6 != 5 ? 256 : 512) << i;
    EXPECT_EQ(config.layers[i].kv_heads, 2) << i;
    EXPECT_EQ(config.layers[i].kv_source, static_cast<std::int64_t>(i));
  }
}

TEST(Gemma4Config, NullIsNotAbsent) {
  nlohmann::json json = minimal();
  json["hidden_size_per_layer_input"] = nullptr;
  EXPECT_EQ(Gemma4Config::from_json(json).per_layer_width, 0);
}

TEST(Gemma4Config, GlobalKeyValueHeadsCountOnlyWhereKeysAreValues) {
  nlohmann::json json = minimal();
  json["num_global_key_value_heads"] = 1;
  EXPECT_EQ(Gemma4Config::from_json(json).layers[5].kv_heads, 2);
  json["attention_k_eq_v"] = true;
  EXPECT_EQ(Gemma4Config::from_json(json).layers[5].kv_heads, 1);
  EXPECT_EQ(Gemma4Config::from_json(json).layers[4].kv_heads, 2);
}

TEST(Gemma4Config, SharedLayersReadTheLastOwnerOfTheirKind) {
  nlohmann::json json = minimal();
  json["num_kv_shared_layers"] = 5;
  json["use_double_wide_mlp"] = true;
  json["intermediate_size"] = 100;
  const Gemma4Config config = Gemma4Config::from_json(json);
  for (std::size_t i = 0; i < 12; ++i) {
    const std::int64_t expected = i < 7 ? static_cast<std::int64_t>(i) : i == 11 ? 5 : 6;
    EXPECT_EQ(config.layers[i].kv_source, expected) << i;
    EXPECT_EQ(config.layers[i].intermediate_size, i < 7 ? 100 : 200) << i;
  }
}

TEST(Gemma4Config, TheLastLayerIsGlobal) {
  nlohmann::json json = minimal();
  json["num_hidden_layers"] = 8;
  const Gemma4Config config = Gemma4Config::from_json(json);
  EXPECT_TRUE(config.layers[6].sliding);
  EXPECT_FALSE(config.layers[7].sliding);
  EXPECT_EQ(config.layers[7].head_dim, 512);
}

// The same model, said in three ways.
TEST(Gemma4Config, GgufAndJsonAgree) {
  for (const auto& [gguf, folder] : {std::pair{"gemma4-e-gguf-q4_0", "gemma4-e"},
                                     {"gemma4-dense-gguf-bf16", "gemma4-dense"},
                                     {"gemma4-moe-gguf-q5_0", "gemma4-moe"}}) {
    const Gemma4Config a =
        Gemma4Config::from_gguf(GgufFile::open(test::test_data_path(fmt::format("goldens/{}/model.gguf", gguf))));
    nlohmann::json json = read_json(test::test_data_path(fmt::format("goldens/{}/config.json", folder)));
    for (const bool with_layer_config : {true, false}) {
      if (!with_layer_config) json.erase("per_layer_config");
      const Gemma4Config b = Gemma4Config::from_json(json);
      ASSERT_EQ(a.layers.size(), b.layers.size()) << folder;
      for (std::size_t i = 0; i < a.layers.size(); ++i) {
        EXPECT_EQ(a.layers[i].sliding, b.layers[i].sliding) << folder << ", layer " << i;
        EXPECT_EQ(a.layers[i].head_dim, b.layers[i].head_dim) << folder << ", layer " << i;
        EXPECT_EQ(a.layers[i].kv_heads, b.layers[i].kv_heads) << folder << ", layer " << i;
        EXPECT_EQ(a.layers[i].intermediate_size, b.layers[i].intermediate_size) << folder << ", layer " << i;
        EXPECT_EQ(a.layers[i].kv_source, b.layers[i].kv_source) << folder << ", layer " << i;
      }
      EXPECT_EQ(a.keys_are_values, b.keys_are_values) << folder;
      EXPECT_EQ(a.global_rotary_factor, b.global_rotary_factor) << folder;
      EXPECT_EQ(a.per_layer_width, b.per_layer_width) << folder;
      EXPECT_EQ(a.experts, b.experts) << folder;
      EXPECT_EQ(a.experts_per_token, b.experts_per_token) << folder;
      EXPECT_EQ(a.expert_size, b.expert_size) << folder;
      EXPECT_EQ(a.final_softcap, b.final_softcap) << folder;
    }
  }
}

TEST(Gemma4Config, SaysWhatDoesNotFit) {
  auto error = [](const char* key, const nlohmann::json& value) {
    nlohmann::json json = minimal();
    json[key] = value;
    return test::error_of([&] { Gemma4Config::from_json(json); });
  };
  EXPECT_EQ(error("num_key_value_heads", 3),
            "config.json: layer 0 has 8 attention heads for 3 key/value heads; expected a multiple");
  EXPECT_EQ(error("num_kv_shared_layers", 12), "config.json: 12 of 12 layers share keys and values; expected 0 to 11");
  EXPECT_EQ(error("num_kv_shared_layers", 8),
            "config.json: layer 5 shares keys and values, but none of the first 4 layers is global as it is");
  EXPECT_EQ(error("num_hidden_layers", 100000), "config.json: num_hidden_layers is 100000, expected at most 4096");
}

}  // namespace
}  // namespace lazuli
