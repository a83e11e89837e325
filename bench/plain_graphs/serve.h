// SPDX-License-Identifier: MIT
// Runs graphs on request, for who takes turns with other programs (bench/peers/compare_plain_graphs.py). Reads lines
// and answers each with one:
//   version              of what computes
//   list                 the names
//   time NAME SECONDS    microseconds of a warm call, the median of as many as the seconds hold, at least three
//   result NAME FILE     writes the result's f32
#pragma once

#include <span>
#include <string>

namespace lazuli::bench {

class GraphProgram {
 public:
  virtual ~GraphProgram() = default;
  virtual std::string version() const = 0;
  virtual std::string names() const = 0;  // separated by spaces
  // Makes it ready unless it is, and runs it.
  virtual void run(const std::string& name) = 0;
  // Of the latest run, which was of this name.
  virtual std::span<const float> result(const std::string& name) = 0;
};

// The exit status: 0 at the end of the lines. Errors are reported under the name `program`.
int serve(GraphProgram& graphs, const char* program);

}  // namespace lazuli::bench
