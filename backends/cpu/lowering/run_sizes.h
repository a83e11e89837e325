// SPDX-License-Identifier: MIT
// Steps over arrays with named axes: a run computes the rows it has, and not those of the bound.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

#include <cstddef>

namespace lazuli::cpu {

// Of the steps from `first_step` on, which lowering node `id` has added: those whose results have a named axis get as
// many units in a run as its rows are. A step that divides by rows is cut there, one whose units go through its results
// in order has fewer of them, and one that asks for sizes itself (Step::follows) stays as it is. Throws a CompileError
// for any other: it would read and write behind the rows of the run.
void follow_sizes(ProgramBuilder& builder, std::int32_t id, std::size_t first_step);

// For profiles, once chains are made: the traffic and the arithmetic of rows that a run does not have.
void leave_out_absent_rows(Lowered& program);

}  // namespace lazuli::cpu
