// SPDX-License-Identifier: MIT
// What ends a command from outside: SIGINT, SIGTERM and SIGHUP. Long commands look at a flag between steps and end by
// themselves; whoever does not within a moment is ended, and what it was writing is removed.
#pragma once

#include <lazuli/graph/base/error.h>

#include <atomic>

namespace lazuli::tool {

// Thrown where a command cannot hand out anything useful once it is interrupted: ends with interrupted_status().
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

// Before any other thread starts: a thread of its own takes the signals from here on, but for those that were ignored.
void start_watching_interrupts();
// Set by the first signal.
const std::atomic<bool>& watch_interrupt();
// Throws Interrupted once the flag is set.
void check_interrupt();
// The command has seen the flag, and saves and prints what it has: that may take as long as it likes. A second signal
// ends it nevertheless.
void end_by_itself();
// Whoever says that the command was interrupted: true for the first one alone.
bool first_to_tell_interrupt();
// What shells report for a program that the signal ended: 130 for SIGINT, 143 for SIGTERM.
int interrupted_status();

}  // namespace lazuli::tool
