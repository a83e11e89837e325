// SPDX-License-Identifier: MIT
// Tells an observer how one worker spends a run: its steps, and the parts of those that are chains.
#pragma once

#include <lazuli/backends/run_observer.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lazuli::cpu {

// Without an observer it costs a branch for each step, and chains do not ask it.
class Stopwatch {
 public:
  Stopwatch(int worker, RunObserver* observer)
      : worker_(worker), observer_(observer), last_(observer ? observer->now_ns(worker) : 0), part_begin_(last_) {}

  // Ends a step, or a wait.
  void lap(int step) {
    if (observer_) end_span(step);
  }

  // Ends a part of the step under way; what follows the last of them belongs to that one.
  void lap_part(int part) {
    last_part_ = static_cast<std::size_t>(first_part_ + part);
    if (part_ns_.size() <= last_part_) part_ns_.resize(last_part_ + 1);
    const std::int64_t now = observer_->now_ns(worker_);
    part_ns_[last_part_] += now - part_begin_;
    part_begin_ = now;
  }

  // The parts of a chain within a chain are counted from its place among those of the outer one.
  void move_parts(int by) { first_part_ += by; }

 private:
  void end_span(int step) {
    const std::int64_t now = observer_->now_ns(worker_);
    if (!part_ns_.empty()) part_ns_[last_part_] += now - part_begin_;
    for (std::size_t part = 0; part < part_ns_.size(); ++part)
      observer_->on_part(worker_, step, static_cast<int>(part), part_ns_[part]);
    part_ns_.clear();
    observer_->on_span(worker_, {step, last_, now});
    last_ = part_begin_ = now;
  }

  int worker_;
  RunObserver* observer_;
  std::int64_t last_, part_begin_;
  int first_part_ = 0;
  std::size_t last_part_ = 0;
  std::vector<std::int64_t> part_ns_;  // of the step under way, as far as parts have ended
};

}  // namespace lazuli::cpu
