// SPDX-License-Identifier: MIT
// Keys that older GGUF converters left out, family by family, and values no model has.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/gguf_writer.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lazuli {
namespace {

using test::GgufWriter;
using test::parse_gguf;

// The keys every converter writes.
GgufWriter with_required_keys(const std::string& architecture, std::uint32_t layers) {
  GgufWriter writer;
  auto add = [&](const char* key, std::uint32_t value) { writer.add(architecture + '.' + key, value); };
  add("block_count", layers);
  add("embedding_length", 64);
  add("feed_forward_length", 128);
  add("context_length", 1024);
  add("attention.head_count", 8);
  add("attention.head_count_kv", 2);
  return writer;
}

template <class Config>
Config read(const GgufWriter& writer) {
  return Config::from_gguf(parse_gguf(writer.bytes()));
}

template <class Config>
std::string read_error(const GgufWriter& writer) {
  return test::error_of([&] { read<Config>(writer); });
}

TEST(GgufDefaults, Gemma3) {
  const auto config = read<Gemma3Config>(with_required_keys("gemma3", 14));
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.vocab_size, 262144);
  EXPECT_EQ(config.window, 512);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  EXPECT_EQ(config.rope_factor, 1);
  EXPECT_EQ(config.final_softcap, 0);
  EXPECT_EQ(config.attention_scale, 1.0 / 16);
  ASSERT_EQ(config.sliding.size(), 14u);
  for (std::size_t layer = 0; layer < 14; ++layer) EXPECT_EQ(config.sliding[layer], (layer + 1) % 6 != 0) << layer;
}

TEST(GgufDefaults, Gemma3StatedKeysWin) {
  GgufWriter writer = with_required_keys("gemma3", 4);
  writer.add("gemma3.attention.key_length", 128u).add("gemma3.attention.sliding_window", 1024u);
  writer.add("gemma3.attention.sliding_window_pattern", 2u).add("gemma3.rope.freq_base_swa", 5e3f);
  writer.add("gemma3.rope.scaling.type", "linear").add("gemma3.rope.scaling.factor", 8.0f);
  writer.add("gemma3.final_logit_softcapping", 30.0f);
  const auto config = read<Gemma3Config>(writer);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.window, 1024);
  EXPECT_EQ(config.sliding, (std::vector<bool>{true, false, true, false}));
  EXPECT_EQ(config.rope_base_sliding, 5e3);
  EXPECT_EQ(config.rope_factor, 8);
  EXPECT_EQ(config.final_softcap, 30);
  // 27B, the model of 62 layers, scales by its width per head.
  EXPECT_DOUBLE_EQ(read<Gemma3Config>(with_required_keys("gemma3", 62)).attention_scale, 1 / std::sqrt(64.0 / 8));
}

TEST(GgufDefaults, Gemma3n) {
  const auto config = read<Gemma3nConfig>(with_required_keys("gemma3n", 30));
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.vocab_size, 262400);
  EXPECT_EQ(config.vocab_size_per_layer, 262144);
  EXPECT_EQ(config.per_layer_size, 256);
  EXPECT_EQ(config.window, 512);
  EXPECT_EQ(config.laurel_rank, 64);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  EXPECT_EQ(config.final_softcap, 30);
  EXPECT_EQ(config.shared_kv_layers, 10);
  EXPECT_EQ(config.altup_planes, 4);
  EXPECT_EQ(config.altup_active, 0);
  EXPECT_TRUE(config.altup_correct_scale);
  EXPECT_EQ(config.altup_coefficient_limit, 120);
  EXPECT_EQ(config.intermediate_size, std::vector<std::int64_t>(30, 128));
  for (std::size_t layer = 0; layer < 30; ++layer) {
    EXPECT_EQ(config.sliding[layer], (layer + 1) % 5 != 0) << layer;
    if (layer < 10)
      EXPECT_NEAR(config.sparsity_cutoff[layer], 1.6448536269514722, 1e-14) << layer;
    else
      EXPECT_EQ(config.sparsity_cutoff[layer], Gemma3nConfig::dense) << layer;
  }
  EXPECT_EQ(read<Gemma3nConfig>(with_required_keys("gemma3n", 35)).shared_kv_layers, 15);
}

