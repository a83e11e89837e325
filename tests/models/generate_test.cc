// SPDX-License-Identifier: MIT
// What ends a generation, what is never drawn, logits that are not finite, and caches of models that compute otherwise.
#include <fmt/format.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;
using nlohmann::json;
using test::CheckpointCopy;
using test::error_of;

constexpr const char* families[] = {"gemma3-dense", "gemma3n", "gemma4-e"};

Ids some_ids(std::int64_t count) {
  Ids ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((i * i + 7 * i + 3) % 320));
  return ids;
}

GenerateOptions options_of(std::int64_t tokens, double temperature = 0) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.sampler.temperature = temperature;
  options.ignore_eos = true;
  return options;
}

GenerateResult run(const LanguageModel& model, const GenerateOptions& options) {
  Runner runner(model, {});
  return generate(runner, model.tokenizer(), some_ids(30), options);
}

// ---- stop texts ----

class StopTexts : public testing::Test {
 protected:
  static constexpr double hot = 100;  // so that no token comes twice

  StopTexts() : copy_("gemma3-dense") {
    copy_.write_tokenizer({{2, "<bos>"}});
    model_ = load_model(copy_.path());
    whole_ = run(*model_, options_of(12, hot));
    EXPECT_EQ(std::set(whole_.ids.begin(), whole_.ids.end()).size(), whole_.ids.size());
    for (std::size_t i = 0; i < whole_.ids.size(); ++i) pieces_.push_back(fmt::format("t{} ", whole_.ids[i]));
  }

  // What the callbacks are given is the text.
  std::string text_with(std::vector<std::string> stops, std::int64_t tokens = 12) {
    GenerateOptions options = options_of(tokens, hot);
    std::string seen;
    options.on_token = [&](std::int32_t, const std::string& text) {
      seen += text;
      return true;
    };
    options.on_rest = [&](const std::string& text) { seen += text; };
    options.stop = std::move(stops);
    const GenerateResult result = run(*model_, options);
    EXPECT_EQ(seen, result.text);
    reason_ = result.stop;
    return result.text;
  }
  std::string upto(std::size_t token) const {
    std::string text;
    for (std::size_t i = 0; i < token; ++i) text += pieces_[i];
    return text;
  }

  Session session_;
  CheckpointCopy copy_;
  std::unique_ptr<LanguageModel> model_;
  GenerateResult whole_;
  std::vector<std::string> pieces_;
  StopReason reason_ = StopReason::length;
};

TEST_F(StopTexts, TheOneThatBeginsFirstEndsTheText) {
  const std::string early = pieces_[2], late = pieces_[4];
  ASSERT_NE(early, late);
  for (const auto& stops : {std::vector{early, late}, std::vector{late, early}}) {
    EXPECT_EQ(text_with(stops), upto(2));
    EXPECT_EQ(reason_, StopReason::stop_text);
  }
}

TEST_F(StopTexts, OfThoseThatEndInOneTokenTheLongerBeginsFirst) {
  const std::string inner = pieces_[4], outer = pieces_[3] + pieces_[4], tail = pieces_[4].substr(1);
  for (auto stops : {std::vector{inner, outer, tail}, std::vector{tail, inner, outer}, std::vector{outer, tail, inner}})
    EXPECT_EQ(text_with(stops), upto(3));
  EXPECT_EQ(text_with({tail, inner}), upto(4));
}

TEST_F(StopTexts, OneThatBeganBeforeIsWaitedFor) {
  const std::string inner = pieces_[4], outer = pieces_[3] + pieces_[4] + pieces_[5];
  for (const auto& stops : {std::vector{inner, outer}, std::vector{outer, inner}}) {
    EXPECT_EQ(text_with(stops), upto(3));
    // It does not come: the generation ends before, or another text follows.
    EXPECT_EQ(text_with(stops, 5), upto(4));
    EXPECT_EQ(reason_, StopReason::stop_text);
  }
  EXPECT_EQ(text_with({inner, pieces_[3] + pieces_[4] + "x"}), upto(4));
  EXPECT_EQ(reason_, StopReason::stop_text);
}

TEST_F(StopTexts, TextsThatDoNotComeChangeNothing) {
  EXPECT_EQ(text_with({"", "never", pieces_[11] + "x"}), whole_.text);
  EXPECT_EQ(reason_, StopReason::length);
}

// ---- rows that are no tokens ----

