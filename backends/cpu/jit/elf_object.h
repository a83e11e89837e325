// SPDX-License-Identifier: MIT
// Reads a relocatable x86-64 ELF file. Its bytes may come from a disk, so nothing in them is taken on trust: what is
// given has been found to lie within the file, and everything else is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lazuli::cpu::jit {

struct ElfSection {
  std::string_view name;
  std::span<const std::byte> bytes;
  std::uint64_t alignment = 1;  // a power of two, at most a page
  std::uint64_t header_at = 0;  // where its header stands in the file
  bool loaded = false;          // code or constants
  bool executable = false;
};

struct ElfSymbol {
  std::string_view name;
  std::uint64_t value = 0;  // an offset in its section
  std::uint64_t size = 0;
  int section = 0;  // 0: defined elsewhere
};

struct ElfRelocation {
  int section = 0;           // a loaded one
  std::uint64_t offset = 0;  // in it
  std::uint32_t type = 0;    // R_X86_64_...
  std::uint32_t symbol = 0;
  std::int64_t addend = 0;
};

struct ElfObject {
  std::vector<ElfSection> sections;
  std::vector<ElfSymbol> symbols;
  std::vector<ElfRelocation> relocations;
};

// Throws an Error that says what was expected and found. The result refers to `file`.
ElfObject read_elf_object(std::span<const std::byte> file);

}  // namespace lazuli::cpu::jit
