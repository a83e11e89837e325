// SPDX-License-Identifier: MIT
// A tiny checkpoint against its reference: logits at every position, and the greedy continuation token by token.
#pragma once

#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/golden_settings.h>
#include <lazuli/tests/support/test_model.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::test {

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

// `folder` of tests/data/goldens holds golden.safetensors and either model.gguf or a checkpoint folder.
inline std::string golden_path(const std::string& folder) { return test_data_path("goldens/" + folder); }

inline std::string golden_model_path(const std::string& folder) {
  const std::string path = golden_path(folder), gguf = path + "/model.gguf";
  return std::filesystem::exists(gguf) ? gguf : path;
}

// The largest difference from the reference's logits, over all positions; infinite where one is not a number or rows
// are missing.
inline double worst_logit(const LanguageModel& model, const GoldenPrompt& prompt, const RunnerOptions& options) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  Runner runner(model, options);
  const auto vocabulary = static_cast<std::size_t>(model.info().vocab_size);
  if (prompt.logits.size() != prompt.ids.size() * vocabulary) return infinite;
  double worst = 0;
  std::size_t rows_seen = 0;
  runner.prefill_logits(prompt.ids, [&](std::int64_t first, const Array& logits, std::int64_t rows) {
    rows_seen += static_cast<std::size_t>(rows);
    const std::span<const float> values = logits.data<float>();
    const float* expected = prompt.logits.data() + static_cast<std::size_t>(first) * vocabulary;
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * vocabulary; ++i) {
      const double difference = std::abs(static_cast<double>(values[i]) - expected[i]);
      worst = std::isnan(difference) ? infinite : std::max(worst, difference);
    }
  });
  return rows_seen == prompt.ids.size() ? worst : infinite;
}

inline std::vector<std::int32_t> continue_greedily(const LanguageModel& model, const GoldenPrompt& prompt,
                                                   const RunnerOptions& options) {
  Runner runner(model, options);
  std::vector<std::int32_t> ids = prompt.ids;
  if (prompt.greedy.size() == ids.size()) return ids;
  Array token = argmax(runner.prefill(prompt.ids));
  for (;;) {
    ids.push_back(token.item<std::int32_t>());
    if (ids.size() == prompt.greedy.size()) return ids;
    token = runner.decode_greedy(token);
  }
}

struct GoldenOutcome {
  double worst = 0;          // of the logits of all prompts
  bool greedy_equal = true;  // or not compared
};

// A golden folder, its models loaded once for all settings.
class GoldenRun {
 public:
  explicit GoldenRun(const GoldenFolder& folder)
      : folder_(folder), prompts_(read_golden(golden_path(folder.name) + "/golden.safetensors")) {
    if (prompts_.size() != 4) fail("{}: {} prompts, expected 4", folder.name, prompts_.size());
  }

  // Everything in f32, caches included.
  GoldenOutcome run(const GoldenSetting& setting) {
    SessionOptions options;
    options.backend = setting.backend;
    options.fusion = setting.fusion;
    options.precision = Precision::f32;
    options.threads = 2;
    options.verify = true;
    Session session(options);
    std::unique_ptr<LanguageModel>& model = models_[setting.altup];
    if (!model) model = load_model(golden_model_path(folder_.name), {setting.altup});
    RunnerOptions runner;
    runner.chunk = setting.chunk;
    runner.kv_dtype = DType::f32;
    GoldenOutcome outcome;
    for (const GoldenPrompt& prompt : prompts_) {
      outcome.worst = std::max(outcome.worst, worst_logit(*model, prompt, runner));
      if (folder_.compares_greedy && continue_greedily(*model, prompt, runner) != prompt.greedy)
        outcome.greedy_equal = false;
    }
    return outcome;
  }

  bool passes(const GoldenSetting& setting, const GoldenOutcome& outcome) const {
    return outcome.worst <= folder_.tolerance_of(setting.fusion) && outcome.greedy_equal;
  }

 private:
  GoldenFolder folder_;
  std::vector<GoldenPrompt> prompts_;
  std::map<AltupForm, std::unique_ptr<LanguageModel>> models_;
};

}  // namespace lazuli::test
