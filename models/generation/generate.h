// SPDX-License-Identifier: MIT
// Text in, text out: prefill, then tokens one by one until something ends it.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/run_limits.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/generation/sampler.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lazuli {

enum class LAZULI_API StopReason : std::uint8_t {
  length,
  end_of_generation,
  stop_text,
  callback,
  cancelled,
  context_full,
  deadline
};
LAZULI_API std::string_view to_string(StopReason reason);

struct LAZULI_API GenerateOptions {
  std::int64_t max_tokens = 128;
  SamplerOptions sampler;
  // Texts that end the generation, the one that begins first where several do; they are not part of the result. A text
  // that could still become one which began earlier is waited for.
  std::vector<std::string> stop;
  bool ignore_eos = false;  // go on past end tokens
  // Called with each token and the text that became certain with it (empty where a UTF-8 character or a possible stop
  // text is incomplete). Returning false ends the generation.
  std::function<bool(std::int32_t id, const std::string& text)> on_token;
  // Called at the end with text that was held back for a token that did not come, where there is any. What on_token and
  // on_rest are given is together the text of the result.
  std::function<void(const std::string& text)> on_rest;
  PrefillProgress on_prefill;
  const std::atomic<bool>* cancel = nullptr;  // looked at between steps
  // The same, and a deadline. Steps that run are not ended: the runner would lose its caches.
  RunLimits limits;
};

struct LAZULI_API GenerateResult {
  std::vector<std::int32_t> ids;  // without the prompt; an end token is not among them
  std::string text;
  StopReason stop = StopReason::length;
  double prompt_seconds = 0;  // until the first token was known
  double decode_seconds = 0;  // the rest
};

// Appends `prompt` to what the runner holds and continues. While a token is handed out, the step after it already runs.
// Afterwards the runner holds the prompt and all tokens but the last; nothing where a step that looked ahead failed.
// `tokenizer` may be null: then there is no text, and no token ends the generation.
// Throws an Error where logits are not finite: those of the prompt, and where tokens are sampled those of every step;
// greedy steps look at what the head is given (Runner::greedy_flaw). Where it throws behind the prompt, or a callback
// does, the runner holds the prompt alone, or nothing where a sliding window has overwritten what that needs.
LAZULI_API GenerateResult generate(Runner& runner, std::shared_ptr<const Tokenizer> tokenizer,
                                   std::span<const std::int32_t> prompt, const GenerateOptions& options);

// The part of it behind the prompt: continues from `logits`, f32 [1, vocab], those of the last token the runner holds.
// `text` are the tokens so far, for the repeat penalty. prompt_seconds counts from this call.
LAZULI_API GenerateResult generate_from(Runner& runner, std::shared_ptr<const Tokenizer> tokenizer, const Array& logits,
                                        std::span<const std::int32_t> text, const GenerateOptions& options);
// Why the generation is to end between two steps: cancelled or deadline, by options.cancel and options.limits.
LAZULI_API std::optional<StopReason> ended_early(const GenerateOptions& options);
// Calls options.on_prefill, and stops where it is to end early. `options` outlives it.
LAZULI_API PrefillProgress prefill_progress(const GenerateOptions& options);

}  // namespace lazuli
