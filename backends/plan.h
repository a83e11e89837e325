// SPDX-License-Identifier: MIT
// Lifetimes to offsets: where each buffer of a program lies in its arena. A pure function; it knows nothing of graphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

// A buffer and the instructions during which it must keep its bytes, both ends included.
struct Interval {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::size_t bytes = 0;
  std::size_t alignment = 64;  // a power of two
};

struct Plan {
  std::vector<std::size_t> offsets;  // one per interval
  std::size_t peak = 0;              // bytes of the arena
};

// Places the biggest buffer first, each into the smallest gap that holds it among the buffers alive at the same time
// (Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference", greedy by size). Buffers whose
// lifetimes share an instruction never share a byte. Buffers of zero bytes get offset 0. The same intervals always give
// the same plan. Throws InternalError for a lifetime that ends before it begins or an alignment that is not a power of
// two.
Plan plan_arena(std::span<const Interval> intervals);

// The most bytes alive at one instruction: no plan can be smaller.
std::size_t max_live_bytes(std::span<const Interval> intervals);

// Peak, its lower bound and what buffers without sharing would take, then a line per buffer: offset, bytes, life, name.
// `names` has one entry per interval or is empty.
std::string describe(const Plan& plan, std::span<const Interval> intervals, std::span<const std::string> names = {});

}  // namespace lazuli
