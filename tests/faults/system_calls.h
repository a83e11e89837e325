// SPDX-License-Identifier: MIT
// System calls that fail where a test says. Those of lazuli's own code are wrapped by the linker (faults.cmake); the
// C++ library, LLVM and OpenBLAS make theirs, but for read and pthread_create, which are replaced for all.
#pragma once

#include <cstdint>
#include <string_view>

namespace lazuli::test {

// The calls that can fail, each with the errors that it is made to fail with.
enum class Call {
  open,
  openat,
  read,
  pread,
  write,
  pwrite,
  mmap,
  mprotect,
  ftruncate,
  posix_fallocate,
  rename,
  renameat,
  fstat,
  mkdirat,
  pthread_create,
  count
};
std::string_view name_of(Call call);
std::int64_t calls_made(Call call);  // of this kind, since the program began

// The n-th call of this kind from here on fails with `error`, n >= 1, or that one and all behind it.
class FailingCalls {
 public:
  FailingCalls(Call call, std::int64_t n, int error, bool from_then_on = false);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;

  std::int64_t made() const;  // of the kind, so far
};

// Every read and write transfers half of what it is asked for, and every other one is interrupted first.
class ShortTransfers {
 public:
  ShortTransfers();
  ~ShortTransfers();
  ShortTransfers(const ShortTransfers&) = delete;
  ShortTransfers& operator=(const ShortTransfers&) = delete;

  std::int64_t made() const;  // transfers
};

}  // namespace lazuli::test
