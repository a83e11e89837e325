// SPDX-License-Identifier: MIT
// Work stealing: every worker begins with its static share of a step's grains, and a worker that is done takes over
// what others have not begun. A core that also had the serial steps to run, or was taken away by the system for a
// while, then delays the others by no more than a grain.
#pragma once

#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/host/threads.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace lazuli::cpu {

// Of a step, at most.
inline constexpr std::int64_t max_grains = 65535;

class WorkStealing {
 public:
  explicit WorkStealing(int workers) : shares_(static_cast<std::size_t>(workers)) {}

  // A number for every step of a run of `steps` steps, from the result on. Never while workers are inside.
  std::uint32_t begin_run(std::size_t steps) {
    return std::exchange(next_step_, next_step_ + static_cast<std::uint32_t>(steps));
  }

  // Puts the worker's own share of `grains` (at most max_grains) up for step number `step`, which all workers give
  // alike. The worker has finished the step before.
  void open(int worker, std::uint32_t step, std::int64_t grains);

  // The next grains for this worker: the first ones left of its own share, else the last ones of another worker that
  // has come to the step. Every grain is given out once; none when all have been, though others may still be at work on
  // theirs.
  std::optional<Range> take(int worker, std::uint32_t step);

 private:
  // The step, and the first grain and the end of what is left, as one number.
  struct alignas(cache_line) Share {
    std::atomic<std::uint64_t> left{0};
  };

  std::vector<Share> shares_;
  std::uint32_t next_step_ = 0;
};

// Units of a grain of a step of `units` that moves `bytes` of memory: enough to be worth an atomic operation and the
// start of a stream, few enough to be done with soon.
std::int64_t grain_of(std::int64_t units, std::int64_t bytes);

}  // namespace lazuli::cpu
