// A graph after the passes, without what a program of it would need: no weight is laid out.
#pragma once

#include <lazuli/backends/session.h>

namespace lazuli::tool {

// As a session with these options makes it of `built`. Constants are folded, so norms, scales and other small weights
// are read.
Graph run_passes(const Graph& built, const SessionOptions& options);

}  // namespace lazuli::tool
