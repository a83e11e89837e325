// SPDX-License-Identifier: MIT
// What a session makes of a graph: the stages of its way through the compiler, and the program.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/evaluator.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lazuli {

// The graphs are kept for listings.
struct CompiledGraph final : Executable {
  std::uint64_t engine = 0;  // Evaluator::id of the engine that made it
  Graph built, fused;
  std::size_t numbers = 0;                    // of `built`
  std::vector<std::optional<Type>> operands;  // by index; none where the graph has no input of it
  std::vector<NamedSize> dimensions;          // of `built`
  std::unique_ptr<Program> program;
  // Constants of `built`, and how many references of the program hold each of them: where there are no others, the
  // program alone keeps the memory.
  struct Held {
    std::weak_ptr<const Buffer> buffer;
    long references;
  };
  std::vector<Held> constants;
  std::shared_ptr<RunObserver> observer;  // Session::observe
  // For statistics; as the observer, under the engine's lock.
  std::string name;
  double compile_seconds = 0;
  std::int64_t runs = 0;
  std::uint64_t last_used = 0;  // a count of uses by all programs: the least goes first for want of memory
};

}  // namespace lazuli
