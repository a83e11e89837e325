// SPDX-License-Identifier: MIT
// The threads a session computes with: all of them run one body at once and meet at a barrier.
#pragma once

#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/function_ref.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace lazuli {

// What different threads write must not share one.
inline constexpr std::size_t cache_line = 64;

// A sense-reversing barrier whose sense is a generation counter. Waiters spin for `spin`, then offer their core to
// others for as long as nobody takes it, then sleep in the kernel. A `spin` of 0 sends them to sleep at once.
class LAZULI_API Barrier {
 public:
  // Thrown out of wait() in every participant once one has aborted. Not an Error: it carries no message and ends in
  // Executor::run_on_all, which reports the exception that caused it.
  struct Aborted {};

  Barrier(int participants, std::chrono::microseconds spin);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // Returns when all participants have called it. What they wrote before is visible to all after.
  void wait() {
    wait([] { return false; });
  }
  // Calls `meanwhile` between looks at whether the others have come, while it returns true; it should be short.
  void wait(FunctionRef<bool()> meanwhile);
  // Every thread that waits, or will wait before the next reset, leaves with Aborted.
  void abort() noexcept;
  // Only while no thread is inside.
  void reset() noexcept;

 private:
  static constexpr std::uint32_t aborted_bit = 1;

  const int participants_;
  const std::chrono::microseconds spin_;
  alignas(cache_line) std::atomic<int> arrived_{0};
  alignas(cache_line) std::atomic<std::uint32_t> generation_{0};  // counts in steps of 2; the low bit says aborted
};

// What a session runs its programs on. A program's workers wait for each other, so an executor must really run all
// `size()` bodies at the same time; one that cannot promise this has size 1.
class LAZULI_API Executor {
 public:
  // Throws Error unless 1 <= size <= 4096.
  explicit Executor(int size);
  virtual ~Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  int size() const { return size_; }
  // Made before fork(), in the parent: its threads are not in this process.
  bool of_parent_process() const;

  // Calls body(0) to body(size() - 1), all at once, and returns when all have returned. If some throw, the others leave
  // the barrier and the first exception is thrown here; the executor can be used again. Runs that several threads ask
  // for, of one session or of many, take turns in the order they came; a body must not start another (InternalError).
  // Throws an Error in the child of a fork.
  void run_on_all(FunctionRef<void(int worker)> body);

  // For the bodies of run_on_all; every worker must pass it equally often.
  Barrier& barrier() { return barrier_; }

 private:
  // Runs body(0) to body(size() - 1) concurrently, body(0) best on the calling thread, and returns when all are done.
  // The body given here never throws. Throws only if nothing was started.
  virtual void dispatch(FunctionRef<void(int worker)> body) = 0;

  const int size_;
  Barrier barrier_;
  std::atomic<std::uint32_t> next_turn_{0}, turn_{0};  // each run takes a number and waits until it is up
  const std::uint64_t generation_;                     // of the process that the threads are in (graph/base/fork.h)
};

// Persistent threads of our own; the caller of run_on_all is worker 0. Threads start with the first run and end with
// the pool. Between runs they spin briefly, then sleep; with more threads than usable cores they never spin.
class LAZULI_API ThreadPool final : public Executor {
 public:
  explicit ThreadPool(int threads = usable_cores());
  ~ThreadPool() override;

 private:
  void dispatch(FunctionRef<void(int worker)> body) override;
  void start_threads();
  void work(int worker, std::uint32_t seen_run);

  const std::chrono::microseconds spin_;
  std::vector<std::thread> threads_;
  const FunctionRef<void(int worker)>* body_ = nullptr;  // published by run_
  std::atomic<bool> stop_{false};
  alignas(cache_line) std::atomic<std::uint32_t> run_{0};  // changes when there is a body to run, or to stop
  alignas(cache_line) std::atomic<int> unfinished_{0};     // threads of this run that have not returned yet
};

}  // namespace lazuli
