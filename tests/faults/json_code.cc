// SPDX-License-Identifier: MIT
#include <elf.h>
#include <execinfo.h>
#include <lazuli/tests/faults/allocations.h>
#include <lazuli/tests/faults/json_code.h>
#include <link.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::test {
namespace {

struct Range {
  std::uintptr_t begin, end;
};

std::uintptr_t address_of_program() {
  std::uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        *static_cast<std::uintptr_t*>(found) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &address);
  return address;
}

std::vector<Range> json_functions() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(file), {}};
  const auto read = [&]<class T>(std::size_t offset, T& value) {
    std::memcpy(&value, program.data() + offset, sizeof value);
  };
  Elf64_Ehdr header;
  read(0, header);
  const std::uintptr_t base = address_of_program();
  std::vector<Range> ranges;
  for (std::size_t section = 0; section < header.e_shnum; ++section) {
    Elf64_Shdr symbols, names;
    read(header.e_shoff + section * sizeof symbols, symbols);
    if (symbols.sh_type != SHT_SYMTAB) continue;
    read(header.e_shoff + symbols.sh_link * sizeof names, names);
    for (std::size_t at = 0; at < symbols.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      read(symbols.sh_offset + at, symbol);
      const std::string_view name = program.data() + names.sh_offset + symbol.st_name;
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && name.find("8nlohmann") != name.npos)
        ranges.push_back({base + symbol.st_value, base + symbol.st_value + symbol.st_size});
    }
  }
  std::ranges::sort(ranges, {}, &Range::begin);
  return ranges;
}

}  // namespace

bool called_from_json() {
  const ForeignCode own;
  static const std::vector<Range> functions = json_functions();
  constexpr int frames = 16;
  void* stack[frames];
  const int depth = backtrace(stack, frames);
  return std::any_of(stack, stack + depth, [](const void* frame) {
    const auto address = reinterpret_cast<std::uintptr_t>(frame);
    const auto behind = std::ranges::upper_bound(functions, address, {}, &Range::begin);
    return behind != functions.begin() && address < std::prev(behind)->end;
  });
}

}  // namespace lazuli::test
