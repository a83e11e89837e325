// SPDX-License-Identifier: MIT
// What a session says of itself: its log and its statistics.
#pragma once

#include <lazuli/graph/base/log.h>
#include <lazuli/graph/graph.h>
#include <lazuli/runtime/session.h>

#include <mutex>
#include <string>

namespace lazuli {

// A sink that any number of threads may call, and that does not throw; empty where `sink` is.
LogSink one_at_a_time(const LogSink& sink);

// With callbacks that run one at a time and may evaluate arrays: they are not told of what that takes, which would call
// them without end. They hold `compiling`, the first lock that an evaluation takes, and are called with no other held.
SessionOptions with_quiet_callbacks(SessionOptions options, std::recursive_mutex& compiling);

// Phase and types of the first inputs: "decode(i32[1], f32[1,256,64], 34 more)".
std::string program_name(const Graph& built);

}  // namespace lazuli
