// SPDX-License-Identifier: MIT
#include <elf.h>
#include <fcntl.h>
#include <lazuli/backends/cpu/jit/perf_dump.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <ctime>

namespace lazuli::cpu::jit {
namespace {

struct FileHeader {
  std::uint32_t magic = 0x4A695444;
  std::uint32_t version = 1;
  std::uint32_t total_size = sizeof(FileHeader);
  std::uint32_t elf_mach = EM_X86_64;
  std::uint32_t pad1 = 0;
  std::uint32_t pid = 0;
  std::uint64_t timestamp = 0;
  std::uint64_t flags = 0;
};

struct CodeLoad {
  std::uint32_t id = 0;  // JIT_CODE_LOAD
  std::uint32_t total_size = 0;
  std::uint64_t timestamp = 0;
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::uint64_t vma = 0;
  std::uint64_t code_addr = 0;
  std::uint64_t code_size = 0;
  std::uint64_t code_index = 0;
};

// perf record -k mono reads the same clock.
std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

std::size_t page_bytes() { return static_cast<std::size_t>(getpagesize()); }

}  // namespace

PerfDump::PerfDump(const char* folder) {
  if (!folder || !*folder) return;
  const std::string path = std::string(folder) + "/jit-" + std::to_string(getpid()) + ".dump";
  file_ = open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file_ < 0) return;
  FileHeader header;
  header.pid = static_cast<std::uint32_t>(getpid());
  header.timestamp = now();
  void* mark = MAP_FAILED;
  if (write(file_, &header, sizeof header) == static_cast<ssize_t>(sizeof header))
    mark = mmap(nullptr, page_bytes(), PROT_READ | PROT_EXEC, MAP_PRIVATE, file_, 0);
  if (mark == MAP_FAILED)
    end();
  else
    mark_ = mark;
}

PerfDump::~PerfDump() {
  if (mark_) munmap(mark_, page_bytes());
  end();
}

void PerfDump::end() {
  if (file_ >= 0) close(file_);
  file_ = -1;
}

void PerfDump::add(const std::string& symbol, std::span<const std::byte> code) {
  if (file_ < 0) return;
  CodeLoad record;
  record.total_size = static_cast<std::uint32_t>(sizeof record + symbol.size() + 1 + code.size());
  record.timestamp = now();
  record.pid = static_cast<std::uint32_t>(getpid());
  record.tid = static_cast<std::uint32_t>(syscall(SYS_gettid));
  record.vma = record.code_addr = reinterpret_cast<std::uint64_t>(code.data());
  record.code_size = code.size();
  record.code_index = index_++;
  const iovec parts[] = {{&record, sizeof record},
                         {const_cast<char*>(symbol.c_str()), symbol.size() + 1},
                         {const_cast<std::byte*>(code.data()), code.size()}};
  // What comes after half a record could not be read.
  if (writev(file_, parts, 3) != static_cast<ssize_t>(record.total_size)) end();
}

}  // namespace lazuli::cpu::jit
