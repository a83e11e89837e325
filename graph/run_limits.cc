// SPDX-License-Identifier: MIT
#include <lazuli/graph/run_limits.h>

#include <utility>

namespace lazuli {
namespace {
thread_local const RunLimits* limits_in_force = nullptr;
}

LimitRuns::LimitRuns(RunLimits limits)
    : limits_(std::move(limits)), previous_(std::exchange(limits_in_force, &limits_)) {}

LimitRuns::~LimitRuns() { limits_in_force = previous_; }

const RunLimits* LimitRuns::current() { return limits_in_force; }

}  // namespace lazuli
