// SPDX-License-Identifier: MIT
// Keeps the time that compiling and packing take apart from the time that running takes.
#pragma once

#include <lazuli/runtime/session.h>

#include <chrono>

namespace lazuli::tool {

// While it lives, programs of this thread are prepared through it. Work in flight is waited for before a program is
// prepared (once a program, so it costs nothing), so that what is counted never overlaps with a run.
class PreparationTimer final : public Evaluator {
 public:
  explicit PreparationTimer(Session& session) : session_(session), current_(*this) {}

  double seconds() const { return seconds_; }

  std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const int> donated) override {
    session_.synchronize();
    const auto start = std::chrono::steady_clock::now();
    std::shared_ptr<Executable> executable = session_.prepare(graph, donated);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return executable;
  }
  std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                          NumbersRef numbers, int stream, bool wait) override {
    return session_.run(executable, std::move(operands), std::move(numbers), stream, wait);
  }

 private:
  Session& session_;
  double seconds_ = 0;
  UseEvaluator current_;
};

}  // namespace lazuli::tool
