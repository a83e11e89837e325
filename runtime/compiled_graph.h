// SPDX-License-Identifier: MIT
// What a session makes of a graph: the stages of its way through the compiler, and the program.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/graph/evaluator.h>

#include <memory>

namespace lazuli {

// The graphs are kept for listings.
struct CompiledGraph final : Executable {
  Graph built, fused;
  std::unique_ptr<Program> program;
  std::shared_ptr<RunObserver> observer;  // Session::observe
};

}  // namespace lazuli
