// SPDX-License-Identifier: MIT
// Spellings of a graph that must give its bits: one value of it is computed in another way, or goes through ops that
// together change nothing. None changes the order of a sum.
#pragma once

#include <lazuli/tests/fuzz/graphs/builder.h>

#include <optional>
#include <span>
#include <string_view>

namespace lazuli::fuzz {

// A graph under construction in which values may be spelled otherwise.
struct Spelling {
  std::string_view name;
  // Appends nodes to `graph` and gives the value that stands for `value`; nothing where it does not apply. Draws from
  // `random` places and numbers alone.
  std::optional<ValueId> (*spell)(Graph& graph, ValueId value, Random& random);
};
std::span<const Spelling> spellings();

// The graph with the value of node `at` spelled so for all its readers.
std::optional<RandomGraph> spelled(const RandomGraph& graph, const Spelling& spelling, std::int32_t at,
                                   std::uint64_t draw);

}  // namespace lazuli::fuzz
