// SPDX-License-Identifier: MIT
// Which of two things is faster, on a host that does not hold still.
//
// Samples are taken in pairs, in the order A B, B A, A B, ..., so that a host that slows down meets both alike, until
// the confidence interval of the ratio is narrow or the time is spent. What is not faster by more than the noise is no
// reason to change anything.
#pragma once

#include <lazuli/runtime/statistics.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace lazuli {

// Seconds since some moment; never goes back.
using TuningClock = std::function<double()>;
TuningClock steady_seconds();

// What measuring a candidate against the present choice came to.
enum class TrialOutcome : std::uint8_t {
  faster,      // by more than the noise
  slower,      // likewise
  tie,         // the interval is narrow, and there is no difference worth a change
  noisy,       // the interval was still wide when the time was spent
  unsteady,    // the first and the second half of the pairs disagree: the host changed meanwhile
  mixed,       // of several parts: faster in one, slower in another
  same,        // nothing to measure: what runs is the same
  unmeasured,  // there was no time left
};
std::string_view to_string(TrialOutcome outcome);
std::optional<TrialOutcome> parse_outcome(std::string_view name);

struct ComparisonOptions {
  double seconds = 5;        // no pair begins later
  double narrow = 0.02;      // an interval of this width ends the measurement; a wider one as well, once it is only
                             // half as wide as the difference it shows
  double min_gain = 0.01;    // a smaller difference, as a share, is a tie
  double min_sample = 0.03;  // seconds of one sample: what takes less is repeated within it
  int min_pairs = 8;         // fewer decide nothing
  int max_pairs = 400;
};

struct Comparison {
  TrialOutcome outcome = TrialOutcome::noisy;
  Ratio speed{1, 1, 1};  // of the candidate in terms of the present choice, with its 95 % interval; above 1: faster
  int pairs = 0;
};

// Both run a few times before what counts. What they throw, compare throws.
Comparison compare(const std::function<void()>& present, const std::function<void()>& candidate,
                   const TuningClock& clock, const ComparisonOptions& options = {});

}  // namespace lazuli
