// SPDX-License-Identifier: MIT
// Makes generated code known to those who look at a process from outside: gdb, by its JIT interface; perf, where the
// environment variable JITDUMPDIR names a folder (perf_dump.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lazuli::cpu::jit {

struct LoadedSection {
  std::uint64_t header_at = 0;  // of its header, in the object
  const std::byte* address = nullptr;
};

// Listed as long as this object lives, which the code must outlive.
class CodeListing {
 public:
  CodeListing(std::span<const std::byte> object, std::span<const LoadedSection> sections, const std::string& symbol,
              std::span<const std::byte> code);
  ~CodeListing();
  CodeListing(const CodeListing&) = delete;
  CodeListing& operator=(const CodeListing&) = delete;

 private:
  struct Entry;
  std::unique_ptr<Entry> entry_;
};

}  // namespace lazuli::cpu::jit
