// SPDX-License-Identifier: MIT
// Where each packed linear of a graph runs, decided before the first step is made: by itself, beside the other linears
// of its operand (product_steps.h), or in a chain with what reads its result, an epilogue (linear_epilogue.h).
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

#include <map>
#include <vector>

namespace lazuli::cpu {

// What one chain consists of: linears, the node that reads them, and what becomes of its result.
struct Epilogue {
  std::vector<std::int32_t> products;
  std::vector<std::int32_t> readers;  // linears whose operand form the chain makes
  std::int32_t argmax = -1;
  bool has_body = true;  // false: the node is the argmax itself
};

struct LinearPlan {
  std::map<ValueId, std::vector<std::int32_t>> readers_of_x;  // packed linears by their first operand
  std::vector<std::int32_t> epilogue_of;                      // the node in whose chain a linear runs; -1: none
  std::map<std::int32_t, Epilogue> epilogues;                 // by the node they end in
  std::vector<bool> lowered;                                  // nodes whose steps are added before their turn

  bool runs_elsewhere(std::int32_t id) const {
    return lowered[static_cast<std::size_t>(id)] || epilogue_of[static_cast<std::size_t>(id)] >= 0;
  }
  // The node at whose turn the node runs.
  std::int32_t runs_at(std::int32_t id) const {
    const std::int32_t end = epilogue_of[static_cast<std::size_t>(id)];
    return end >= 0 ? end : id;
  }
};

// Makes the plan, which is the builder's state from then on.
void plan_linears(ProgramBuilder& builder);

}  // namespace lazuli::cpu
