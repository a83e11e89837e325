// SPDX-License-Identifier: MIT
#include <lazuli/runtime/tuning/compare.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <span>
#include <vector>

namespace lazuli {
namespace {

constexpr std::string_view outcome_names[] = {"faster",   "slower", "tie",  "noisy",
                                              "unsteady", "mixed",  "same", "unmeasured"};

struct Samples {
  std::vector<double> present, candidate;  // seconds of one run

  std::size_t pairs() const { return present.size(); }
  Ratio speed() const { return paired_ratio(present, candidate); }
  double median_speed(std::size_t begin, std::size_t end) const {
    std::vector<double> ratios;
    for (std::size_t i = begin; i < end; ++i) ratios.push_back(present[i] / candidate[i]);
    return median(ratios);
  }
};

double timed(const std::function<void()>& run, int repetitions, const TuningClock& clock) {
  const double start = clock();
  for (int i = 0; i < repetitions; ++i) run();
  return (clock() - start) / repetitions;
}

bool is_narrow(const Ratio& speed, double narrow) {
  return speed.high - speed.low <= std::max(narrow, std::abs(speed.value - 1) / 2);
}

TrialOutcome judge(const Samples& samples, const Ratio& speed, const ComparisonOptions& options) {
  if (samples.pairs() < static_cast<std::size_t>(options.min_pairs)) return TrialOutcome::noisy;
  const double gain = 1 + options.min_gain;
  const bool faster = speed.low > 1 && speed.value > gain, slower = speed.high < 1 && speed.value < 1 / gain;
  if (!faster && !slower) return is_narrow(speed, options.narrow) ? TrialOutcome::tie : TrialOutcome::noisy;
  const std::size_t half = samples.pairs() / 2;
  const double first = samples.median_speed(0, half), second = samples.median_speed(half, samples.pairs());
  if (faster ? std::min(first, second) <= 1 : std::max(first, second) >= 1) return TrialOutcome::unsteady;
  return faster ? TrialOutcome::faster : TrialOutcome::slower;
}

}  // namespace

TuningClock steady_seconds() {
  return [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
}

std::string_view to_string(TrialOutcome outcome) { return outcome_names[static_cast<std::size_t>(outcome)]; }

std::optional<TrialOutcome> parse_outcome(std::string_view name) {
  const auto found = std::find(std::begin(outcome_names), std::end(outcome_names), name);
  if (found == std::end(outcome_names)) return std::nullopt;
  return static_cast<TrialOutcome>(found - std::begin(outcome_names));
}

Comparison compare(const std::function<void()>& present, const std::function<void()>& candidate,
                   const TuningClock& clock, const ComparisonOptions& options) {
  const double end = clock() + options.seconds;
  present();
  candidate();
  const double once = std::max(timed(present, 1, clock), timed(candidate, 1, clock));
  constexpr double max_repetitions = 10'000;
  const int repetitions =
      once > 0 ? static_cast<int>(std::clamp(std::ceil(options.min_sample / once), 1.0, max_repetitions)) : 1;

  Samples samples;
  const auto take_pair = [&] {
    const bool present_first = samples.pairs() % 2 == 0;
    const double first = timed(present_first ? present : candidate, repetitions, clock),
                 second = timed(present_first ? candidate : present, repetitions, clock);
    samples.present.push_back(present_first ? first : second);
    samples.candidate.push_back(present_first ? second : first);
  };
  Comparison result;
  // The interval is looked at when there are a quarter more pairs than the last time: resampling costs time as well.
  for (std::size_t look = static_cast<std::size_t>(options.min_pairs);; look += std::max<std::size_t>(1, look / 4)) {
    const std::size_t wanted = std::min(look, static_cast<std::size_t>(options.max_pairs));
    while (samples.pairs() < wanted && clock() < end) take_pair();
    result.pairs = static_cast<int>(samples.pairs());
    if (result.pairs == 0) return result;
    result.speed = samples.speed();
    const bool over = samples.pairs() < look || clock() >= end;
    if (over || is_narrow(result.speed, options.narrow)) break;
  }
  result.outcome = judge(samples, result.speed, options);
  return result;
}

}  // namespace lazuli
