// SPDX-License-Identifier: MIT
#include <elf.h>
#include <lazuli/backends/cpu/jit/elf_object.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>

#include <bit>
#include <cstring>

namespace lazuli::cpu::jit {
namespace {

constexpr std::uint64_t page_bytes = 4096;

template <class... Args>
[[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) {
  fail("object code: {}", one_line(fmt::format(text, std::forward<Args>(args)...)));
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> file) : file_(file) {}

  ElfObject read() {
    read_headers();
    for (std::size_t i = 0; i < headers_.size(); ++i) object_.sections.push_back(section(i));
    check_sizes();
    for (std::size_t i = 0; i < headers_.size(); ++i)
      if (headers_[i].sh_type == SHT_SYMTAB) read_symbols(i);
    for (std::size_t i = 0; i < headers_.size(); ++i)
      if (headers_[i].sh_type == SHT_RELA || headers_[i].sh_type == SHT_REL) read_relocations(i);
    return std::move(object_);
  }

 private:
  std::span<const std::byte> bytes_at(std::uint64_t offset, std::uint64_t size, const char* what) const {
    if (offset > file_.size() || size > file_.size() - offset)
      reject("expected {} within {} bytes, found it at {} with {} bytes", what, file_.size(), offset, size);
    return file_.subspan(offset, size);
  }

  // Entry `index` of a table: copied, since nothing in a file need be aligned.
  template <class Entry>
  static Entry entry(std::span<const std::byte> table, std::size_t index) {
    Entry entry;
    std::memcpy(&entry, table.data() + index * sizeof entry, sizeof entry);
    return entry;
  }
  template <class Entry>
  std::size_t entries(std::size_t section, const char* what) const {
    const Elf64_Shdr& header = headers_[section];
    if (header.sh_entsize != sizeof(Entry) || header.sh_size % sizeof(Entry) != 0)
      reject("expected {} of {} bytes each, found {} in {} bytes", what, sizeof(Entry), header.sh_entsize,
             header.sh_size);
    return header.sh_size / sizeof(Entry);
  }

  void read_headers() {
    const auto header = entry<Elf64_Ehdr>(bytes_at(0, sizeof(Elf64_Ehdr), "a header"), 0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_REL || header.e_machine != EM_X86_64)
      reject("expected a relocatable ELF file for x86-64, found another");
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 || header.e_shstrndx >= header.e_shnum)
      reject("expected section headers, found {} of {} bytes and names in section {}", header.e_shnum,
             header.e_shentsize, header.e_shstrndx);
    const auto table = bytes_at(header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr), "the section headers");
    for (std::size_t i = 0; i < header.e_shnum; ++i) headers_.push_back(entry<Elf64_Shdr>(table, i));
    headers_at_ = header.e_shoff;
    names_ = header.e_shstrndx;
  }

  std::string_view text_of(std::size_t strings, std::uint64_t offset) const {
    const Elf64_Shdr& header = headers_[strings];
    if (header.sh_type != SHT_STRTAB) reject("expected names in section {}, found type {}", strings, header.sh_type);
    const auto table = bytes_at(header.sh_offset, header.sh_size, "names");
    const std::string_view all(reinterpret_cast<const char*>(table.data()), table.size());
    const std::size_t end = offset < all.size() ? all.find('\0', offset) : std::string_view::npos;
    if (end == std::string_view::npos) reject("expected a name at {} of {} bytes, found no end", offset, all.size());
    return all.substr(offset, end - offset);
  }

  ElfSection section(std::size_t index) const {
    const Elf64_Shdr& header = headers_[index];
    ElfSection section{.header_at = headers_at_ + index * sizeof(Elf64_Shdr)};
    if (header.sh_type == SHT_NULL) return section;
    section.name = text_of(names_, header.sh_name);
    if (header.sh_type != SHT_NOBITS) section.bytes = bytes_at(header.sh_offset, header.sh_size, "a section");
    // Tables for unwinding are left out: kernels throw nothing, and debuggers read the object itself.
    if (!(header.sh_flags & SHF_ALLOC) || section.name == ".eh_frame") return section;
    constexpr std::uint64_t known = SHF_ALLOC | SHF_EXECINSTR | SHF_MERGE | SHF_STRINGS;
    if (header.sh_type != SHT_PROGBITS || (header.sh_flags & ~known))
      reject("expected code and constants, found section '{}' of type {} with flags {:#x}", section.name,
             header.sh_type, header.sh_flags);
    if (header.sh_addralign > page_bytes || (header.sh_addralign & (header.sh_addralign - 1)))
      reject("expected an alignment up to {}, found {} in section '{}'", page_bytes, header.sh_addralign, section.name);
    section.alignment = header.sh_addralign ? header.sh_addralign : 1;
    section.executable = header.sh_flags & SHF_EXECINSTR;
    section.loaded = true;
    return section;
  }

