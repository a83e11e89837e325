// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/fork.h>
#include <pthread.h>

#include <atomic>
#include <utility>

namespace lazuli {
namespace {

std::atomic<std::uint64_t> generation{0};

// Without a lock, which a missing thread might hold; it never ends, as static objects end while this is in use.
struct Kept {
  std::shared_ptr<const void> object;
  Kept* next;
};
std::atomic<Kept*> kept{nullptr};

}  // namespace

std::uint64_t process_generation() {
  static const bool counts = pthread_atfork(nullptr, nullptr, [] { ++generation; }) == 0;
  static_cast<void>(counts);  // it fails for want of memory alone
  return generation.load(std::memory_order_relaxed);
}

void keep_for_ever(std::shared_ptr<const void> object) {
  auto* entry = new Kept{std::move(object), kept.load(std::memory_order_relaxed)};
  while (!kept.compare_exchange_weak(entry->next, entry, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void fail_after_fork(const char* what) {
  fail("{} before fork(), by a process whose threads are not in this one; sessions made after it can be used", what);
}

}  // namespace lazuli
