// SPDX-License-Identifier: MIT
// What a session says of itself: its log and its statistics.
#pragma once

#include <lazuli/graph/base/log.h>
#include <lazuli/graph/graph.h>

#include <string>

namespace lazuli {

// A sink that any number of threads may call, and that does not throw; empty where `sink` is.
LogSink one_at_a_time(const LogSink& sink);

// Phase and types of the first inputs: "decode(i32[1], f32[1,256,64], 34 more)".
std::string program_name(const Graph& built);

}  // namespace lazuli
