// SPDX-License-Identifier: MIT
// Runs a step, with and without an observer, and keeps one call of it.
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/statistics.h>
#include <sys/resource.h>

#include <algorithm>

namespace lazuli {
namespace {

using Clock = RunRecorder::Clock;

// Of all threads of this process.
std::int64_t involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// One call of the step: moments in nanoseconds of the clock.
struct Call {
  std::int64_t begin = 0, lookup = 0, launch = 0, end = 0;
  int programs = 0;
  std::int64_t preemptions = 0;
  std::shared_ptr<Executable> executable;
  RunRecord record;  // where it was observed

  double us() const { return static_cast<double>(end - begin) * 1e-3; }
};

// Stands between the step and the session: sees when a program is looked up and run.
class StepCapture final : public Evaluator {
 public:
  StepCapture(Session& session, const Clock& clock)
      : session_(session), clock_(clock), recorder_(std::make_shared<RunRecorder>(clock)), current_(*this) {}

  Call call(const std::function<void()>& step, bool observed) {
    call_ = {};
    observed_ = observed;
    const std::int64_t preempted_before = involuntary_switches();
    call_.begin = now();
    step();
    call_.end = now();
    session_.synchronize();
    call_.preemptions = involuntary_switches() - preempted_before;
    if (call_.programs != 1)
      fail("profile: the step ran {} programs, expected one; compile it as one function", call_.programs);
    if (observed) {
      call_.record = recorder_->record();
      call_.end = std::max(call_.end, call_.record.end_ns);
    }
    return std::move(call_);
  }

  // The first call of a function may prepare others, such as caches that grow.
  void warm_up(const std::function<void()>& step) {
    observed_ = true;
    step();
    session_.synchronize();
  }

  void begin_lookup() override {
    if (call_.lookup == 0) call_.lookup = now();
  }
  std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const int> donated) override {
    begin_lookup();
    return session_.prepare(graph, donated);
  }
  std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                          NumbersRef numbers, int stream, bool wait) override {
    ++call_.programs;
    call_.executable = executable;
    call_.launch = now();
    if (!observed_) return session_.run(executable, std::move(operands), std::move(numbers), stream, wait);
    const Attached attached(session_, executable, recorder_);
    return session_.run(executable, std::move(operands), std::move(numbers), stream, wait);
  }

 private:
  // A run takes its observer along when it is submitted; the program gets back what it had, also when that fails.
  class Attached {
   public:
    Attached(Session& session, std::shared_ptr<Executable> executable, std::shared_ptr<RunObserver> observer)
        : session_(session),
          executable_(std::move(executable)),
          previous_(session.observe(executable_, std::move(observer))) {}
    ~Attached() { session_.observe(executable_, std::move(previous_)); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

   private:
    Session& session_;
    std::shared_ptr<Executable> executable_;
    std::shared_ptr<RunObserver> previous_;
  };

  std::int64_t now() const { return clock_ ? clock_(0) : steady_clock_ns(); }

  Session& session_;
  const Clock& clock_;
  std::shared_ptr<RunRecorder> recorder_;  // one for all calls: its memory is allocated once
  bool observed_ = false;
  Call call_;
  UseEvaluator current_;
};

// The moments of a call; what the run holds is known already.
void fill_pipeline(const Call& call, const Profile& profile, StepPipeline& pipeline) {
  const auto between = [](std::int64_t from, std::int64_t to) {
    return static_cast<double>(std::max<std::int64_t>(to - from, 0)) * 1e-3;
  };
  const std::int64_t lookup = call.lookup == 0 ? call.launch : call.lookup;
  pipeline.build_us = between(call.begin, lookup);
  pipeline.lookup_us = between(lookup, call.launch);
  double started_us = 0;  // thread 0 within the run
  for (const ProfiledSpan& span : profile.spans)
    if (span.thread == 0 && span.state == ThreadState::launch) started_us += span.us;
  pipeline.launch_us = between(call.launch, call.record.begin_ns) + started_us;
  pipeline.sample_us = between(call.record.end_ns, call.end);
}

// Observed and unobserved calls by turns, in changing order, so that a host that speeds up or slows down meets both.
std::optional<ProfileOverhead> measure_overhead(StepCapture& capture, const std::function<void()>& step, double seconds,
                                                std::vector<Call>& observed) {
  constexpr int fewest = 6, most = 200;
  if (seconds <= 0) return std::nullopt;
  std::vector<double> observed_us, plain_us;
  double spent_us = 0;
  for (int pair = 0; pair < most && (pair < fewest || spent_us < seconds * 1e6); ++pair) {
    double us[2] = {};
    for (const bool is_observed : {pair % 2 == 0, pair % 2 != 0}) {
      Call call = capture.call(step, is_observed);
      us[is_observed] = call.us();
      if (is_observed) observed.push_back(std::move(call));
    }
    observed_us.push_back(us[1]);
    plain_us.push_back(us[0]);
    spent_us += us[0] + us[1];
  }
  const Ratio ratio = paired_ratio(observed_us, plain_us);
  return ProfileOverhead{ratio.value - 1, ratio.low - 1, ratio.high - 1, static_cast<int>(plain_us.size())};
}

}  // namespace

Profile profile(Session& session, const std::function<void()>& step, const ProfileOptions& options) {
  session.synchronize();
  StepCapture capture(session, options.clock);
  for (int i = 0; i < options.warmup; ++i) capture.warm_up(step);
  std::vector<Call> calls;
  calls.push_back(capture.call(step, /*observed=*/true));
  const std::optional<ProfileOverhead> overhead = measure_overhead(capture, step, options.overhead_seconds, calls);

  const Call& fastest =
      *std::min_element(calls.begin(), calls.end(), [](const Call& a, const Call& b) { return a.us() < b.us(); });
  Profile result = make_profile(std::static_pointer_cast<const CompiledGraph>(fastest.executable), fastest.record);
  fill_pipeline(fastest, result, result.pipeline);
  result.preemptions = fastest.preemptions;
  result.limits = options.limits;
  if (!result.limits && options.measure_limits) result.limits = limits_of_host(session.threads(), session.isa());
  result.overhead = overhead;
  result.labels = options.labels;
  return result;
}

}  // namespace lazuli