TEST(Generate, NeverDrawsRowsPastTheVocabulary) {
  Session session;
  for (const char* family : families) {
    SCOPED_TRACE(family);
    CheckpointCopy copy(family);
    // The likeliest tokens are none of the vocabulary's.
    const auto bare = load_model(copy.path());
    const Ids likeliest = run(*bare, options_of(8)).ids;
    const std::int32_t tokens = *std::ranges::max_element(likeliest);
    ASSERT_GT(tokens, 3);
    json vocabulary;
    for (int id = 0; id < tokens; ++id) vocabulary[id == 2 ? std::string("<bos>") : fmt::format("t{} ", id)] = id;
    copy.write("tokenizer.json", {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}});
    const auto model = load_model(copy.path());
    EXPECT_EQ(never_generated(*model).size(), static_cast<std::size_t>(320 - tokens));
    for (const double temperature : {0.0, 50.0})
      for (const std::int32_t id : run(*model, options_of(60, temperature)).ids) EXPECT_LT(id, tokens);
  }
}

// ---- logits that are not finite ----

// A copy of a golden checkpoint with one bf16 value of a tensor changed.
std::unique_ptr<LanguageModel> damaged(const char* family, const std::string& tensor, std::int64_t at,
                                       std::uint16_t bits) {
  CheckpointCopy copy(family);
  const std::string path = copy.path() + "/model.safetensors";
  std::string bytes = test::golden_path(family) + "/model.safetensors";
  {
    std::ifstream stream(bytes, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const json entries = json::parse(bytes.substr(8, header));
  for (const auto& [name, entry] : entries.items())
    if (name.ends_with(tensor)) {
      const auto begin = entry["data_offsets"][0].get<std::size_t>();
      std::memcpy(bytes.data() + 8 + header + begin + 2 * static_cast<std::size_t>(at), &bits, 2);
    }
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
  return load_model(copy.path());  // which keeps the file, though its name goes
}

TEST(Generate, SaysWhereLogitsAreNotFinite) {
  constexpr std::uint16_t not_a_number = 0x7fc0, infinite = 0x7f80;
  Session session;
  for (const char* family : families)
    for (const double temperature : {0.0, 1.0}) {
      SCOPED_TRACE(family);
      const std::string error =
          "generate: the logits of the token at position 30 are not finite; weights may be damaged";
      const auto all = damaged(family, "model.norm.weight", 5, not_a_number);
      EXPECT_EQ(error_of([&] { run(*all, options_of(4, temperature)); }), error);
      const auto row = damaged(family, "model.embed_tokens.weight", 128 * 319 + 7, not_a_number);
      EXPECT_EQ(error_of([&] { run(*row, options_of(4, temperature)); }), error);
    }
  // A cap makes finite what is not.
  for (const double temperature : {0.0, 1.0}) {
    const auto row = damaged("gemma3-dense", "model.embed_tokens.weight", 128 * 319 + 7, infinite);
    EXPECT_NE(error_of([&] { run(*row, options_of(4, temperature)); }).find("not finite"), std::string::npos);
  }
}

// Also where the step that looked ahead is under way, and with a window's ring.
TEST(Generate, LogitsThatAreNotFiniteLeaveThePrompt) {
  Session session;
  for (const char* family : families)
    for (const double temperature : {0.0, 1.0}) {
      SCOPED_TRACE(family);
      const auto model = damaged(family, "model.norm.weight", 5, 0x7fc0);
      Runner runner(*model, {});
      EXPECT_NE(error_of([&] { generate(runner, nullptr, some_ids(30), options_of(4, temperature)); }), "");
      EXPECT_EQ(runner.length(), 30);
    }
}

// The head is sound, what it is given is not.
TEST(Generate, GreedyStepsSayWhatALayerMade) {
  Session session;
  for (const char* family : {"gemma3-dense", "gemma4-e"}) {
    SCOPED_TRACE(family);
    const auto model = load_model(test::golden_model_path(family));
    Runner runner(*model, {});
    runner.prefill(some_ids(30));
    runner.decode_greedy(Array::from({std::int32_t{5}}, {1}));
    EXPECT_EQ(runner.greedy_flaw().item<float>(), 0);
    const auto broken = damaged(family, "model.norm.weight", 5, 0x7f80);
    Runner other(*broken, {});
    other.prefill(some_ids(30));
    other.decode_greedy(Array::from({std::int32_t{5}}, {1}));
    EXPECT_NE(other.greedy_flaw().item<float>(), 0);
  }
}

// Nothing but the largest reads the logits of a greedy step, so that they need not be written.
TEST(Generate, GreedyStepsWriteNoLogits) {
  for (const char* name : {"gemma3-dense", "gemma3n", "gemma4-e-gguf-q4_0"}) {
    SCOPED_TRACE(name);
    Session session;
    const auto model = load_model(test::golden_model_path(name));
    Runner runner(*model, {});
    const Runner::Step step = runner.decode_step();
    const auto compiled = std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments));
    std::vector<std::string> names;
    for (const GraphNode& node : compiled->fused.nodes) names.emplace_back(node.name());
    // Side by side, with one reader each, they become one launch.
    const std::string steps = fmt::format("{}", fmt::join(names, " "));
    EXPECT_TRUE(steps.ends_with(" linear argmax") || steps.ends_with(" linear softcap argmax")) << steps;
  }
}

