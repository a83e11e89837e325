// SPDX-License-Identifier: MIT
// What watches a run of a program: it is told of every step each worker computed, and of every wait.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace lazuli {

// Part of one worker's time, in nanoseconds of the observer's clock. `step` indexes Program::steps.
struct LAZULI_API RunSpan {
  static constexpr int waiting = -1;  // as a step: the worker stood at a barrier
  int step = waiting;
  std::int64_t begin_ns = 0, end_ns = 0;
};

// Attached to a program by Session::observe. A worker reports every step it takes part in once, when it is through with
// it; its spans follow each other without gaps. Steps that are not split are worker 0's alone.
class LAZULI_API RunObserver {
 public:
  virtual ~RunObserver() = default;

  // Before the first and after the last worker, on the thread that runs the program. end() follows begin() also when
  // the run fails, and so must not throw. Runs of one program never overlap.
  virtual void begin(int workers) = 0;
  virtual void end() noexcept = 0;
  // On the worker's own thread, all workers at once.
  virtual void on_span(int worker, const RunSpan& span) = 0;
  // Lengths are data: of what ProgramStep says of a step, so much was left out in this run. Between begin() and end(),
  // on the thread that runs the program.
  virtual void on_skipped(int step, std::int64_t bytes, std::int64_t operations);
  // The same of one of ProgramStep::parts; on_skipped is told of the launch as a whole as well.
  virtual void on_part_skipped(int step, int part, std::int64_t bytes, std::int64_t operations);
  // Of a launch with ProgramStep::parts, before its span: for so long the worker computed that part, in all tiles
  // together. The parts fill the span. On the worker's own thread.
  virtual void on_part(int worker, int step, int part, std::int64_t ns);
  // The clock that spans are measured by; the steady clock unless overridden. On the worker's own thread.
  virtual std::int64_t now_ns(int worker);
};

LAZULI_API std::int64_t steady_clock_ns();

// One run as it was observed.
struct LAZULI_API RunRecord {
  struct Skipped {
    int step;
    std::int64_t bytes, operations;
    int part = -1;  // -1: of the launch as a whole
  };
  struct PartTime {
    int step, part;
    std::int64_t ns;
  };
  std::int64_t begin_ns = 0, end_ns = 0;
  std::vector<std::vector<RunSpan>> workers;  // of each worker, in the order of time
  std::vector<std::vector<PartTime>> parts;   // of each worker, by the order of its spans; empty: not measured
  std::vector<Skipped> skipped;
};

// Keeps the record of the last run that ended.
class LAZULI_API RunRecorder final : public RunObserver {
 public:
  using Clock = std::function<std::int64_t(int worker)>;
  explicit RunRecorder(Clock clock = {});  // empty: the steady clock

  void begin(int workers) override;
  void end() noexcept override;
  void on_span(int worker, const RunSpan& span) override;
  void on_skipped(int step, std::int64_t bytes, std::int64_t operations) override;
  void on_part_skipped(int step, int part, std::int64_t bytes, std::int64_t operations) override;
  void on_part(int worker, int step, int part, std::int64_t ns) override;
  std::int64_t now_ns(int worker) override;

  int runs() const { return runs_; }
  // Only while no run is under way.
  const RunRecord& record() const { return record_; }

 private:
  // Workers append all at once: what they write to must not share a cache line.
  struct alignas(64) Track {
    std::vector<RunSpan> spans;
    std::vector<RunRecord::PartTime> parts;
  };

  Clock clock_;
  int runs_ = 0;
  std::vector<Track> tracks_;
  RunRecord record_;
};

}  // namespace lazuli
