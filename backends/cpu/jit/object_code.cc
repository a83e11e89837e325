// SPDX-License-Identifier: MIT
#include <elf.h>
#include <lazuli/backends/cpu/jit/elf_object.h>
#include <lazuli/backends/cpu/jit/library_functions.h>
#include <lazuli/backends/cpu/jit/object_code.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

namespace lazuli::cpu::jit {
namespace {

// jmp *[rip + distance]: a call of generated code reaches 2 GB, the function it means may lie anywhere.
constexpr std::size_t stub_bytes = 8;
constexpr std::size_t slot_bytes = 8;

template <class... Args>
[[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) {
  fail("object code: {}", one_line(fmt::format(text, std::forward<Args>(args)...)));
}

bool needs_slot(const ElfObject& object, const ElfRelocation& relocation) {
  return object.symbols[relocation.symbol].section == 0 || relocation.type == R_X86_64_GOTPCREL ||
         relocation.type == R_X86_64_GOTPCRELX || relocation.type == R_X86_64_REX_GOTPCRELX;
}

// Where everything goes: constants, then the addresses of symbols (slots), then from a new page on code and stubs.
struct Layout {
  explicit Layout(const ElfObject& object) : sections(object.sections.size()) {
    std::size_t end = place(object, false, 0);
    slots = align(end, slot_bytes);
    for (const ElfRelocation& relocation : object.relocations)
      if (relocation.type != R_X86_64_NONE && relocation.symbol != 0 && needs_slot(object, relocation))
        slot_of.emplace(relocation.symbol, slot_of.size());
    code = align(slots + slot_of.size() * slot_bytes, static_cast<std::size_t>(getpagesize()));
    end = place(object, true, code);
    stubs = align(end, stub_bytes);
    bytes = align(stubs + slot_of.size() * stub_bytes, static_cast<std::size_t>(getpagesize()));
  }

  static std::size_t align(std::size_t offset, std::size_t alignment) {
    return (offset + alignment - 1) / alignment * alignment;
  }
  std::size_t place(const ElfObject& object, bool executable, std::size_t end) {
    for (std::size_t i = 0; i < object.sections.size(); ++i) {
      const ElfSection& section = object.sections[i];
      if (!section.loaded || section.executable != executable || section.bytes.empty()) continue;
      sections[i] = align(end, section.alignment);
      end = sections[i] + section.bytes.size();
    }
    return end;
  }

  std::vector<std::size_t> sections;             // offsets in the memory
  std::map<std::uint32_t, std::size_t> slot_of;  // of symbols that need one
  std::size_t slots = 0, code = 0, stubs = 0, bytes = 0;
};

// Fills the memory, as it will stand at its address, and says where symbols are.
class Linker {
 public:
  Linker(const ElfObject& object, const Layout& layout, std::byte* memory)
      : object_(object), layout_(layout), memory_(memory) {}

  void link() {
    for (std::size_t i = 0; i < object_.sections.size(); ++i) {
      const ElfSection& section = object_.sections[i];
      if (section.loaded && !section.bytes.empty())
        std::memcpy(memory_ + layout_.sections[i], section.bytes.data(), section.bytes.size());
    }
    for (const auto& [symbol, slot] : layout_.slot_of) fill(symbol, slot);
    for (const ElfRelocation& relocation : object_.relocations) apply(relocation);
  }

  std::byte* address_of(const ElfSymbol& symbol) const {
    const auto section = static_cast<std::size_t>(symbol.section);
    if (!object_.sections[section].loaded)
      reject("expected symbol '{}' in code or constants, found it in section '{}'", symbol.name,
             object_.sections[section].name);
    return memory_ + layout_.sections[section] + symbol.value;
  }

 private:
  std::byte* slot(std::size_t index) const { return memory_ + layout_.slots + index * slot_bytes; }
  std::byte* stub(std::size_t index) const { return memory_ + layout_.stubs + index * stub_bytes; }

  void fill(std::uint32_t index, std::size_t number) {
    const ElfSymbol& symbol = object_.symbols[index];
    const void* target = symbol.section ? address_of(symbol) : library_function(symbol.name);
    if (!target) reject("expected a function that generated code may call, found '{}'", symbol.name);
    std::memcpy(slot(number), &target, sizeof target);
    const auto distance = static_cast<std::int32_t>(slot(number) - (stub(number) + 6));
    const unsigned char jump[] = {0xff, 0x25};
    std::memcpy(stub(number), jump, sizeof jump);
    std::memcpy(stub(number) + sizeof jump, &distance, sizeof distance);
  }

  // The address that a relocation means, before its addend. Symbol 0 is none: the addend alone.
  std::uint64_t target_of(const ElfRelocation& relocation) const {
    if (relocation.symbol == 0) return 0;
    const auto slot_number = layout_.slot_of.find(relocation.symbol);
    switch (relocation.type) {
      case R_X86_64_GOTPCREL:
      case R_X86_64_GOTPCRELX:
      case R_X86_64_REX_GOTPCRELX:
        return reinterpret_cast<std::uint64_t>(slot(slot_number->second));
      default:
        break;
    }
    const ElfSymbol& symbol = object_.symbols[relocation.symbol];
    return reinterpret_cast<std::uint64_t>(symbol.section ? address_of(symbol) : stub(slot_number->second));
  }

  template <class Field>
  void store(const ElfRelocation& relocation, std::uint64_t value) {
    const auto section = static_cast<std::size_t>(relocation.section);
    const std::size_t space = object_.sections[section].bytes.size();
    if (relocation.offset > space || sizeof(Field) > space - relocation.offset)
      reject("expected a relocation within {} bytes, found it at {}", space, relocation.offset);
    const auto field = static_cast<Field>(value);
    // Narrow fields are extended again when the code uses them: what does not fit would become another address.
    if (static_cast<std::uint64_t>(static_cast<std::int64_t>(field)) != value)
      reject("expected a distance or address of {} bytes, found {:#x}", sizeof(Field), value);
    std::memcpy(memory_ + layout_.sections[section] + relocation.offset, &field, sizeof field);
  }

  void apply(const ElfRelocation& relocation) {
    if (relocation.type == R_X86_64_NONE) return;
    const std::byte* section = memory_ + layout_.sections[static_cast<std::size_t>(relocation.section)];
    const std::uint64_t value = target_of(relocation) + static_cast<std::uint64_t>(relocation.addend);
    const std::uint64_t distance = value - (reinterpret_cast<std::uint64_t>(section) + relocation.offset);
    switch (relocation.type) {
      case R_X86_64_64:
        return store<std::uint64_t>(relocation, value);
      case R_X86_64_32:
        return store<std::uint32_t>(relocation, value);
      case R_X86_64_32S:
        return store<std::int32_t>(relocation, value);
      case R_X86_64_PC64:
        return store<std::uint64_t>(relocation, distance);
      case R_X86_64_PC32:
      case R_X86_64_PLT32:
      case R_X86_64_GOTPCREL:
      case R_X86_64_GOTPCRELX:
      case R_X86_64_REX_GOTPCRELX:
        return store<std::int32_t>(relocation, distance);
      default:
        reject("expected a relocation of addresses, distances or slots, found type {}", relocation.type);
    }
  }

  const ElfObject& object_;
  const Layout& layout_;
  std::byte* memory_;
};

const ElfSymbol& function_of(const ElfObject& object, const std::string& name) {
  for (const ElfSymbol& symbol : object.symbols) {
    const ElfSection& section = object.sections[static_cast<std::size_t>(symbol.section)];
    if (symbol.section && symbol.name == name && section.executable && symbol.value < section.bytes.size())
      return symbol;
  }
  reject("expected a function '{}', found none", name);
}

}  // namespace

ObjectCode::ObjectCode(std::span<const std::byte> object, const std::string& symbol) {
  const ElfObject elf = read_elf_object(object);
  const ElfSymbol& function = function_of(elf, symbol);
  const Layout layout(elf);
  void* memory = mmap(nullptr, layout.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) reject("expected {} bytes of memory, found none", layout.bytes);
  const auto give_back = [&](void* mapping) { munmap(mapping, layout.bytes); };
  std::unique_ptr<void, decltype(give_back)> owned(memory, give_back);
  auto* begin = static_cast<std::byte*>(memory);
  Linker linker(elf, layout, begin);
  linker.link();
  address_ = linker.address_of(function);
  if ((layout.code > 0 && mprotect(begin, layout.code, PROT_READ) != 0) ||
      mprotect(begin + layout.code, layout.bytes - layout.code, PROT_READ | PROT_EXEC) != 0)
    throw CodeNotAllowed(fmt::format("generated code is not allowed here: the system makes no memory executable ({})",
                                     std::strerror(errno)));
  std::vector<LoadedSection> loaded;
  for (std::size_t i = 0; i < elf.sections.size(); ++i)
    if (elf.sections[i].loaded) loaded.push_back({elf.sections[i].header_at, begin + layout.sections[i]});
  const std::size_t room = layout.sections[static_cast<std::size_t>(function.section)] +
                           elf.sections[static_cast<std::size_t>(function.section)].bytes.size();
  const auto code_bytes = static_cast<std::size_t>(begin + room - static_cast<std::byte*>(address_));
  listing_ = std::make_unique<CodeListing>(
      object, loaded, symbol,
      std::span(static_cast<const std::byte*>(address_), function.size ? function.size : code_bytes));
  memory_ = static_cast<std::byte*>(owned.release());
  memory_bytes_ = layout.bytes;
}

ObjectCode::~ObjectCode() {
  listing_.reset();
  munmap(memory_, memory_bytes_);
}

}  // namespace lazuli::cpu::jit
