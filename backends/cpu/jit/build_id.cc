// SPDX-License-Identifier: MIT
#include <elf.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <link.h>
#include <llvm-c/Core.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace lazuli::cpu::jit {
namespace {

struct Search {
  ElfW(Addr) address;  // somewhere in the module
  std::string id;
};

bool holds(const dl_phdr_info& module, ElfW(Addr) address) {
  for (int i = 0; i < module.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = module.dlpi_phdr[i];
    const ElfW(Addr) begin = module.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && address >= begin && address - begin < segment.p_memsz) return true;
  }
  return false;
}

// Notes: sizes of name and description, a type, then both, each padded to 4 bytes.
std::string id_in_notes(std::string_view notes) {
  const auto padded = [](std::size_t bytes) { return (bytes + 3) / 4 * 4; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    notes.remove_prefix(sizeof note);
    if (padded(note.n_namesz) + padded(note.n_descsz) > notes.size()) break;
    if (note.n_type == NT_GNU_BUILD_ID && notes.substr(0, note.n_namesz) == std::string_view("GNU\0", 4)) {
      std::string id;
      for (const char byte : notes.substr(padded(note.n_namesz), note.n_descsz))
        id += fmt::format("{:02x}", static_cast<unsigned char>(byte));
      return id;
    }
    notes.remove_prefix(padded(note.n_namesz) + padded(note.n_descsz));
  }
  return {};
}

int visit(dl_phdr_info* module, std::size_t, void* state) {
  auto& search = *static_cast<Search*>(state);
  if (!holds(*module, search.address)) return 0;
  for (int i = 0; i < module->dlpi_phnum && search.id.empty(); ++i) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[i];
    if (segment.p_type == PT_NOTE)
      search.id = id_in_notes({reinterpret_cast<const char*>(module->dlpi_addr + segment.p_vaddr), segment.p_memsz});
  }
  return 1;
}

}  // namespace

std::string build_id() {
  Search search{reinterpret_cast<ElfW(Addr)>(&visit), {}};
  dl_iterate_phdr(visit, &search);
  if (search.id.empty()) return {};
  unsigned major = 0, minor = 0, patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  return fmt::format("{} llvm {}.{}.{}", search.id, major, minor, patch);
}

}  // namespace lazuli::cpu::jit
