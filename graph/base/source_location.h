// SPDX-License-Identifier: MIT
// Where nodes were built, for errors. Off unless it is asked for: noting the place walks the stack at each node.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {

// From now on, on all threads, nodes note where they are built, and errors about them say so (ErrorDetails::source).
// Costs some microseconds a node while it is on, and a branch while it is off. Any thread may call at any time.
LAZULI_API void record_source_locations(bool on);
LAZULI_API bool records_source_locations();

// What is known of an address: a function, or one inlined into it.
struct SourceFrame {
  std::string function, file;  // empty: not known
  std::uint32_t line = 0;
  std::uint64_t into_function = 0;  // bytes from its beginning
};

// Reads symbol tables and debug information: the function at an offset of a module ("/home/me/program") and those
// inlined into it, innermost first; nothing where nothing is known. Thread-safe.
using Symbolizer = std::vector<SourceFrame> (*)(const std::string& module, std::uint64_t offset);
// From now on places are told by it; before, as offsets alone. A backend that has one gives it.
void use_symbolizer(Symbolizer symbolizer);

// Return addresses. Equal stacks are one, and none ever ends: a program has as many as it has places that build.
struct CallStack;

// Of this call; null while locations are not recorded.
const CallStack* current_call_stack();

// The innermost place that is no part of lazuli's ops: "/home/me/model.cc:12" where the program has debug information
// (-g), else "build_mlp +0x1f (/home/me/program+0x4a1f)", of which addr2line makes the line, else the modules and
// offsets of the whole stack. "" of null. Reads debug information when it is called, which may take long the first
// time.
std::string source_of(const CallStack* stack);

}  // namespace lazuli
