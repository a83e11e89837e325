// SPDX-License-Identifier: MIT
// When a run is to end before it is through: somebody asks for it, or its time is up.
#pragma once

#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/export.h>

#include <chrono>
#include <optional>
#include <stop_token>

namespace lazuli {

// Looked at before each step of a program, a kernel launch, and never inside one; tracing, compiling and waiting for
// other runs are not ended. A run that ends so fails: its results, and those of runs that read them, throw an
// ExecutionError of kind cancelled or deadline whenever they are read. Other runs are as if it had never been, but for
// memory it was given up (donated arguments, inputs without another handle): what that held is lost, whether a step had
// written to it or not. Keep a handle of a state that is to outlive a run that may end early; the run then works on a
// copy.
struct LAZULI_API RunLimits {
  std::stop_token stop = {};
  std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt;

  bool any() const { return deadline.has_value() || stop.stop_possible(); }
  // cancelled or deadline, where one of them says that the run is to end now.
  std::optional<ErrorKind> reached() const {
    if (stop.stop_requested()) return ErrorKind::cancelled;
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return ErrorKind::deadline;
    return std::nullopt;
  }
};

// Limits every run that this thread submits during the life of the object, whichever function asks for it, in place of
// limits that were in force before. It ends on its thread, in the reverse order of others.
class LAZULI_API LimitRuns {
 public:
  explicit LimitRuns(RunLimits limits);
  ~LimitRuns();
  LimitRuns(const LimitRuns&) = delete;
  LimitRuns& operator=(const LimitRuns&) = delete;

  static const RunLimits* current();  // null: none are in force

 private:
  const RunLimits limits_;
  const RunLimits* previous_;
};

}  // namespace lazuli
