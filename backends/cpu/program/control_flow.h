// SPDX-License-Identifier: MIT
// Control flow: a step that repeats lists of steps, its bodies, or chooses among them. Their steps are lowered once,
// refer to the program's buffers and lie in its arena. All workers walk them together, as they walk the program's;
// between two iterations each of them moves the bases of the bound buffers, in its own Memory.
#pragma once

#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/program/step.h>
#include <lazuli/graph/base/function_ref.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace lazuli::cpu {

class Body {
 public:
  // What workers need of a step, without the rest.
  struct Launch {
    Run run;
    std::int64_t units;
    const ControlFlow* control;
    bool split, barrier;
    const Step* step;
  };

  explicit Body(std::vector<Step> of) : steps(std::move(of)) {}

  // Whether several workers take part in one of the steps.
  bool is_split() const;
  // Once the barriers are placed; takes the calls out of the steps. Where it throws it may be called again.
  void list_launches();
  const std::vector<Launch>& launches() const { return launches_; }

  std::vector<Step> steps;

 private:
  std::vector<Launch> launches_;
};

// One worker on its way through steps.
class Walk {
 public:
  // `barrier`: null for a worker alone. `look_at_limits` throws where the run is to end.
  Walk(Memory& memory, int worker, int workers, Barrier* barrier, FunctionRef<void()> look_at_limits)
      : memory_(memory), worker_(worker), workers_(workers), barrier_(barrier), look_at_limits_(look_at_limits) {}

  Memory& memory() const { return memory_; }
  bool is_first() const { return worker_ == 0; }
  void look_at_limits() const { look_at_limits_(); }
  void meet() const {
    if (barrier_ != nullptr) barrier_->wait();
  }
  // This worker's part of each step, in order. Errors name the step's op.
  void steps(const Body& body) const;

 private:
  void step(const Body::Launch& launch) const;

  Memory& memory_;
  int worker_, workers_;
  Barrier* barrier_;
  FunctionRef<void()> look_at_limits_;
};

class ControlFlow {
 public:
  explicit ControlFlow(std::vector<Body> of) : bodies(std::move(of)) {}
  virtual ~ControlFlow() = default;
  ControlFlow(const ControlFlow&) = delete;
  ControlFlow& operator=(const ControlFlow&) = delete;

  bool is_split() const;
  void list_launches();
  // By every worker where a body is split, by worker 0 otherwise.
  virtual void run(const Walk& walk) const = 0;

  std::vector<Body> bodies;
};

// Calls visit(step) for each step, and for those of bodies behind theirs.
template <class Steps, class Visit>
void for_each_step(Steps&& steps, Visit&& visit) {
  for (auto& step : steps) {
    visit(step);
    if (!step.control) continue;
    for (auto& body : step.control->bodies) for_each_step(body.steps, visit);
  }
}

}  // namespace lazuli::cpu
