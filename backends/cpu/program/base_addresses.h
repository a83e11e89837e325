// SPDX-License-Identifier: MIT
// Where the buffers of a program lie during a run. Constants and the arena stay where they are from run to run; only
// what the caller brings is looked up each time.
#pragma once

#include <lazuli/backends/cpu/program/lowered.h>

#include <span>
#include <vector>

namespace lazuli::cpu {

class BaseAddresses {
 public:
  explicit BaseAddresses(const Lowered& program);

  // The addresses of one run; they hold until the next. `arena` is where offset 0 of the plan lies; the sizes of named
  // dimensions outlive the run.
  const Memory& of_run(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs, std::byte* arena,
                       std::span<const std::int64_t> sizes);

 private:
  struct Caller {
    int buffer, index;
  };
  struct Placed {
    int buffer;
    std::size_t offset;
  };
  struct Derived {
    int buffer;
    BufferRef constant;  // it may have given its bytes back since the last run
  };

  Memory memory_;
  std::vector<Caller> inputs_, outputs_;
  std::vector<Derived> derived_;
  std::vector<Placed> placed_;
  std::byte* arena_ = nullptr;
};

}  // namespace lazuli::cpu
