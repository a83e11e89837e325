// SPDX-License-Identifier: MIT
// Choices that depend on the machine, measured: each against the present one, side by side, in the parts of the work it
// touches. A value is taken where it is faster in some part by more than the noise and loses in none.
//
// The loop knows neither models nor sessions: what a setting runs, and what time it is, come in as callbacks.
#pragma once

#include <lazuli/runtime/tuning/compare.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

// Names of choices and what is chosen: {"chunk", "256"}, {"softcap", "off"}.
using Settings = std::map<std::string, std::string, std::less<>>;

struct TunableChoice {
  std::string name;
  std::vector<std::string> values;  // at least one; the first is the present choice
};

// A setting that is ready to run.
struct Contender {
  struct Part {
    std::string name;      // "prompt", "decode"
    std::string identity;  // of what runs: where it is equal for two settings there is nothing to measure
    std::function<void()> run;
  };
  std::vector<Part> parts;  // of the same names for every setting
};
using Prepare = std::function<std::shared_ptr<const Contender>(const Settings&)>;

struct PartTrial {
  std::string part;
  Comparison comparison;
};

// One value measured against the one that was in force then.
struct Trial {
  std::string value, against;
  TrialOutcome outcome = TrialOutcome::unmeasured;
  std::vector<PartTrial> parts;  // those that run something else
};

struct TunedChoice {
  std::string name, value;  // what it came to
  std::vector<Trial> trials;
};

struct TuneOptions {
  double seconds = 60;           // for everything; what is left is shared out evenly among the trials to come
  ComparisonOptions comparison;  // of which the seconds are set here
  TuningClock clock = steady_seconds();
  std::function<void(const TunedChoice&)> on_choice;  // told when a choice is settled; what it throws ends the tuning
};

// Goes through the choices in order; what one comes to holds while the next are measured.
std::vector<TunedChoice> tune(std::span<const TunableChoice> choices, const Prepare& prepare,
                              const TuneOptions& options);

}  // namespace lazuli
