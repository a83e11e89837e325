// SPDX-License-Identifier: MIT
// Memory that runs out where a test says: operator new, in all its forms, and the allocation behind buffers are
// replaced in this program. Allocations are counted while a FailingAllocations or a RecordedAllocations lives, on all
// threads, but for those in foreign code.
#pragma once

#include <cstdint>
#include <vector>

namespace lazuli::test {

// What this thread allocates meanwhile is not counted and does not fail: code that is not ours and ends the process
// where it finds no memory. lazuli asks for that memory beforehand (graph/base/foreign_memory.h).
class ForeignCode {
 public:
  ForeignCode() noexcept;
  ~ForeignCode();
  ForeignCode(const ForeignCode&) = delete;
  ForeignCode& operator=(const ForeignCode&) = delete;
};

enum class Failing { once, from_then_on };

// The n-th allocation from here on fails, n >= 1, or that one and all behind it.
class FailingAllocations {
 public:
  FailingAllocations(std::int64_t n, Failing failing);
  ~FailingAllocations();
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;

  std::int64_t made() const;  // so far
};

// Counts, and notes which allocations were the first of their place: the first with that call stack.
class RecordedAllocations {
 public:
  RecordedAllocations();
  ~RecordedAllocations();
  RecordedAllocations(const RecordedAllocations&) = delete;
  RecordedAllocations& operator=(const RecordedAllocations&) = delete;

  std::int64_t made() const;
  std::vector<std::int64_t> first_of_each_place() const;  // ascending
};

// That are not given back yet, of all threads and kinds.
std::int64_t allocations_out();

}  // namespace lazuli::test
