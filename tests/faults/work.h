// SPDX-License-Identifier: MIT
// What is done while faults happen: each call makes all it needs and gives the bits of what it computed.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/session.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::test {

using Bits = std::vector<std::uint32_t>;

struct Work {
  std::string name;
  std::int64_t budget;  // of points that one test may try, by what the call takes
  std::function<Bits()> call;
};

Bits bits_of(const Array& array);  // 4-byte elements
SessionOptions with_threads(int threads);

// Loops, matmuls with a chain behind them, attention, control flow, a donated state, and a constant weight.
std::vector<Array> small_graph();
Bits run_small_graph(Session& session);
// A graph's text, with every kind of attribute.
std::string small_text();

inline constexpr const char* tiny_checkpoint = "gemma3-dense";
// Generates a few tokens behind a prompt that takes two chunks.
Bits generate_few(const LanguageModel& model);

// Everything that is tried: parse, save and load, load a checkpoint of each kind, compile and run, generate.
std::vector<Work> all_work(const std::string& folder);

}  // namespace lazuli::test
