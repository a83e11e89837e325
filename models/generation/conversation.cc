// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/models/text/chat_template.h>

#include <algorithm>
#include <chrono>

namespace lazuli {
namespace {

std::int64_t count(std::span<const std::int32_t> ids) { return static_cast<std::int64_t>(ids.size()); }

}  // namespace

Conversation::Conversation(const LanguageModel& model, const RunnerOptions& options) : runner_(model, options) {}

void Conversation::append(std::span<const std::int32_t> ids) { ids_.insert(ids_.end(), ids.begin(), ids.end()); }

void Conversation::append(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  options.add_bos = options.add_bos && ids_.empty();
  append(tokenizer.encode(text, options));
}

void Conversation::append(const Tokenizer& tokenizer, const ChatText& chat) { append(tokenizer.encode(chat)); }

std::int64_t Conversation::assign(std::span<const std::int32_t> ids) {
  const auto common = std::ranges::mismatch(ids_, ids).in1 - ids_.begin();
  cut_back(std::min<std::int64_t>(common, computed()));
  generated_.end = std::min<std::int64_t>(generated_.end, common);
  ids_.assign(ids.begin(), ids.end());
  return computed();
}

void Conversation::cut_back(std::int64_t length) { runner_.truncate(runner_.keepable(length)); }

// Returns the logits behind the last token, or an undefined array when `options` stopped a prompt half-way.
Array Conversation::compute_rest(const GenerateOptions& options) {
  cut_back(computed());  // to nothing, where a step failed
  // The logits of the last token are gone, so it is computed again.
  if (computed() == count(ids_)) cut_back(computed() - 1);
  if (computed() == 0) generated_ = {};  // all of it is a prompt again
  Array logits;
  while (generated_.contains(computed()))
    logits = runner_.decode(Array::from({ids_[static_cast<std::size_t>(computed())]}, {1}));
  if (computed() < count(ids_))
    logits = runner_.prefill(std::span<const std::int32_t>(ids_).subspan(static_cast<std::size_t>(computed())),
                             prefill_progress(options));
  return logits;
}

GenerateResult Conversation::generate(const GenerateOptions& options) {
  if (ids_.empty()) fail("generate: the text is empty; expected at least one token");
  const auto start = std::chrono::steady_clock::now();
  const Array logits = compute_rest(options);
  const std::chrono::duration<double> submitted = std::chrono::steady_clock::now() - start;
  GenerateResult result;
  if (logits.defined()) {
    result = generate_from(runner_, runner_.model().tokenizer(), logits, ids_, options);
    try {
      append(result.ids);
    } catch (...) {
      cut_back(std::min(computed(), count(ids_)));  // the caches hold no more than the text
      throw;
    }
    generated_ = {count(ids_) - count(result.ids), count(ids_)};
  } else {
    result.stop = ended_early(options).value_or(StopReason::cancelled);
  }
  result.prompt_seconds += submitted.count();
  return result;
}

void Conversation::save(OutputFile& file) const { write_cache(file, runner_, {ids_, generated_}); }

void Conversation::load(const std::string& path) {
  CachedText text = read_cache(path, runner_);
  ids_ = std::move(text.ids);
  generated_ = text.generated;
}

}  // namespace lazuli