// ---- caches of models that compute otherwise ----

// Every setting on which results depend: a cache of another value is refused, and named.
TEST(Conversation, RefusesCachesOfModelsThatComputeOtherwise) {
  Session session;
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  struct Change {
    const char* family;
    const char* key;
    json value;
    std::string named;
  };
  const json other_base = {{"full_attention", {{"rope_theta", 5e5}, {"rope_type", "linear"}, {"factor", 2}}},
                           {"sliding_attention", {{"rope_theta", 2e4}, {"rope_type", "default"}}}};
  json other_rotation = other_base;
  other_rotation["full_attention"] = {
      {"rope_theta", 1e6}, {"rope_type", "proportional"}, {"partial_rotary_factor", 0.5}};
  std::vector<Change> changes = {
      {"gemma3-dense", "query_pre_attn_scalar", 100, "attention_scale is "},
      {"gemma3n", "altup_coef_clip", 3.0, "altup_coefficient_limit is 120, expected 3"},
      {"gemma3n", "activation_sparsity_pattern", json(nullptr), "sparsity_cutoff is "},
      {"gemma4-e", "rope_parameters", other_rotation, "rotary_factor_global is 0.25, expected 0.5"},
  };
  for (const char* family : families) {
    changes.push_back({family, "rope_parameters", other_base, "rope_base_global is 1000000, expected 500000"});
    changes.push_back({family, "rope_parameters", other_base, "rope_base_sliding is 10000, expected 20000"});
    changes.push_back({family, "rope_parameters", other_base, "rope_factor_global is 1, expected 2"});
    changes.push_back({family, "rms_norm_eps", 1e-5, "norm_epsilon is "});
    changes.push_back({family, "final_logit_softcapping", 17.0, "final_softcap is "});
    changes.push_back({family, "sliding_window", 16, "window is 8, expected 16"});
  }
  for (const Change& change : changes) {
    SCOPED_TRACE(fmt::format("{} {}", change.family, change.key));
    CheckpointCopy copy(change.family);
    {
      const auto model = load_model(copy.path());
      Conversation conversation(*model);
      conversation.append(some_ids(20));
      conversation.generate(options_of(1));
      OutputFile file(path);
      conversation.save(file);
      Conversation(*model).load(path);
    }
    copy.set_config(change.key, change.value);
    const auto model = load_model(copy.path());
    const std::string error = error_of([&] { Conversation(*model).load(path); });
    EXPECT_NE(error.find("a cache of another model or setting: "), std::string::npos) << error;
    EXPECT_NE(error.find(change.named), std::string::npos) << error;
  }
}

TEST(Conversation, RefusesCachesOfAnotherPattern) {
  Session session;
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  CheckpointCopy copy("gemma3-dense");
  const auto save_or_load = [&](bool save) {
    const auto model = load_model(copy.path());
    Conversation conversation(*model);
    if (!save) return conversation.load(path);
    conversation.append(some_ids(20));
    conversation.generate(options_of(1));
    OutputFile file(path);
    conversation.save(file);
  };
  save_or_load(true);
  json types(7, "sliding_attention");
  types[2] = "full_attention";
  copy.set_config("layer_types", types);
  EXPECT_NE(error_of([&] { save_or_load(false); }).find("global_layers is 5, expected 2"), std::string::npos);
}

}  // namespace
}  // namespace lazuli
