// SPDX-License-Identifier: MIT
// Errors: what happened, where (op, scope, tensor, byte offset), what was expected and what was found, in one line.
#pragma once

#include <lazuli/graph/base/export.h>

#include <stdexcept>
#include <string>

namespace lazuli {

// Base of everything lazuli throws: a bad call, a bad file, a bad graph.
class LAZULI_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A graph that a pass or a backend could not turn into a program. The text names the pass and the node.
class LAZULI_API CompileError : public Error {
 public:
  using Error::Error;
};

// A failure while a program ran. The text names the node; whoever waits for the result receives it.
class LAZULI_API ExecutionError : public Error {
 public:
  using Error::Error;
};

// Our own bug, never the caller's fault.
class LAZULI_API InternalError : public Error {
 public:
  using Error::Error;
};

}  // namespace lazuli
