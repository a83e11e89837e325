// SPDX-License-Identifier: MIT
// SIGINT as a flag that long commands look at between steps.
#pragma once

#include <lazuli/graph/base/error.h>

#include <atomic>

namespace lazuli::tool {

// Thrown where a command cannot hand out anything useful once it is interrupted: ends with status 130.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

// From the first call on an interrupt sets the flag; a second interrupt ends the process.
const std::atomic<bool>& watch_interrupt();
// Throws Interrupted once the flag of watch_interrupt is set.
void check_interrupt();

}  // namespace lazuli::tool