// A converter that spells some keys in its own way, and an older vocabulary.
TEST(GgufDefaults, Gemma3nOfOtherConverters) {
  GgufWriter writer = with_required_keys("gemma3n", 30);
  writer.add("gemma3n.rope.freq_base_local", 5e3f)
      .add("gemma3n.head_dim", 128u)
      .add("gemma3n.altup.correct_scale", false);
  for (const char* name : {"token_embd.weight", "per_layer_token_embd.weight", "blk.0.laurel_l.weight"})
    writer.add_tensor(name, DType::f32, {2, 8}, std::string(2 * 4 * 8, '\0'));
  const auto config = read<Gemma3nConfig>(writer);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rope_base_sliding, 5e3);
  EXPECT_FALSE(config.altup_correct_scale);
  EXPECT_EQ(config.vocab_size, 2);
  EXPECT_EQ(config.vocab_size_per_layer, 2);
  EXPECT_EQ(config.laurel_rank, 2);
}

TEST(GgufDefaults, Gemma4) {
  const auto config = read<Gemma4Config>(with_required_keys("gemma4", 42));
  EXPECT_EQ(config.vocab_size, 262144);
  EXPECT_EQ(config.window, 512);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  EXPECT_EQ(config.global_rotary_factor, 0.25);
  EXPECT_EQ(config.final_softcap, 30);
  EXPECT_EQ(config.per_layer_width, 0);
  EXPECT_EQ(config.experts, 0);
  ASSERT_EQ(config.layers.size(), 42u);
  for (std::size_t layer = 0; layer < 42; ++layer) {
    EXPECT_EQ(config.layers[layer].sliding, (layer + 1) % 6 != 0) << layer;
    EXPECT_EQ(config.layers[layer].head_dim, (layer + 1) % 6 != 0 ? 256 : 512) << layer;
    EXPECT_EQ(config.layers[layer].kv_source, static_cast<std::int64_t>(layer)) << layer;
  }
  // E2B's 35 layers: the last one is global in every published size.
  const auto e2b = read<Gemma4Config>(with_required_keys("gemma4", 35));
  for (std::size_t layer = 0; layer < 35; ++layer) EXPECT_EQ(e2b.layers[layer].sliding, (layer + 1) % 5 != 0) << layer;
}

TEST(GgufDefaults, Gemma4KeysServeWhereNoGlobalLayerHasValues) {
  auto with_values = [](std::vector<int> layers) {
    GgufWriter writer = with_required_keys("gemma4", 12);
    for (const int layer : layers) writer.add_tensor(fmt::format("blk.{}.attn_v.weight", layer), f32, {1}, "1234");
    return read<Gemma4Config>(writer).keys_are_values;
  };
  EXPECT_TRUE(with_values({0, 1}));
  EXPECT_FALSE(with_values({5, 11}));
  EXPECT_FALSE(with_values({5}));  // layer 11's are missing
}

// 4B, 12B and 27B divide the positions of global layers by 8, whether the file says so or not.
TEST(GgufDefaults, Gemma3ScalesThePositionsOfItsLargerSizes) {
  for (const std::uint32_t layers : {34u, 48u, 62u}) {
    const auto with = [&](const char* key, auto value) {
      return read<Gemma3Config>(with_required_keys("gemma3", layers).add(std::string("gemma3.") + key, value))
          .rope_factor;
    };
    EXPECT_EQ(read<Gemma3Config>(with_required_keys("gemma3", layers)).rope_factor, 8) << layers;
    EXPECT_EQ(with("rope.scaling.type", "linear"), 8);
    EXPECT_EQ(with("rope.scaling.type", "none"), 1);
    EXPECT_EQ(with("rope.scaling.factor", 4.0f), 4);
    EXPECT_EQ(with("rope.scale_linear", 2.0f), 2);
    const auto settings = read<Gemma3Config>(with_required_keys("gemma3", layers)).settings();
    EXPECT_NE(std::ranges::find(settings, std::pair<std::string, std::string>("rope_factor_global", "8")),
              settings.end());
  }
  for (const std::uint32_t layers : {18u, 26u, 33u, 35u})
    EXPECT_EQ(read<Gemma3Config>(with_required_keys("gemma3", layers)).rope_factor, 1) << layers;
}

