// SPDX-License-Identifier: MIT
// The ways a graph is run, and the sessions that run it: one for each set of options, kept, so that kernels are made
// once. A thread has its own.
#pragma once

#include <lazuli/runtime/session.h>
#include <lazuli/tests/fuzz/graphs/builder.h>
#include <lazuli/tests/fuzz/graphs/plants.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::fuzz {

enum class Way : std::uint8_t {
  prepared,  // a program, run on operands that stay
  donated,   // a program that may write into all of its inputs
  compiled,  // a compiled function, called with arguments that are given up
  lazy,      // arrays, evaluated at once, whose leaves nobody else holds
  eager,     // arrays, each evaluated as soon as it is there
};

struct Variant {
  std::string fusion = "none";
  int threads = 1;
  Isa isa = Isa::scalar;
  Precision precision = Precision::fast;
  Way way = Way::prepared;
  bool is_base = false;  // what the others are compared with: no plant is in it

  bool operator==(const Variant&) const = default;
};
std::string to_string(const Variant& variant);

struct Outcome {
  std::vector<BufferRef> results;
  std::string error;  // that ended the run
};

class Sessions {
 public:
  // With a plant in the sessions of all variants but the base, or in all.
  explicit Sessions(const Plant* plant = nullptr) : plant_(plant) {}

  Outcome run(const RandomGraph& graph, const Variant& variant);
  Session& of(const Variant& variant);
  // Ends the sessions with the most kernels, until few enough are left: each is a mapping of the process.
  void bound_kernels(std::int64_t most);
  // Code that was generated, by this thread's sessions, and programs that were made.
  const Plant* plant() const { return plant_; }

 private:
  const Plant* plant_;
  std::map<std::string, std::unique_ptr<Session>> sessions_;
};

std::vector<Type> output_types(const Graph& graph);

}  // namespace lazuli::fuzz
