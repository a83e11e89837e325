// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/generate.h>
#include <lazuli/models/text/tokenizer.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <exception>
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

  // Returns what became certain; `stopped` says that a stop text is complete and that none which began before it can
  // still become so: the one that begins first ends the text, however it is cut into tokens.
  std::string push(std::int32_t id, bool& stopped) {
    if (decoder_) pending_ += decoder_->push(id);
    const std::size_t stop = first_stop(), open = first_open();
    stopped = stop != std::string::npos && stop <= open;
    if (!stopped) return release(std::min(stop, open));
    pending_.resize(stop);
    return std::exchange(pending_, {});
  }
  // The rest, when no token follows; `stopped` as above.
  std::string finish(bool& stopped) {
    if (decoder_) pending_ += decoder_->finish();
    if (const std::size_t stop = first_stop(); stop != std::string::npos) {
      stopped = true;
      pending_.resize(stop);
    }
    return std::exchange(pending_, {});
  }

 private:
  std::string release(std::size_t size) {
    std::string certain = pending_.substr(0, size);
    pending_.erase(0, certain.size());
    return certain;
  }
  // Where the first complete stop text begins; npos where there is none.
  std::size_t first_stop() const {
    std::size_t first = std::string::npos;
    for (const std::string& stop : stops_)
      if (!stop.empty()) first = std::min(first, pending_.find(stop));
    return first;
  }
  // Where the first end of the pending text begins that more text could make a stop text; npos where there is none.
  std::size_t first_open() const {
    std::size_t longest = 0;
    for (const std::string& stop : stops_)
      for (std::size_t length = std::min(stop.size() - std::min<std::size_t>(stop.size(), 1), pending_.size());
           length > longest; --length)
        if (pending_.compare(pending_.size() - length, length, stop, 0, length) == 0) longest = length;
    return longest == 0 ? std::string::npos : pending_.size() - longest;
  }

  std::optional<StreamDecoder> decoder_;
  const std::vector<std::string>& stops_;
  std::string pending_;
};

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t exponent = 0x7f800000;  // all ones: infinite or not a number
  std::uint32_t found = 0;
  for (const float value : values) found |= (std::bit_cast<std::uint32_t>(value) & exponent) == exponent;
  return found == 0;
}

// One token after the other. Greedy: the token of a step is an array the next step reads, so that the next step can be
// submitted before the host has seen it. Sampled: the host needs the logits first.
class TokenSource {
 public:
  TokenSource(Runner& runner, const GenerateOptions& options)
      : runner_(runner), sampler_(options.sampler, never_generated(runner.model())) {}

  void start(const Array& prompt_logits) {
    if (sampler_.options().greedy()) {
      token_ = runner_.likeliest(prompt_logits);
      flaw_ = flaw_of(prompt_logits);
      async_eval({token_, flaw_});
    } else {
      logits_ = prompt_logits;
    }
  }
  // Submits the step after the current token, where that needs no host decision.
  void look_ahead() {
    if (!sampler_.options().greedy()) return;
    next_ = runner_.decode_greedy(token_);
    next_flaw_ = runner_.greedy_flaw();
  }
  // Throws where a logit is not finite, as far as flaw_ tells: whatever token followed would mean nothing.
  std::int32_t current(std::span<const std::int32_t> recent) {
    if (!(sampler_.options().greedy() ? flaw_.item<float>() == 0 : all_finite(logits_.data<float>())))
      fail("generate: the logits of the token at position {} are not finite; weights may be damaged", recent.size());
    if (!sampler_.options().greedy()) {
      const std::int32_t id = sampler_.sample(logits_.data<float>(), recent);
      token_ = Array::from({id}, {1});
    }
    return token_.item<std::int32_t>();
  }
  void advance() {
    if (!sampler_.options().greedy()) {
      logits_ = runner_.decode(token_);
      return;
    }
    token_ = next_;
    flaw_ = next_flaw_;
  }

 private:
  Runner& runner_;
  Sampler sampler_;
  Array token_, next_, logits_;
  // f32 [1], 0 or NaN: of the prompt's logits, which a damaged head shows in, then of what each step gives the head.
  Array flaw_, next_flaw_;
};

// Cuts the runner back to what it held, where a generation ends by an exception: steps that looked ahead included.
class CutBackOnError {
 public:
  explicit CutBackOnError(Runner& runner)
      : runner_(runner), length_(runner.length()), exceptions_(std::uncaught_exceptions()) {}
  ~CutBackOnError() {
    if (std::uncaught_exceptions() == exceptions_) return;
    runner_.settle();  // whether a step failed decides what can be kept
    runner_.truncate(runner_.keepable(length_));
  }
  CutBackOnError(const CutBackOnError&) = delete;
  CutBackOnError& operator=(const CutBackOnError&) = delete;

 private:
  Runner& runner_;
  std::int64_t length_;
  int exceptions_;
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
  TokenSource source(runner, options);
  auto start = Clock::now();
  if (options.max_tokens <= 0) {
    wait(logits);
    result.prompt_seconds = seconds_since(start);
    return result;
  }
  const CutBackOnError guard(runner);
  source.start(logits);
  std::int64_t kept = runner.length();
  std::string rest;
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
  if (result.stop != StopReason::stop_text) {
    bool stopped = false;
    rest = text.finish(stopped);
    const bool own_end = result.stop == StopReason::length || result.stop == StopReason::end_of_generation ||
                         result.stop == StopReason::context_full;
    if (stopped && own_end) result.stop = StopReason::stop_text;
  }
  result.text += rest;
  if (!rest.empty() && options.on_rest) options.on_rest(rest);
  // A step that looked ahead may have failed: what is generated stands all the same.
  runner.truncate(runner.keepable(std::min(kept, runner.length())));
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace lazuli