TEST(GgufDefaults, EveryFamilyReadsTheScalingOfPositions) {
  const auto with = [](const char* architecture, const char* key, auto value) {
    return with_required_keys(architecture, 12).add(std::string(architecture) + '.' + key, value);
  };
  EXPECT_EQ(read<Gemma3nConfig>(with("gemma3n", "rope.scaling.factor", 4.0f)).rope_factor_global, 4);
  EXPECT_EQ(read<Gemma4Config>(with("gemma4", "rope.scaling.factor", 4.0f)).rope_factor, 4);
  // 0 is none, as some converters write it.
  EXPECT_EQ(read<Gemma3Config>(with("gemma3", "rope.scaling.factor", 0.0f)).rope_factor, 1);
  EXPECT_EQ(read_error<Gemma4Config>(with("gemma4", "rope.scaling.factor", -1.0f)),
            "model.gguf: key gemma4.rope.scaling.factor is -1, expected 0 (no scaling) or more");
  for (const auto& error : {read_error<Gemma3Config>(with("gemma3", "rope.scaling.type", "yarn")),
                            read_error<Gemma3nConfig>(with("gemma3n", "rope.scaling.type", "yarn")),
                            read_error<Gemma4Config>(with("gemma4", "rope.scaling.type", "yarn"))})
    EXPECT_NE(error.find("rope.scaling.type is \"yarn\", expected none or linear"), std::string::npos) << error;
}

TEST(GgufDefaults, OnlyCausalAttentionIsTaken) {
  const auto with = [](const char* architecture, bool causal) {
    return with_required_keys(architecture, 12).add(std::string(architecture) + ".attention.causal", causal);
  };
  EXPECT_EQ(read_error<Gemma3Config>(with("gemma3", false)),
            "model.gguf: key gemma3.attention.causal is false; only causal attention is supported");
  EXPECT_EQ(read_error<Gemma3nConfig>(with("gemma3n", false)),
            "model.gguf: key gemma3n.attention.causal is false; only causal attention is supported");
  EXPECT_EQ(read_error<Gemma4Config>(with("gemma4", false)),
            "model.gguf: key gemma4.attention.causal is false; only causal attention is supported");
  EXPECT_EQ(read_error<Gemma3Config>(with("gemma3", true)), "no error");
}

// Every family: one line that names the key.
TEST(GgufDefaults, ValuesNoModelHasAreRefused) {
  auto with = [](const char* architecture, const char* key, auto value) {
    return with_required_keys(architecture, 12).add(std::string(architecture) + '.' + key, value);
  };
  EXPECT_EQ(read_error<Gemma3Config>(with("gemma3", "attention.sliding_window_pattern", 0u)),
            "model.gguf: key gemma3.attention.sliding_window_pattern is 0, expected 1 to 1073741824");
  EXPECT_EQ(read_error<Gemma3nConfig>(with("gemma3n", "attention.sliding_window", 0u)),
            "model.gguf: key gemma3n.attention.sliding_window is 0, expected 1 to 1073741824");
  EXPECT_EQ(read_error<Gemma4Config>(with("gemma4", "rope.freq_base", std::numeric_limits<float>::infinity())),
            "model.gguf: key gemma4.rope.freq_base is inf, expected a finite number");
  EXPECT_EQ(read_error<Gemma3Config>(with("gemma3", "attention.key_length", 33u)),
            "model.gguf: the head size is 33; expected an even number");
  EXPECT_EQ(read_error<Gemma3Config>(with("gemma3", "rope.scaling.type", "yarn")),
            "model.gguf: key gemma3.rope.scaling.type is \"yarn\", expected none or linear");
  for (const auto& error : {read_error<Gemma3Config>(with_required_keys("gemma3", 5000)),
                            read_error<Gemma3nConfig>(with_required_keys("gemma3n", 5000)),
                            read_error<Gemma4Config>(with_required_keys("gemma4", 5000))})
    EXPECT_NE(error.find("block_count is 5000, expected 1 to 4096"), std::string::npos) << error;
  EXPECT_EQ(read_error<Gemma4Config>(GgufWriter()),
            "model.gguf: key gemma4.block_count: not in the file, expected an integer that fits i64");
}

}  // namespace
}  // namespace lazuli
