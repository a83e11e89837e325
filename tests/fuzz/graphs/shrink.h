// SPDX-License-Identifier: MIT
// Makes a graph that fails smaller: outputs go, nodes give way to one of their operands or to an input, sizes and
// bodies shrink, for as long as the rest still fails.
#pragma once

#include <lazuli/tests/fuzz/graphs/builder.h>

#include <functional>

namespace lazuli::fuzz {

using Fails = std::function<bool(const RandomGraph&)>;

// Calls `fails` at most so many times.
RandomGraph shrunk(RandomGraph graph, const Fails& fails, int most_calls);

}  // namespace lazuli::fuzz