  // Sections that lie over each other could ask for any amount of memory.
  void check_sizes() const {
    std::uint64_t loaded = 0;
    for (const ElfSection& section : object_.sections)
      if (section.loaded) loaded += section.bytes.size();
    if (loaded > file_.size()) reject("expected at most {} bytes of sections, found {}", file_.size(), loaded);
  }

  void read_symbols(std::size_t index) {
    if (!object_.symbols.empty()) reject("expected one symbol table, found another in section {}", index);
    const Elf64_Shdr& header = headers_[index];
    const std::size_t count = entries<Elf64_Sym>(index, "symbols");
    if (header.sh_link >= headers_.size()) reject("expected names of symbols, found section {}", header.sh_link);
    for (std::size_t i = 0; i < count; ++i) {
      const auto entry = Reader::entry<Elf64_Sym>(object_.sections[index].bytes, i);
      ElfSymbol symbol{text_of(header.sh_link, entry.st_name), entry.st_value, entry.st_size, 0};
      const auto type = ELF64_ST_TYPE(entry.st_info);
      // The name of the source is a symbol that nothing refers to.
      if (type != STT_FILE && entry.st_shndx != SHN_UNDEF) {
        if (entry.st_shndx >= headers_.size() || type > STT_SECTION)
          reject("expected symbol '{}' in one of {} sections, found it in {} with type {}", symbol.name,
                 headers_.size(), entry.st_shndx, type);
        const std::size_t space = object_.sections[entry.st_shndx].bytes.size();
        if (symbol.value > space || symbol.size > space - symbol.value)
          reject("expected symbol '{}' within {} bytes, found it at {} with {}", symbol.name, space, symbol.value,
                 symbol.size);
        symbol.section = entry.st_shndx;
      }
      object_.symbols.push_back(symbol);
    }
    symbols_ = index;
  }

  void read_relocations(std::size_t index) {
    const Elf64_Shdr& header = headers_[index];
    if (header.sh_info >= headers_.size()) reject("expected relocations of a section, found {}", header.sh_info);
    if (!object_.sections[header.sh_info].loaded) return;
    if (header.sh_type != SHT_RELA || header.sh_link != symbols_ || symbols_ == 0)
      reject("expected relocations with addends and symbols of section {}, found type {} with section {}", symbols_,
             header.sh_type, header.sh_link);
    const std::size_t count = entries<Elf64_Rela>(index, "relocations");
    for (std::size_t i = 0; i < count; ++i) {
      const auto entry = Reader::entry<Elf64_Rela>(object_.sections[index].bytes, i);
      const ElfRelocation relocation{static_cast<int>(header.sh_info), entry.r_offset,
                                     static_cast<std::uint32_t>(ELF64_R_TYPE(entry.r_info)),
                                     static_cast<std::uint32_t>(ELF64_R_SYM(entry.r_info)), entry.r_addend};
      if (relocation.symbol >= object_.symbols.size())
        reject("expected a relocation by one of {} symbols, found {}", object_.symbols.size(), relocation.symbol);
      object_.relocations.push_back(relocation);
    }
  }

  std::span<const std::byte> file_;
  std::vector<Elf64_Shdr> headers_;
  std::uint64_t headers_at_ = 0;
  std::size_t names_ = 0, symbols_ = 0;  // sections; 0: none
  ElfObject object_;
};

}  // namespace

ElfObject read_elf_object(std::span<const std::byte> file) { return Reader(file).read(); }

}  // namespace lazuli::cpu::jit
