// SPDX-License-Identifier: MIT
// The three kinds of control flow as workers run them.
#pragma once

#include <lazuli/backends/cpu/program/control_flow.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace lazuli::cpu {

// An array that goes from one iteration to the next. A body reads it in one place and writes it in another, `result`
// and `spare` in turns, or changes it in place. Where each state is an element of ys as well, it lies there alone.
struct Carry {
  View start;               // of the operand, element after element
  int in = -1, out = -1;    // bound buffers of the body; one where it changes in place
  int result = -1;          // memory of the loop's result
  int spare = -1;           // as much memory, where it goes back and forth
  int stack = -1;           // of a scan: memory of its ys, where the states lie in it
  bool is_written = false;  // the body writes into what it reads: the operand is copied first
  std::int64_t bytes = 0;

  bool in_place() const { return in == out; }
};

// An array of which every iteration has its own element.
struct Sequence {
  View whole;
  std::int64_t stride;  // bytes from one element to the next
  int element;          // bound buffer of the body
};

class ScanLoop final : public ControlFlow {
 public:
  // `length` is 1 or more.
  ScanLoop(Body body, std::vector<Carry> carries, std::vector<Sequence> sequences, std::int64_t length, bool reverse);
  void run(const Walk& walk) const override;

 private:
  void move_along(Memory& memory, const Carry& carry, std::int64_t at, std::int64_t t) const;

  std::vector<Carry> carries_;
  std::vector<Sequence> sequences_;
  std::int64_t length_;
  bool reverse_, is_split_;
};

class WhileLoop final : public ControlFlow {
 public:
  // The condition leaves its answer in the buffer `decision`.
  WhileLoop(Body condition, Body body, std::vector<Carry> carries, int decision);
  void run(const Walk& walk) const override;

 private:
  std::vector<Carry> carries_;
  int decision_;
  bool is_split_;
};

class Branches final : public ControlFlow {
 public:
  // For each body, by output: the bound buffer it writes, and the memory that is meant.
  using Outputs = std::vector<std::pair<int, int>>;

  Branches(Body then_body, Body else_body, std::vector<Outputs> outputs, View predicate);
  void run(const Walk& walk) const override;

 private:
  std::vector<Outputs> outputs_;
  View predicate_;
};

}  // namespace lazuli::cpu
