#include <lazuli/graph/ops.h>
#include <lazuli/graph/philox.h>
#include <lazuli/tools/bench_runs.h>
#include <lazuli/tools/engine.h>
#include <lazuli/tools/errors.h>
#include <lazuli/tools/interrupt.h>

#include <algorithm>
#include <chrono>

namespace lazuli::tool {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_override(std::string_view word) { return !word.empty() && (word[0] == '+' || word[0] == '-'); }

// Any ids do: the work depends on their number alone.
std::vector<std::int32_t> random_ids(std::int64_t count, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(random_word(1, i) % static_cast<std::uint64_t>(vocabulary)));
  return ids;
}

double tokens_per_second(std::int64_t tokens, Clock::time_point start) {
  return static_cast<double>(tokens) / std::chrono::duration<double>(Clock::now() - start).count();
}

double time_prompt(Runner& runner, const std::vector<std::int32_t>& ids) {
  runner.truncate(0);
  const auto start = Clock::now();
  wait(runner.prefill(ids));
  return tokens_per_second(static_cast<std::int64_t>(ids.size()), start);
}

// As a generation does it: the next step is submitted before the token of this one is looked at.
double time_decode(Runner& runner, const std::vector<std::int32_t>& context, std::int64_t tokens) {
  runner.truncate(0);
  Array token = argmax(runner.prefill(context));
  token.item<std::int32_t>();
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < tokens; ++i) {
    const Array next = runner.decode_greedy(token);
    token.item<std::int32_t>();
    token = next;
  }
  token.item<std::int32_t>();
  return tokens_per_second(tokens, start);
}

}  // namespace

std::vector<BenchVariant> parse_variants(std::string_view text, std::int64_t chunk) {
  std::vector<std::string> names;
  if (text.find(';') != std::string_view::npos) {
    names = split(text, ';');
  } else {
    for (std::string& word : split(text, ','))
      if (is_override(word) && !names.empty())
        names.back() += "," + word;
      else
        names.push_back(std::move(word));
  }
  std::vector<BenchVariant> variants;
  for (const std::string& name : names) {
    if (name.empty()) fail_usage("--compare: a name is empty; expected fused,unfused or other --fusion values");
    const std::size_t end = std::min(name.find(','), name.size());
    const std::string level = name.substr(0, end);
    variants.push_back({name,
                        (level == "fused"     ? "all"
                         : level == "unfused" ? "none"
                                              : level) +
                            name.substr(end),
                        chunk});
  }
  return variants;
}

std::vector<BenchVariant> parse_sweep(std::string_view text, const std::string& fusion) {
  constexpr std::string_view prefix = "chunk=";
  if (text.substr(0, prefix.size()) != prefix) fail_usage("--sweep: expected chunk=64,128,...");
  std::vector<BenchVariant> variants;
  for (const std::string& value : split(text.substr(prefix.size()), ',')) {
    if (value.empty()) fail_usage("--sweep: a value is empty; expected chunk=64,128,...");
    variants.push_back({std::string(prefix) + value, fusion, parse_chunk(value)});
  }
  return variants;
}

// Two runners: the short context of the generation must not inherit the caches of the long prompt.
struct BenchRuns::Lane {
  Session& session;
  Runner prompt, decode;

  Lane(Session& where, const LanguageModel& model, const RunnerOptions& options)
      : session(where), prompt(model, options), decode(model, options) {}
};

BenchRuns::BenchRuns(const LanguageModel& model, const CommonOptions& options, std::vector<BenchVariant> variants)
    : model_(model), variants_(std::move(variants)) {
  for (const BenchVariant& variant : variants_) {
    RunnerOptions runner = options.runner();
    runner.chunk = variant.chunk;
    lanes_.push_back(std::make_unique<Lane>(session_for(variant.fusion, options), model, runner));
  }
}

Session& BenchRuns::session_for(const std::string& fusion, const CommonOptions& options) {
  for (const auto& session : sessions_)
    if (session->options().fusion == fusion) return *session;
  SessionOptions choice = options.session();
  choice.fusion = fusion;
  return *sessions_.emplace_back(make_session(std::move(choice)));
}

// Sessions restore the evaluator they found: they go in the reverse order of their coming.
BenchRuns::~BenchRuns() {
  lanes_.clear();
  while (!sessions_.empty()) sessions_.pop_back();
}

int BenchRuns::threads() const { return sessions_.front()->threads(); }

std::vector<BenchSamples> BenchRuns::measure(const BenchPlan& plan, const std::function<void()>& advance) {
  const std::int64_t vocabulary = model_.info().vocab_size;
  const std::vector<std::int32_t> prompt = random_ids(plan.prompt, vocabulary),
                                  context = random_ids(plan.depth, vocabulary);
  std::vector<BenchSamples> samples(lanes_.size());
  for (int repetition = -plan.warmup; repetition < plan.repetitions; ++repetition) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      Lane& lane = *lanes_[i];
      UseEvaluator use(lane.session);
      const auto record = [&](std::vector<double>& into, double value) {
        if (repetition >= 0) into.push_back(value);
        advance();
        check_interrupt();
      };
      if (plan.prompt > 0) record(samples[i].prompt, time_prompt(lane.prompt, prompt));
      if (plan.decode > 0) record(samples[i].decode, time_decode(lane.decode, context, plan.decode));
    }
  }
  return samples;
}

}  // namespace lazuli::tool
