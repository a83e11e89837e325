// A tiny checkpoint against its reference: logits at every position, and the greedy continuation token by token.
#pragma once

#include <gtest/gtest.h>
#include <lazuli/backends/session.h>
#include <lazuli/graph/ops.h>
#include <lazuli/models/load.h>
#include <lazuli/models/runner.h>
#include <lazuli/models/safetensors.h>
#include <lazuli/tests/test_model.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace lazuli::test {

struct GoldenSettings {
  std::string backend = "cpu";
  std::string fusion = "all";
  std::int64_t chunk = 16;  // rows of a prompt step, or RunnerOptions::whole_prompt
  double tolerance = 2e-3;  // of each logit; both sides compute in f32 but add up in another order
  int threads = 2;
};

inline std::string to_string(const GoldenSettings& settings) {
  const std::string chunk = settings.chunk == RunnerOptions::whole_prompt ? "all" : std::to_string(settings.chunk);
  return settings.backend + ", fusion " + settings.fusion + ", chunk " + chunk;
}

// Both backends, every level of fusion, and chunks shorter and longer than the windows of 8 positions.
inline std::vector<GoldenSettings> golden_settings(double tolerance = 2e-3) {
  std::vector<GoldenSettings> all;
  for (const char* fusion : {"all", "none", "primitive"})
    for (const std::int64_t chunk : {std::int64_t{1}, std::int64_t{5}, std::int64_t{16}, RunnerOptions::whole_prompt})
      all.push_back({"cpu", fusion, chunk, tolerance});
  for (const std::int64_t chunk : {std::int64_t{5}, RunnerOptions::whole_prompt})
    all.push_back({"reference", "none", chunk, tolerance});
  all.push_back({"reference", "all", 16, tolerance});
  all.push_back({"reference", "primitive", 16, tolerance});
  return all;
}

inline void PrintTo(const GoldenSettings& settings, std::ostream* out) { *out << to_string(settings); }

// A name for INSTANTIATE_TEST_SUITE_P.
inline std::string golden_test_name(const testing::TestParamInfo<GoldenSettings>& info) {
  std::string name;
  for (const char c : to_string(info.param)) {
    if (std::isalnum(static_cast<unsigned char>(c))) name += c;
    if (c == ' ') name += '_';
  }
  return name;
}

// ids.K, logits.K and greedy.K of a golden file, for prompt K = 0..3.
struct GoldenPrompt {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;         // [T, vocab]
  std::vector<std::int32_t> greedy;  // the prompt and its greedy continuation, not stopped by end tokens
};

inline std::vector<GoldenPrompt> read_golden(const std::string& path) {
  const std::map<std::string, Array> tensors = read_safetensors(path);
  auto values = [&]<class T>(const std::string& name, std::vector<T>& out) {
    const std::span<const T> data = tensors.at(name).data<T>();
    out.assign(data.begin(), data.end());
  };
  std::vector<GoldenPrompt> prompts;
  for (int i = 0; tensors.contains("ids." + std::to_string(i)); ++i) {
    const std::string suffix = '.' + std::to_string(i);
    GoldenPrompt& prompt = prompts.emplace_back();
    values("ids" + suffix, prompt.ids);
    values("logits" + suffix, prompt.logits);
    values("greedy" + suffix, prompt.greedy);
  }
  return prompts;
}

inline void expect_golden_logits(const LanguageModel& model, const GoldenPrompt& prompt, const RunnerOptions& options,
                                 double tolerance) {
  Runner runner(model, options);
  const auto vocabulary = static_cast<std::size_t>(model.info().vocab_size);
  ASSERT_EQ(prompt.logits.size(), prompt.ids.size() * vocabulary);
  std::int64_t worst_row = 0, rows_seen = 0;
  double worst = 0;
  runner.prefill_logits(prompt.ids, [&](std::int64_t first, const Array& logits, std::int64_t rows) {
    rows_seen += rows;
    const std::span<const float> values = logits.data<float>();
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * vocabulary; ++i) {
      const double difference =
          std::abs(static_cast<double>(values[i]) - prompt.logits[static_cast<std::size_t>(first) * vocabulary + i]);
      if (difference <= worst || std::isnan(worst)) continue;  // a NaN is remembered
      worst = difference;
      worst_row = first + static_cast<std::int64_t>(i / vocabulary);
    }
  });
  EXPECT_EQ(rows_seen, static_cast<std::int64_t>(prompt.ids.size()));
  EXPECT_LE(worst, tolerance) << "at position " << worst_row;
}

inline void expect_golden_continuation(const LanguageModel& model, const GoldenPrompt& prompt,
                                       const RunnerOptions& options) {
  Runner runner(model, options);
  std::vector<std::int32_t> ids = prompt.ids;
  if (prompt.greedy.size() == ids.size()) return;
  Array token = argmax(runner.prefill(prompt.ids));
  for (;;) {
    ids.push_back(token.item<std::int32_t>());
    if (ids.size() == prompt.greedy.size()) break;
    token = runner.decode_greedy(token);
  }
  EXPECT_EQ(ids, prompt.greedy);
}

// `folder` of tests/data/goldens holds golden.safetensors and either model.gguf or a checkpoint folder. Everything is
// computed in f32, caches included.
inline void expect_golden(const std::string& folder, const GoldenSettings& settings) {
  const std::string path = test_data_path("goldens/" + folder), gguf = path + "/model.gguf";
  SessionOptions options;
  options.backend = settings.backend;
  options.fusion = settings.fusion;
  options.precision = Precision::f32;
  options.threads = settings.threads;
  options.verify = true;
  Session session(options);
  const auto model = load_model(std::filesystem::exists(gguf) ? gguf : path);
  RunnerOptions runner;
  runner.chunk = settings.chunk;
  runner.kv_dtype = DType::f32;
  const std::vector<GoldenPrompt> prompts = read_golden(path + "/golden.safetensors");
  ASSERT_EQ(prompts.size(), 4u);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    SCOPED_TRACE(folder + ", " + to_string(settings) + ", prompt " + std::to_string(i));
    expect_golden_logits(*model, prompts[i], runner, settings.tolerance);
    expect_golden_continuation(*model, prompts[i], runner);
  }
}

}  // namespace lazuli::test
