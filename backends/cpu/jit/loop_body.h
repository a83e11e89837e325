// SPDX-License-Identifier: MIT
// What a loop body asks of its kernel, found without LLVM: which values are uniform along the columns, which pass over
// the columns (stage) each belongs to, and the key that equal kernels share.
#pragma once

#include <lazuli/backends/cpu/jit/loop_kernel.h>

#include <string>
#include <vector>

namespace lazuli::cpu::jit {

// One pass over the columns. A reduction ends a stage, since what depends on it needs its final value.
struct LoopStage {
  std::vector<int> reductions;  // nodes whose lanes this stage accumulates
  std::vector<int> stores;      // outputs written along the columns; empty except in the last stage
  std::vector<int> vectors;     // nodes computed for each vector of columns, in topological order
};

// A value that several stages need and that takes longer to compute than to read: the first of them writes it to an
// output, where the others find it. Those read no operand along the columns, so the output may lie in the memory of
// one.
struct KeptValue {
  int node = -1;  // none
  int output = -1;
  int stage = -1;
};

// Nodes are indices into graph.nodes. All vectors below have one entry per node, unless said otherwise.
struct LoopBody {
  const Graph* graph = nullptr;
  std::vector<ColumnAccess> access;  // per operand: inputs, then outputs
  int inputs = 0;

  std::vector<bool> live;     // some output depends on it
  std::vector<bool> full;     // one element per column
  std::vector<bool> uniform;  // the same for all columns of a row: kept as one scalar, also when full
  // Stages that must have ended before the value can be computed. Uniform values are computed between stages.
  std::vector<int> level;
  std::vector<LoopStage> stages;
  KeptValue kept;
  std::vector<int> numbers;  // scalars that a run brings, in the order of LoopArguments::numbers
  std::string key;

  const GraphNode& node(int index) const { return graph->nodes[static_cast<std::size_t>(index)]; }
  int operand_of_input(int node_index) const;
  int output_node(int output) const { return graph->outputs[static_cast<std::size_t>(output)].node; }
  ColumnAccess output_access(int output) const {
    return access[static_cast<std::size_t>(inputs) + static_cast<std::size_t>(output)];
  }
};

// Throws a CompileError that names the op when the body cannot be compiled. `body` must outlive the result.
LoopBody analyse(const Graph& body, std::span<const ColumnAccess> access);

}  // namespace lazuli::cpu::jit
