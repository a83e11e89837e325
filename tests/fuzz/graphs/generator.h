// SPDX-License-Identifier: MIT
// Graph `index` of a seed, which can be made without those before it.
//
// Graphs come in families of five, of one structure: the first brings code that has to be generated, and the others run
// it on other numbers and values, the last two with other sizes as well.
#pragma once

#include <lazuli/tests/fuzz/graphs/builder.h>

#include <cstdint>
#include <optional>

namespace lazuli::fuzz {

inline constexpr std::uint64_t family_size = 5;

struct Place {
  std::uint64_t seed = 1, index = 0;
  std::optional<Op> only;  // every graph has a node of it, and half of the nodes are tried with it

  std::uint64_t family() const { return index / family_size; }
};

// What the graph and its variants are drawn by: `purpose` tells streams of one place apart.
Random family_stream(const Place& place, std::uint64_t purpose);
Random stream(const Place& place, std::uint64_t purpose);

RandomGraph generate(const Place& place);

}  // namespace lazuli::fuzz
