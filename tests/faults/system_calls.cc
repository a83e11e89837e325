// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <fcntl.h>
#include <lazuli/tests/faults/system_calls.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

namespace lazuli::test {
namespace {

constinit std::atomic<int> failing_call{-1}, failing_error{0};
constinit std::atomic<bool> all_behind{false}, is_short{false};
constinit std::atomic<std::int64_t> failing_one{0}, made_since{0}, transfers{0};
constinit std::atomic<std::int64_t> made_of[static_cast<std::size_t>(Call::count)] = {};

// The error of this call, or 0.
int error_to_give(Call call) {
  ++made_of[static_cast<std::size_t>(call)];
  if (failing_call.load(std::memory_order_relaxed) != static_cast<int>(call)) return 0;
  const std::int64_t number = ++made_since, failing = failing_one;
  return number == failing || (number > failing && all_behind) ? failing_error.load() : 0;
}

bool fails(Call call) {
  const int error = error_to_give(call);
  if (error != 0) errno = error;
  return error != 0;
}

// Bytes to transfer in place of `bytes`; 0: the call is interrupted.
std::size_t shortened(std::size_t bytes) {
  if (!is_short || bytes == 0) return bytes;
  return ++transfers % 2 == 1 ? 0 : (bytes + 1) / 2;
}

bool is_interrupted(std::size_t& bytes) {
  const std::size_t asked = bytes;
  bytes = shortened(asked);
  if (asked == 0 || bytes > 0) return false;
  errno = EINTR;
  return true;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

std::string_view name_of(Call call) {
  constexpr std::string_view names[] = {"open",   "openat",   "read",     "pread",     "write",
                                        "pwrite", "mmap",     "mprotect", "ftruncate", "posix_fallocate",
                                        "rename", "renameat", "fstat",    "mkdirat",   "pthread_create"};
  static_assert(std::size(names) == static_cast<std::size_t>(Call::count));
  return names[static_cast<std::size_t>(call)];
}

std::int64_t calls_made(Call call) { return made_of[static_cast<std::size_t>(call)]; }

FailingCalls::FailingCalls(Call call, std::int64_t n, int error, bool from_then_on) {
  made_since = 0;
  failing_one = n;
  failing_error = error;
  all_behind = from_then_on;
  failing_call = static_cast<int>(call);
}
FailingCalls::~FailingCalls() { failing_call = -1; }
std::int64_t FailingCalls::made() const { return made_since; }

ShortTransfers::ShortTransfers() {
  transfers = 0;
  is_short = true;
}
ShortTransfers::~ShortTransfers() { is_short = false; }
std::int64_t ShortTransfers::made() const { return transfers; }

}  // namespace lazuli::test

using lazuli::test::Call;
using lazuli::test::fails;
using lazuli::test::is_interrupted;

extern "C" {

int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return fails(Call::open) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int folder, const char* path, int flags, ...);
int __wrap_openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return fails(Call::openat) ? -1 : __real_openat(folder, path, flags, mode);
}

ssize_t __real_pread(int file, void* data, std::size_t bytes, off_t offset);
ssize_t __wrap_pread(int file, void* data, std::size_t bytes, off_t offset) {
  return fails(Call::pread) || is_interrupted(bytes) ? -1 : __real_pread(file, data, bytes, offset);
}

ssize_t __real_write(int file, const void* data, std::size_t bytes);
ssize_t __wrap_write(int file, const void* data, std::size_t bytes) {
  return fails(Call::write) || is_interrupted(bytes) ? -1 : __real_write(file, data, bytes);
}

ssize_t __real_pwrite(int file, const void* data, std::size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int file, const void* data, std::size_t bytes, off_t offset) {
  return fails(Call::pwrite) || is_interrupted(bytes) ? -1 : __real_pwrite(file, data, bytes, offset);
}

void* __real_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset);
void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  return fails(Call::mmap) ? MAP_FAILED : __real_mmap(address, bytes, protection, flags, file, offset);
}

int __real_mprotect(void* address, std::size_t bytes, int protection);
int __wrap_mprotect(void* address, std::size_t bytes, int protection) {
  return fails(Call::mprotect) ? -1 : __real_mprotect(address, bytes, protection);
}

int __real_ftruncate(int file, off_t bytes);
int __wrap_ftruncate(int file, off_t bytes) { return fails(Call::ftruncate) ? -1 : __real_ftruncate(file, bytes); }

// Returns its error and leaves errno alone.
int __real_posix_fallocate(int file, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int file, off_t offset, off_t bytes) {
  const int error = lazuli::test::error_to_give(Call::posix_fallocate);
  return error != 0 ? error : __real_posix_fallocate(file, offset, bytes);
}

int __real_rename(const char* from, const char* to);
int __wrap_rename(const char* from, const char* to) { return fails(Call::rename) ? -1 : __real_rename(from, to); }

int __real_renameat(int from_folder, const char* from, int to_folder, const char* to);
int __wrap_renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return fails(Call::renameat) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}

int __real_fstat(int file, struct stat* status);
int __wrap_fstat(int file, struct stat* status) { return fails(Call::fstat) ? -1 : __real_fstat(file, status); }

int __real_mkdirat(int folder, const char* path, mode_t mode);
int __wrap_mkdirat(int folder, const char* path, mode_t mode) {
  return fails(Call::mkdirat) ? -1 : __real_mkdirat(folder, path, mode);
}

// The two that the C++ library calls.
ssize_t read(int file, void* data, std::size_t bytes) {
  using Read = ssize_t (*)(int, void*, std::size_t);
  static const Read real = lazuli::test::next<Read>("read");
  return fails(Call::read) || is_interrupted(bytes) ? -1 : real(file, data, bytes);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create real = lazuli::test::next<Create>("pthread_create");
  const int error = lazuli::test::error_to_give(Call::pthread_create);
  return error != 0 ? error : real(thread, attributes, start, argument);
}
}
