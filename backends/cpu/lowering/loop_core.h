// SPDX-License-Identifier: MIT
// A fused body on its way to the loop compiler: the views at its edges become windows onto memory, what is left is
// computed.
#pragma once

#include <lazuli/backends/cpu/lowering/loop_space.h>
#include <lazuli/graph/graph.h>

#include <span>
#include <vector>

namespace lazuli::cpu {

// A body without views: what is left to compute, over operands that are windows onto memory.
struct LoopCore {
  Graph body;
  std::vector<View> operands;  // body inputs, then body outputs
  Shape shape;                 // what all its values broadcast to; never without axes
  bool reduces = false;
};

// Takes the views at the edges of a body away: views of operands become operand windows, a concatenation of results
// becomes windows of the result.
LoopCore make_loop_core(const Graph& body, std::span<const View> operands, std::span<const View> results);

// Reduces the types of the body to what the loop compiler looks at (loop_kernel.h): full values get 2 columns, narrow
// ones 1.
void mark_full_and_narrow(LoopCore& core, const LoopSpace& space);

}  // namespace lazuli::cpu
