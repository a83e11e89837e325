// SPDX-License-Identifier: MIT
// Steps of a loop's body that give the same in every iteration, such as putting a captured matrix into the form of a
// kernel.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

#include <vector>

namespace lazuli::cpu {

// Takes them out of the steps of a body. They read nothing that changes between iterations, and what they write nobody
// else writes. Steps that compute values of the graph stay: tracing moved those that it could, and a body that never
// runs must not fail.
std::vector<Step> take_invariant_steps(ProgramBuilder& body);

}  // namespace lazuli::cpu
