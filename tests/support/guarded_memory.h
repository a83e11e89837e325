// SPDX-License-Identifier: MIT
// Memory that ends where no byte can be read: what a kernel reads or writes behind an array ends the test.
#pragma once

#include <lazuli/graph/buffer.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace lazuli::test {

// Buffers have 64 readable bytes behind them, which belong to what they allocate.
class GuardedMemory final : public Allocator {
 public:
  void* allocate(std::size_t bytes, std::size_t alignment) override {
    const std::size_t whole = pages(bytes);
    void* memory = mmap(nullptr, whole + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    auto* begin = static_cast<std::byte*>(memory);
    mprotect(begin + whole, page(), PROT_NONE);
    return begin + (whole - bytes) / alignment * alignment;
  }
  void deallocate(void* memory, std::size_t bytes, std::size_t) noexcept override {
    const auto address = reinterpret_cast<std::uintptr_t>(memory) / page() * page();
    munmap(reinterpret_cast<void*>(address), pages(bytes) + page());
  }

 private:
  static std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
  static std::size_t pages(std::size_t bytes) { return (bytes + page() - 1) / page() * page(); }
};

}  // namespace lazuli::test
