// SPDX-License-Identifier: MIT
// The end of work that runs somewhere else: reached once, well or with an error.
#pragma once

#include <lazuli/graph/base/export.h>

#include <exception>
#include <memory>

namespace lazuli {

// A handle; copies share one state. Any thread may wait, any thread may finish it. The first signal() or fail() counts,
// later ones change nothing. What was written before it is visible to whoever has seen it.
class LAZULI_API Event {
 public:
  Event();  // not reached yet

  // Blocks until the event is reached; throws its error, each time it is called.
  void wait() const;
  bool ready() const;  // reached, well or not
  // The error, or null while the event is not reached and after success. Does not block.
  std::exception_ptr error() const;

  void signal();
  // `error` is not null.
  void fail(std::exception_ptr error);

  bool operator==(const Event&) const = default;  // one state

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace lazuli
