// SPDX-License-Identifier: MIT
// How a graph grows by a node of each op. The table derives from ops.def by the ops' shape rules: an op with a rule
// that has no function here does not compile.
#pragma once

#include <lazuli/tests/fuzz/graphs/builder.h>

#include <span>

namespace lazuli::fuzz {

namespace grow {
// Appends a node of the op, with what operands it needs. False where none was added: its types did not fit.
#define LAZULI_OP(name, min, max, attrs, shape, ...) bool shape(Builder& builder, Op op);
#include <lazuli/graph/ops.def>
}  // namespace grow

struct Grower {
  Op op;
  bool (*grow)(Builder& builder, Op op);
};
std::span<const Grower> growers();

// Several nodes that rules and fusions look for.
bool grow_motif(Builder& builder);

// A body for control flow: nodes on the parameters, and a value of each of the types.
Graph random_body(Builder& around, const std::vector<Type>& parameters, const std::vector<Type>& results, int nodes);

}  // namespace lazuli::fuzz
