// SPDX-License-Identifier: MIT
// A body of control flow as steps of their own, within the program that is built around it.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>
#include <lazuli/backends/cpu/program/control_flow.h>

#include <optional>
#include <vector>

namespace lazuli::cpu {

// What an input of a body is.
struct BodyInput {
  // Of the memory around it. Otherwise the input has a bound buffer.
  std::optional<View> around;
  // The value around it that it stands for. A constant or a number stands in the body as one, so that kernels have it
  // in their own form.
  std::optional<ValueId> value;
  // Bound: how an element lies from its first one on.
  StridedLayout layout;
  bool is_carry = false;  // bound, and the body may write to it

  static BodyInput carry(const Shape& shape) { return {{}, {}, contiguous_layout(shape), true}; }
  static BodyInput element(StridedLayout layout) { return {{}, {}, std::move(layout), false}; }
  static BodyInput captured(View view, ValueId value) { return {std::move(view), value, {}, false}; }
  static BodyInput seen(View view) { return {std::move(view), {}, {}, false}; }
};

struct LoweredBody {
  Body body;
  std::vector<Step> before;   // of a loop: to be run once
  std::vector<int> inputs;    // bound buffers; -1 where it is none
  std::vector<int> outputs;   // bound buffers; that of the carry itself where it changes in place
  std::vector<bool> written;  // inputs that the body writes to
};

enum class BodyRuns : bool { once, in_a_loop };

// Node `id` is the one the body belongs to.
LoweredBody lower_body(ProgramBuilder& around, std::int32_t id, const Graph& body, const std::vector<BodyInput>& inputs,
                       BodyRuns runs);

}  // namespace lazuli::cpu
