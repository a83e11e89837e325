// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/loops.h>

#include <cstring>

namespace lazuli::cpu {
namespace {

void copy_bytes(const std::byte* from, std::byte* to, std::int64_t bytes) {
  if (bytes > 0 && from != to) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

std::vector<Body> list_of(Body first) {
  std::vector<Body> list;
  list.push_back(std::move(first));
  return list;
}
std::vector<Body> list_of(Body first, Body second) {
  std::vector<Body> list = list_of(std::move(first));
  list.push_back(std::move(second));
  return list;
}

// Where iteration `at` writes. The first one writes to `first_out`, and reads the operand itself where it may.
std::byte* out_of(const Memory& memory, const Carry& carry, std::int64_t at, bool first_is_result) {
  return memory.base((at % 2 == 0) == first_is_result ? carry.result : carry.spare);
}

void move_carry(Memory& memory, const Carry& carry, std::int64_t at, bool first_is_result) {
  if (carry.in_place()) {
    memory.set_base(carry.in, memory.base(carry.result));
    return;
  }
  const bool reads_operand = at == 0 && !carry.is_written;
  memory.set_base(carry.in, reads_operand ? memory.at(carry.start) : out_of(memory, carry, at + 1, first_is_result));
  memory.set_base(carry.out, out_of(memory, carry, at, first_is_result));
}

// What the body will write into begins as a copy.
void copy_operands(const Walk& walk, const std::vector<Carry>& carries, bool first_is_result) {
  if (!walk.is_first()) return;
  const Memory& memory = walk.memory();
  for (const Carry& carry : carries) {
    if (carry.in_place())
      copy_bytes(memory.at(carry.start), memory.base(carry.result), carry.bytes);
    else if (carry.is_written)
      copy_bytes(memory.at(carry.start), out_of(memory, carry, 1, first_is_result), carry.bytes);
  }
}

}  // namespace

ScanLoop::ScanLoop(Body body, std::vector<Carry> carries, std::vector<Sequence> sequences, std::int64_t length,
                   bool reverse)
    : ControlFlow(list_of(std::move(body))),
      carries_(std::move(carries)),
      sequences_(std::move(sequences)),
      length_(length),
      reverse_(reverse),
      is_split_(is_split()) {}

// The last iteration writes to the results.
void ScanLoop::run(const Walk& walk) const {
  Memory& memory = walk.memory();
  const bool first_is_result = length_ % 2 == 1;
  copy_operands(walk, carries_, first_is_result);
  for (std::int64_t at = 0; at < length_; ++at) {
    walk.look_at_limits();
    if (is_split_) walk.meet();
    const std::int64_t t = reverse_ ? length_ - 1 - at : at;
    for (const Carry& carry : carries_)
      if (carry.stack < 0)
        move_carry(memory, carry, at, first_is_result);
      else
        move_along(memory, carry, at, t);
    for (const Sequence& sequence : sequences_)
      memory.set_base(sequence.element, memory.at(sequence.whole) + t * sequence.stride);
    walk.steps(bodies[0]);
  }
  if (is_split_) walk.meet();
  if (!walk.is_first()) return;
  for (const Carry& carry : carries_)
    if (carry.stack >= 0) copy_bytes(memory.base(carry.out), memory.base(carry.result), carry.bytes);
}

void ScanLoop::move_along(Memory& memory, const Carry& carry, std::int64_t at, std::int64_t t) const {
  std::byte* const states = memory.base(carry.stack);
  const std::int64_t before = reverse_ ? t + 1 : t - 1;
  memory.set_base(carry.in, at == 0 ? memory.at(carry.start) : states + before * carry.bytes);
  memory.set_base(carry.out, states + t * carry.bytes);
}

WhileLoop::WhileLoop(Body condition, Body body, std::vector<Carry> carries, int decision)
    : ControlFlow(list_of(std::move(condition), std::move(body))),
      carries_(std::move(carries)),
      decision_(decision),
      is_split_(is_split()) {}

void WhileLoop::run(const Walk& walk) const {
  Memory& memory = walk.memory();
  copy_operands(walk, carries_, /*first_is_result=*/true);
  for (std::int64_t at = 0;; ++at) {
    walk.look_at_limits();
    if (is_split_) walk.meet();
    for (const Carry& carry : carries_) move_carry(memory, carry, at, /*first_is_result=*/true);
    walk.steps(bodies[0]);
    if (is_split_) walk.meet();
    if (*reinterpret_cast<const bool*>(memory.base(decision_)) == false) break;
    walk.steps(bodies[1]);
  }
  if (!walk.is_first()) return;
  for (const Carry& carry : carries_) copy_bytes(memory.base(carry.in), memory.base(carry.result), carry.bytes);
}

Branches::Branches(Body then_body, Body else_body, std::vector<Outputs> outputs, View predicate)
    : ControlFlow(list_of(std::move(then_body), std::move(else_body))),
      outputs_(std::move(outputs)),
      predicate_(std::move(predicate)) {}

void Branches::run(const Walk& walk) const {
  Memory& memory = walk.memory();
  const std::size_t chosen = *memory.as<const bool>(predicate_) ? 0 : 1;
  for (const auto& [bound, result] : outputs_[chosen]) memory.set_base(bound, memory.base(result));
  walk.steps(bodies[chosen]);
}

}  // namespace lazuli::cpu
