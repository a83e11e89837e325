// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/host/process_memory.h>
#include <lazuli/models/load.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/memory.h>
#include <lazuli/tools/support/output.h>

#include <filesystem>
#include <system_error>

namespace lazuli::tool {
namespace {

// The least there has to be beside weights. Caches grow with the text.
constexpr std::int64_t smallest_rest = 100 << 20;

// LAZULI_ISA is part of the command line, as it were.
void check_isa() try { selected_isa(); } catch (const Error& error) {
  throw UsageError(error.what());
}

}  // namespace

std::unique_ptr<Session> make_session(SessionOptions options) {
  try {
    return std::make_unique<Session>(std::move(options));
  } catch (const InternalError&) {
    throw;
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

std::unique_ptr<LanguageModel> load_with_notes(const std::string& path, const ModelOptions& options) {
  std::unique_ptr<LanguageModel> model = load_model(path, options);
  for (const std::string& note : model->info().notes) log(fmt::format("note: {}: {}", path, note));
  return model;
}

void fail_no_tokenizer(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    fail_usage("{}: tokenizer.json is missing; add it, or give token ids with --ids", path);
  fail_usage("{}: the model has no tokenizer; give token ids with --ids", path);
}

Engine::Engine(const CommonOptions& options, std::function<void(Verdict)> on_verdict, EngineUse use)
    : options_(take_choices(options, nullptr)) {
  check_isa();
  model_ = load_with_notes(options.model, options_.model_options());
  const std::string form = options_.altup;
  options_ = take_choices(options, &model_->info());
  if (options_.altup != form) model_ = load_model(options.model, options_.model_options());
  SessionOptions session = options_.session();
  session.on_verdict = std::move(on_verdict);
  session.on_weight = [this](const std::string&, std::int64_t bytes) {
    packed_ += bytes;
    if (packing_) packing_->advance_to(packed_);
  };
  session_ = make_session(std::move(session));
  // Allowed, as in llama.cpp: what a model says beyond the positions it was trained on is up to the model.
  if (options.context > model_->info().context_length)
    log(fmt::format("note: --ctx {} exceeds the {} positions the model was trained for", options.context,
                    model_->info().context_length));
  if (use == EngineUse::passes_only) return;
  const std::int64_t weights = weight_memory(model_->info(), session_->options().precision);
  check_fits(options.model, weights + smallest_rest, available_memory());
  packing_.emplace("packing weights", model_->info().laid_out_bytes);
}

const Tokenizer& Engine::tokenizer() const {
  const std::shared_ptr<const Tokenizer> tokenizer = model_->tokenizer();
  if (!tokenizer) fail_no_tokenizer(options_.model);
  return *tokenizer;
}

std::vector<std::int32_t> Engine::encode(const PromptOptions& prompt, EncodeOptions options) const {
  if (prompt.has_ids()) return read_ids_option(*prompt.ids);
  const Tokenizer& encoder = tokenizer();
  const std::string text = prompt.read_text();
  if (text.empty()) fail_usage("the prompt is empty; expected text");
  return encoder.encode(text, options);
}

void Engine::show_prompt(std::int64_t done, std::int64_t total) {
  if (done < total) session_->synchronize();
  if (!prompt_) prompt_.emplace("reading the prompt", total);
  prompt_->advance_to(done);
}

void Engine::end_progress() {
  packing_.reset();
  prompt_.reset();
}

}  // namespace lazuli::tool
