// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/philox.h>
#include <lazuli/models/load.h>
#include <lazuli/tools/bench/bench_runs.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/interrupt.h>

#include <chrono>
#include <map>
#include <optional>

namespace lazuli::tool {
namespace {

using Clock = std::chrono::steady_clock;

// Any ids do: the work depends on their number alone.
std::vector<std::int32_t> random_ids(std::int64_t count, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(random_word(1, i) % static_cast<std::uint64_t>(vocabulary)));
  return ids;
}

template <class T>
std::uint64_t checksum(std::span<const T> values) {
  return fnv1a({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

struct Timed {
  double tokens_per_second = 0;
  std::uint64_t checksum = 0;
};

double tokens_per_second(std::int64_t tokens, Clock::time_point start) {
  return static_cast<double>(tokens) / std::chrono::duration<double>(Clock::now() - start).count();
}

Timed time_prompt(Runner& runner, const std::vector<std::int32_t>& ids) {
  runner.truncate(0);
  const auto start = Clock::now();
  const Array logits = runner.prefill(ids);
  wait(logits);
  const double rate = tokens_per_second(static_cast<std::int64_t>(ids.size()), start);
  return {rate, checksum(logits.data<float>())};
}

// As a generation does it: the next step is submitted before the token of this one is looked at.
Timed time_decode(Runner& runner, const std::vector<std::int32_t>& context, std::int64_t tokens) {
  runner.truncate(0);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens) + 1);
  Array token = argmax(runner.prefill(context));
  token.item<std::int32_t>();
  const auto start = Clock::now();
  for (std::size_t i = 0; i < static_cast<std::size_t>(tokens); ++i) {
    const Array next = runner.decode_greedy(token);
    ids[i] = token.item<std::int32_t>();
    token = next;
  }
  ids.back() = token.item<std::int32_t>();
  const double rate = tokens_per_second(tokens, start);
  return {rate, checksum(std::span<const std::int32_t>(ids))};
}

}  // namespace

// The form of AltUp is a matter of how the model is built.
struct BenchRuns::Models {
  std::map<std::string, std::unique_ptr<LanguageModel>> by_altup;

  const LanguageModel& get(const CommonOptions& options) {
    std::unique_ptr<LanguageModel>& model = by_altup[options.altup];
    if (!model) model = load_model(options.model, options.model_options());
    return *model;
  }
};

// Where one case runs.
struct BenchRuns::Lane {
  Session& session;

  explicit Lane(Session& where) : session(where) {}
  virtual ~Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  virtual Timed run() = 0;
};

// A runner of its own: a short context must not inherit the caches of a long one.
struct BenchRuns::ModelLane final : Lane {
  const BenchCase& what;
  Runner runner;
  std::vector<std::int32_t> ids;  // the prompt, or the context before the generated tokens

  ModelLane(const BenchCase& bench_case, Session& where, const LanguageModel& model)
      : Lane(where),
        what(bench_case),
        runner(model, bench_case.options.runner()),
        ids(random_ids(what.part == BenchPart::prompt ? what.sizes.prompt : what.sizes.depth,
                       model.info().vocab_size)) {}

  Timed run() override {
    const UseSession use(session);
    return what.part == BenchPart::prompt ? time_prompt(runner, ids) : time_decode(runner, ids, what.sizes.decode);
  }
};

// A repetition is as many calls as a clock tells apart. The checksum is of the first one, which all cases begin alike.
struct BenchRuns::GraphLane final : Lane {
  const GraphFile& file;
  std::optional<GraphCalls> calls;
  int count = 1;
  std::uint64_t first = 0;

  GraphLane(const GraphFile& graph, Session& where) : Lane(where), file(graph) {
    const UseSession use(session);
    calls.emplace(file);
    first = fnv1a_start;
    for (const Array& result : calls->call())
      first = fnv1a({reinterpret_cast<const char*>(result.bytes()), static_cast<std::size_t>(result.type().bytes())},
                    first);
    count = calls->count_for_sample();
  }

  Timed run() override {
    const UseSession use(session);
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) calls->call();
    return {tokens_per_second(count, start), first};
  }
};

BenchRuns::BenchRuns(std::span<const BenchCase> cases) : cases_(cases), models_(std::make_unique<Models>()) {
  std::vector<Session*> of_case;
  for (const BenchCase& bench_case : cases) of_case.push_back(&session_for(bench_case.options));
  for (std::size_t i = 0; i < cases.size(); ++i)
    lanes_.push_back(std::make_unique<ModelLane>(cases[i], *of_case[i], models_->get(cases[i].options)));
}

BenchRuns::BenchRuns(std::span<const BenchCase> cases, const GraphFile& file) : cases_(cases) {
  for (const BenchCase& bench_case : cases)
    lanes_.push_back(std::make_unique<GraphLane>(file, session_for(bench_case.options)));
}

Session& BenchRuns::session_for(const CommonOptions& options) {
  SessionOptions wanted = options.session();
  for (const auto& session : sessions_) {
    const SessionOptions& has = session->options();
    if (has.fusion == wanted.fusion && has.threads == wanted.threads && has.backend == wanted.backend &&
        has.precision == wanted.precision && has.split_bytes == wanted.split_bytes)
      return *session;
  }
  return *sessions_.emplace_back(make_session(std::move(wanted)));
}

// Sessions restore the evaluator they found: they go in the reverse order of their coming.
BenchRuns::~BenchRuns() {
  lanes_.clear();
  models_.reset();
  while (!sessions_.empty()) sessions_.pop_back();
}

ModelInfo BenchRuns::model() const { return models_->get(cases_[0].options).info(); }
int BenchRuns::threads() const { return lanes_.front()->session.threads(); }
Isa BenchRuns::isa() const { return lanes_.front()->session.isa(); }

std::vector<BenchSamples> BenchRuns::measure(int warmup, int repetitions, const std::function<void()>& advance) {
  std::vector<BenchSamples> samples(lanes_.size());
  for (int repetition = -warmup; repetition < repetitions; ++repetition)
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const Timed timed = lanes_[i]->run();
      if (repetition >= 0) samples[i].rates.push_back(timed.tokens_per_second);
      samples[i].checksum = timed.checksum;
      samples[i].threads = lanes_[i]->session.threads();
      advance();
      check_interrupt();
    }
  return samples;
}

}  // namespace lazuli::tool
