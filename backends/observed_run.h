// SPDX-License-Identifier: MIT
// The begin and the end of a run, as its observer is told of them.
#pragma once

#include <lazuli/backends/run_observer.h>

namespace lazuli {

// Begins a run, and ends it however it goes. Without an observer it does nothing.
class ObservedRun {
 public:
  ObservedRun(RunObserver* observer, int workers) : observer_(observer) {
    if (observer_) observer_->begin(workers);
  }
  ~ObservedRun() {
    if (observer_) observer_->end();
  }
  ObservedRun(const ObservedRun&) = delete;
  ObservedRun& operator=(const ObservedRun&) = delete;

 private:
  RunObserver* observer_;
};

}  // namespace lazuli
