// SPDX-License-Identifier: MIT
#include <execinfo.h>
#include <lazuli/tests/faults/allocations.h>
#include <lazuli/tests/faults/json_code.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>

namespace lazuli::test {
namespace {

constinit std::atomic<bool> counts{false}, records{false}, all_behind{false};
constinit std::atomic<std::int64_t> made_so_far{0}, failing_one{0}, out{0};
constinit thread_local int in_foreign_code = 0;

struct Places {
  std::mutex mutex;
  std::unordered_map<std::uint64_t, std::int64_t> first;  // by a hash of the stack
};
Places& places() {
  static Places& all = *new Places;
  return all;
}

void note_place(std::int64_t number) {
  const ForeignCode own;
  constexpr int frames = 12, of_this_file = 3;
  void* stack[frames];
  const int depth = backtrace(stack, frames);
  std::uint64_t hash = 1469598103934665603u;
  for (int i = std::min(of_this_file, depth); i < depth; ++i)
    hash = (hash ^ reinterpret_cast<std::uint64_t>(stack[i])) * 1099511628211u;
  const std::lock_guard lock(places().mutex);
  const auto [entry, is_new] = places().first.emplace(hash, number);
  if (!is_new) entry->second = std::min(entry->second, number);
}

bool is_refused() {
  if (in_foreign_code > 0 || !counts.load(std::memory_order_relaxed)) return false;
  const std::int64_t number = ++made_so_far;
  if (records.load(std::memory_order_relaxed)) note_place(number);
  const std::int64_t failing = failing_one.load(std::memory_order_relaxed);
  const bool refused =
      failing > 0 && (number == failing || (number > failing && all_behind.load(std::memory_order_relaxed)));
  return refused && !called_from_json();
}

void* counted(void* memory) {
  if (memory != nullptr) ++out;
  return memory;
}

void* allocate(std::size_t bytes) noexcept { return is_refused() ? nullptr : counted(std::malloc(bytes ? bytes : 1)); }
void* allocate(std::size_t bytes, std::align_val_t alignment) noexcept {
  return is_refused() ? nullptr : counted(memalign(static_cast<std::size_t>(alignment), bytes ? bytes : 1));
}
void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void give_back(void* memory) noexcept {
  if (memory != nullptr) --out;
  std::free(memory);
}

}  // namespace

ForeignCode::ForeignCode() noexcept { ++in_foreign_code; }
ForeignCode::~ForeignCode() { --in_foreign_code; }

FailingAllocations::FailingAllocations(std::int64_t n, Failing failing) {
  made_so_far = 0;
  all_behind = failing == Failing::from_then_on;
  failing_one = n;
  counts = true;
}
FailingAllocations::~FailingAllocations() {
  counts = false;
  failing_one = 0;
}
std::int64_t FailingAllocations::made() const { return made_so_far; }

RecordedAllocations::RecordedAllocations() {
  places().first.clear();
  made_so_far = 0;
  records = counts = true;
}
RecordedAllocations::~RecordedAllocations() { records = counts = false; }
std::int64_t RecordedAllocations::made() const { return made_so_far; }
std::vector<std::int64_t> RecordedAllocations::first_of_each_place() const {
  const ForeignCode own;
  std::vector<std::int64_t> numbers;
  for (const auto& [hash, number] : places().first) numbers.push_back(number);
  std::ranges::sort(numbers);
  return numbers;
}

std::int64_t allocations_out() { return out; }

}  // namespace lazuli::test

using lazuli::test::allocate;
using lazuli::test::give_back;
using lazuli::test::or_throw;

void* operator new(std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new[](std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return or_throw(allocate(bytes, alignment)); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return or_throw(allocate(bytes, alignment)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, alignment);
}
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }

// Of buffers (graph/buffer.cc), which give back by free(): not among those that are out.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  if (!lazuli::test::is_refused()) return memalign(alignment, bytes);
  errno = ENOMEM;
  return nullptr;
}
