// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/generate.h>
#include <lazuli/models/text/tokenizer.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace lazuli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Text as it becomes certain: held back while it may still turn into a stop text.
class TextStream {
 public:
  TextStream(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<std::string>& stops) : stops_(stops) {
    if (tokenizer) decoder_.emplace(tokenizer);
  }

  // Returns what became certain; `stopped` says that a stop text was completed.
  std::string push(std::int32_t id, bool& stopped) {
    if (decoder_) pending_ += decoder_->push(id);
    for (const std::string& stop : stops_) {
      const std::size_t found = stop.empty() ? std::string::npos : pending_.find(stop);
      if (found == std::string::npos) continue;
      stopped = true;
      pending_.resize(found);
    }
    return stopped ? std::exchange(pending_, {}) : release(longest_possible_stop());
  }
  std::string finish() {
    if (decoder_) pending_ += decoder_->finish();
    return std::exchange(pending_, {});
  }

 private:
  std::string release(std::size_t held_back) {
    std::string certain = pending_.substr(0, pending_.size() - held_back);
    pending_.erase(0, certain.size());
    return certain;
  }
  // Length of the longest end of the pending text that begins a stop text.
  std::size_t longest_possible_stop() const {
    std::size_t longest = 0;
    for (const std::string& stop : stops_)
      for (std::size_t length = std::min(stop.size(), pending_.size()); length > longest; --length)
        if (pending_.compare(pending_.size() - length, length, stop, 0, length) == 0) longest = length;
    return longest;
  }

  std::optional<StreamDecoder> decoder_;
  const std::vector<std::string>& stops_;
  std::string pending_;
};

// One token after the other. Greedy: the token of a step is an array the next step reads, so that the next step can be
// submitted before the host has seen it. Sampled: the host needs the logits first.
class TokenSource {
 public:
  TokenSource(Runner& runner, const Tokenizer* tokenizer, const GenerateOptions& options)
      : runner_(runner),
        sampler_(options.sampler, tokenizer ? tokenizer->suppressed() : std::span<const std::int32_t>()) {}

  void start(const Array& prompt_logits) {
    if (sampler_.options().greedy()) {
      token_ = runner_.likeliest(prompt_logits);
      async_eval({token_});
    } else {
      logits_ = prompt_logits;
    }
  }
  // Submits the step after the current token, where that needs no host decision.
  void look_ahead() {
    if (sampler_.options().greedy()) next_ = runner_.decode_greedy(token_);
  }
  std::int32_t current(std::span<const std::int32_t> recent) {
    if (!sampler_.options().greedy()) {
      const std::int32_t id = sampler_.sample(logits_.data<float>(), recent);
      token_ = Array::from({id}, {1});
    }
    return token_.item<std::int32_t>();
  }
  void advance() {
    if (sampler_.options().greedy())
      token_ = next_;
    else
      logits_ = runner_.decode(token_);
  }

 private:
  Runner& runner_;
  Sampler sampler_;
  Array token_, next_, logits_;
};

}  // namespace

std::optional<StopReason> ended_early(const GenerateOptions& options) {
  if (options.cancel && options.cancel->load(std::memory_order_relaxed)) return StopReason::cancelled;
  const std::optional<ErrorKind> reached = options.limits.reached();
  if (!reached) return std::nullopt;
  return *reached == ErrorKind::deadline ? StopReason::deadline : StopReason::cancelled;
}

std::string_view to_string(StopReason reason) {
  constexpr std::string_view names[] = {"length",    "end_of_generation", "stop_text", "callback",
                                        "cancelled", "context_full",      "deadline"};
  return names[static_cast<std::size_t>(reason)];
}

PrefillProgress prefill_progress(const GenerateOptions& options) {
  return [&options](std::int64_t done, std::int64_t total) {
    return (!options.on_prefill || options.on_prefill(done, total)) && !ended_early(options);
  };
}

GenerateResult generate(Runner& runner, std::shared_ptr<const Tokenizer> tokenizer,
                        std::span<const std::int32_t> prompt, const GenerateOptions& options) {
  const auto start = Clock::now();
  const Array logits = runner.prefill(prompt, prefill_progress(options));
  const double submitted = seconds_since(start);
  GenerateResult result;
  if (logits.defined())
    result = generate_from(runner, std::move(tokenizer), logits, prompt, options);
  else
    result.stop = ended_early(options).value_or(StopReason::cancelled);
  result.prompt_seconds += submitted;
  return result;
}

GenerateResult generate_from(Runner& runner, std::shared_ptr<const Tokenizer> tokenizer, const Array& logits,
                             std::span<const std::int32_t> text_so_far, const GenerateOptions& options) {
  GenerateResult result;
  std::vector<std::int32_t> recent(text_so_far.begin(), text_so_far.end());
  TextStream text(tokenizer, options.stop);
  TokenSource source(runner, tokenizer.get(), options);
  auto start = Clock::now();
  if (options.max_tokens <= 0) {
    wait(logits);
    result.prompt_seconds = seconds_since(start);
    return result;
  }
  source.start(logits);
  std::int64_t kept = runner.length();
  for (;;) {
    const bool last = static_cast<std::int64_t>(result.ids.size()) + 1 >= options.max_tokens;
    const bool full = runner.length() >= runner.context();
    if (!last && !full) source.look_ahead();
    const std::int32_t id = source.current(recent);
    if (result.ids.empty()) {
      result.prompt_seconds = seconds_since(start);
      start = Clock::now();
    }
    if (tokenizer && !options.ignore_eos && tokenizer->is_end_of_generation(id)) {
      result.stop = StopReason::end_of_generation;
      break;
    }
    result.ids.push_back(id);
    recent.push_back(id);
    bool stopped = false;
    const std::string piece = text.push(id, stopped);
    result.text += piece;
    const bool go_on = !options.on_token || options.on_token(id, piece);
    const std::optional<StopReason> early = ended_early(options);
    if (stopped || !go_on || early || last || full) {
      result.stop = stopped  ? StopReason::stop_text
                    : !go_on ? StopReason::callback
                    : early  ? *early
                    : last   ? StopReason::length
                             : StopReason::context_full;
      break;
    }
    ++kept;
    source.advance();
  }
  const std::string rest = result.stop == StopReason::stop_text ? std::string() : text.finish();
  result.text += rest;
  if (!rest.empty() && options.on_rest) options.on_rest(rest);
  runner.truncate(std::min(kept, runner.length()));
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace lazuli
