// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/tuning/tune.h>

#include <algorithm>
#include <utility>

namespace lazuli {
namespace {

TrialOutcome outcome_of(const std::vector<PartTrial>& parts) {
  const auto any = [&](TrialOutcome outcome) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const PartTrial& part) { return part.comparison.outcome == outcome; });
  };
  if (parts.empty()) return TrialOutcome::same;
  for (const TrialOutcome undecided : {TrialOutcome::unsteady, TrialOutcome::noisy})
    if (any(undecided)) return undecided;
  if (any(TrialOutcome::faster) && any(TrialOutcome::slower)) return TrialOutcome::mixed;
  for (const TrialOutcome decided : {TrialOutcome::faster, TrialOutcome::slower})
    if (any(decided)) return decided;
  return TrialOutcome::tie;
}

class Tuner {
 public:
  Tuner(std::span<const TunableChoice> choices, const Prepare& prepare, const TuneOptions& options)
      : choices_(choices), prepare_(prepare), options_(options), end_(options.clock() + options.seconds) {
    for (const TunableChoice& choice : choices) {
      if (choice.values.empty()) fail("tune: the choice {} has no values", choice.name);
      settings_[choice.name] = choice.values[0];
      trials_left_ += choice.values.size() - 1;
    }
  }

  std::vector<TunedChoice> run() {
    std::vector<TunedChoice> tuned;
    for (const TunableChoice& choice : choices_) {
      tuned.push_back(settle(choice));
      if (options_.on_choice) options_.on_choice(tuned.back());
    }
    return tuned;
  }

 private:
  TunedChoice settle(const TunableChoice& choice) {
    TunedChoice tuned{choice.name, choice.values[0], {}};
    for (std::size_t i = 1; i < choice.values.size(); ++i) {
      Trial trial{choice.values[i], tuned.value, TrialOutcome::unmeasured, {}};
      if (options_.clock() < end_) try_value(choice.name, trial);
      --trials_left_;
      if (trial.outcome == TrialOutcome::faster) tuned.value = trial.value;
      tuned.trials.push_back(std::move(trial));
    }
    return tuned;
  }

  void try_value(const std::string& name, Trial& trial) {
    const double begin = options_.clock(), share = (end_ - begin) / static_cast<double>(trials_left_);
    if (!present_) present_ = prepare_(settings_);
    Settings changed = settings_;
    changed[name] = trial.value;
    const std::shared_ptr<const Contender> candidate = prepare_(changed);
    if (candidate->parts.size() != present_->parts.size())
      fail("tune: {} = {} runs {} parts, expected {}", name, trial.value, candidate->parts.size(),
           present_->parts.size());
    std::vector<std::size_t> different;
    for (std::size_t i = 0; i < candidate->parts.size(); ++i)
      if (candidate->parts[i].identity != present_->parts[i].identity) different.push_back(i);
    for (std::size_t at = 0; at < different.size(); ++at) {
      ComparisonOptions comparison = options_.comparison;
      comparison.seconds = std::max(0.0, begin + share - options_.clock()) / static_cast<double>(different.size() - at);
      const Contender::Part& part = candidate->parts[different[at]];
      trial.parts.push_back(
          {part.name, compare(present_->parts[different[at]].run, part.run, options_.clock, comparison)});
    }
    trial.outcome = outcome_of(trial.parts);
    if (trial.outcome != TrialOutcome::faster) return;
    settings_ = std::move(changed);
    present_ = candidate;
  }

  std::span<const TunableChoice> choices_;
  const Prepare& prepare_;
  const TuneOptions& options_;
  double end_;
  std::size_t trials_left_ = 0;
  Settings settings_;
  std::shared_ptr<const Contender> present_;  // of settings_, once it is needed
};

}  // namespace

std::vector<TunedChoice> tune(std::span<const TunableChoice> choices, const Prepare& prepare,
                              const TuneOptions& options) {
  return Tuner(choices, prepare, options).run();
}

}  // namespace lazuli
