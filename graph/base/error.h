// SPDX-License-Identifier: MIT
// Errors: what happened, where (op, scope, tensor, byte offset), what was expected and what was found, in one line, and
// the same as data.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace lazuli {

enum class LAZULI_API ErrorKind : std::uint8_t {
  invalid_argument,  // a call that cannot be right: an unknown name, a number out of range, an empty array
  shape,             // operands, or arrays for a graph's inputs, of shapes that do not fit
  dtype,             // the same of dtypes
  file,              // a file that cannot be read or written, or that holds something else than it should
  compile,           // a graph that a pass or the backend could not turn into a program
  execution,         // a failure of a step of a running program, such as an index out of range
  cancelled,         // a run ended early because its stop token was asked to (RunLimits)
  deadline,          // the same because its time was up
  memory,            // an allocation was refused; `expected` says how many bytes it was about
  internal,          // our own bug, never the caller's fault
};
LAZULI_API std::string_view to_string(ErrorKind kind);

// What an error is about. Whatever is not known, or makes no sense for the error, is empty. Texts are those of
// to_string: "f32[2,3]", "add".
struct LAZULI_API ErrorDetails {
  ErrorKind kind = ErrorKind::invalid_argument;
  std::string op = {};    // the op, or the rule that made the node; of a call that is no op, its name ("run")
  std::string pass = {};  // the pass or rule that ran, where a graph was compiled
  // Index in the graph as it was built (Graph::nodes), or -1. Of a fused node, the last it stands for.
  std::int32_t node = -1;
  std::string scope = {};  // "layers.3.mlp"
  // Where the node was built, if record_source_locations() was on: "model.cc:12", or what is known (source_location.h).
  std::string source = {};
  std::string expected = {}, found = {};
};

// Base of everything lazuli throws: a bad call, a bad file, a bad graph. Copies share what they hold and do not throw.
class LAZULI_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text) : Error(text, ErrorKind::invalid_argument) {}
  explicit Error(const char* text) : Error(std::string(text)) {}
  Error(const std::string& text, ErrorDetails details);
  Error(const Error&) noexcept = default;  // and no move, which would leave an error without details
  Error& operator=(const Error&) noexcept = default;
  ~Error() override = default;

  const ErrorDetails& details() const noexcept { return *details_; }
  ErrorKind kind() const noexcept { return details_->kind; }

 protected:
  Error(const std::string& text, ErrorKind kind);  // an error of which nothing else is known

 private:
  std::shared_ptr<const ErrorDetails> details_;  // never null
};

// A graph that a pass or a backend could not turn into a program. The text names the pass and the node.
class LAZULI_API CompileError : public Error {
 public:
  explicit CompileError(const std::string& text) : Error(text, ErrorKind::compile) {}
  explicit CompileError(const char* text) : CompileError(std::string(text)) {}
  CompileError(const std::string& text, ErrorDetails details) : Error(text, std::move(details)) {}
};

// A failure while a program ran. The text names the node; whoever waits for the result receives it.
class LAZULI_API ExecutionError : public Error {
 public:
  explicit ExecutionError(const std::string& text) : Error(text, ErrorKind::execution) {}
  explicit ExecutionError(const char* text) : ExecutionError(std::string(text)) {}
  ExecutionError(const std::string& text, ErrorDetails details) : Error(text, std::move(details)) {}
};

// Our own bug, never the caller's fault.
class LAZULI_API InternalError : public Error {
 public:
  explicit InternalError(const std::string& text) : Error(text, ErrorKind::internal) {}
  explicit InternalError(const char* text) : InternalError(std::string(text)) {}
  InternalError(const std::string& text, ErrorDetails details) : Error(text, std::move(details)) {}
};

}  // namespace lazuli
