// SPDX-License-Identifier: MIT
// A session with a model in it, and the bars a person sees while it gets ready.
#pragma once

#include <lazuli/models/model.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/progress.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::tool {

// A session made of what the command line says: a bad choice is a UsageError.
std::unique_ptr<Session> make_session(SessionOptions options);

// The model of a path, with notes on what of it was left aside.
std::unique_ptr<LanguageModel> load_with_notes(const std::string& path, const ModelOptions& options);

// Says what a model without a tokenizer lacks.
[[noreturn]] void fail_no_tokenizer(const std::string& path);

enum class EngineUse {
  programs,     // weights get laid out: the model has to fit into memory
  passes_only,  // graphs alone
};

class Engine {
 public:
  // What is wrong with the options shows before a model is read.
  // `on_verdict` is told what the rules of the passes did, and why they did not.
  // Throws an Error where the model is not fit for `use`.
  explicit Engine(const CommonOptions& options, std::function<void(Verdict)> on_verdict = {},
                  EngineUse use = EngineUse::programs);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Session& session() { return *session_; }
  const LanguageModel& model() const { return *model_; }
  // As they are in force here, for this model.
  const CommonOptions& options() const { return options_; }

  // The ids of a prompt: taken as they are, or the encoded text, with the begin-of-text token where the model wants
  // one unless `options` say otherwise. Throws UsageError where the text is empty, and where the model has no
  // tokenizer.
  std::vector<std::int32_t> encode(const PromptOptions& prompt, EncodeOptions options = {}) const;
  const Tokenizer& tokenizer() const;  // throws UsageError where the model has none

  // A bar for the prompt; it waits for the chunks submitted, so that it shows what was done.
  void show_prompt(std::int64_t done, std::int64_t total);
  // Wipes what is drawn; for the moment before output appears on the same terminal.
  void end_progress();

 private:
  CommonOptions options_;
  std::int64_t packed_ = 0;
  std::optional<Progress> packing_, prompt_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<LanguageModel> model_;
};

}  // namespace lazuli::tool
