// SPDX-License-Identifier: MIT
// Lowering: a finished graph becomes buffers and steps. Views dissolve into strides, each remaining node into the
// kernel launches that compute it.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// The steps of the builder's graph. Inputs of a body have views already; with `invariant`, that of a loop, which has the
// steps that no iteration changes taken out of it.
void lower_graph(ProgramBuilder& builder, std::vector<Step>* invariant = nullptr);

// `donated`: the inputs, ascending, that callers may give up. Throws a CompileError that names the node no kernel
// takes.
Lowered lower(const Graph& graph, std::span<const int> donated, const Tools& tools);

}  // namespace lazuli::cpu
