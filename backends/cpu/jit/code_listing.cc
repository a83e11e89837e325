// SPDX-License-Identifier: MIT
#include <elf.h>
#include <lazuli/backends/cpu/jit/code_listing.h>
#include <lazuli/backends/cpu/jit/perf_dump.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>

// gdb's interface, by its names: it looks for them in every library, stops at the function, and reads the list.
// (gdb's manual, "JIT Compilation Interface".) Each library with a compiler has a pair of its own: protected, so that a
// list and its function are never of two.
extern "C" {
enum { JIT_NOACTION, JIT_REGISTER_FN, JIT_UNREGISTER_FN };
struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  std::uint64_t symfile_size;
};
struct jit_descriptor {
  std::uint32_t version;
  std::uint32_t action_flag;
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};
__attribute__((visibility("protected"))) jit_descriptor __jit_debug_descriptor = {1, JIT_NOACTION, nullptr, nullptr};
__attribute__((visibility("protected"), noinline)) void __jit_debug_register_code() {
  asm volatile("" ::: "memory");  // calls of an empty function would be left out
}
}

namespace lazuli::cpu::jit {
namespace {

std::mutex& list_mutex() {
  static auto* mutex = new std::mutex;  // kernels of static sessions end later than static objects
  return *mutex;
}

void announce(std::uint32_t action, jit_code_entry& entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = &entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = JIT_NOACTION;
  __jit_debug_descriptor.relevant_entry = nullptr;
}

}  // namespace

struct CodeListing::Entry {
  std::vector<std::byte> object;  // its section headers say where the sections are
  jit_code_entry link{};
};

CodeListing::CodeListing(std::span<const std::byte> object, std::span<const LoadedSection> sections,
                         const std::string& symbol, std::span<const std::byte> code)
    : entry_(std::make_unique<Entry>()) {
  entry_->object.assign(object.begin(), object.end());
  for (const LoadedSection& section : sections) {
    const auto address = reinterpret_cast<std::uint64_t>(section.address);
    std::memcpy(entry_->object.data() + section.header_at + offsetof(Elf64_Shdr, sh_addr), &address, sizeof address);
  }
  entry_->link.symfile_addr = reinterpret_cast<const char*>(entry_->object.data());
  entry_->link.symfile_size = entry_->object.size();
  const std::lock_guard lock(list_mutex());
  // Never destroyed: sessions that are static end later. Made first: what is in the list must not die of it.
  static auto* perf = new PerfDump(std::getenv("JITDUMPDIR"));
  entry_->link.next_entry = __jit_debug_descriptor.first_entry;
  if (entry_->link.next_entry) entry_->link.next_entry->prev_entry = &entry_->link;
  __jit_debug_descriptor.first_entry = &entry_->link;
  announce(JIT_REGISTER_FN, entry_->link);
  perf->add(symbol, code);
}

CodeListing::~CodeListing() {
  const std::lock_guard lock(list_mutex());
  jit_code_entry& link = entry_->link;
  (link.prev_entry ? link.prev_entry->next_entry : __jit_debug_descriptor.first_entry) = link.next_entry;
  if (link.next_entry) link.next_entry->prev_entry = link.prev_entry;
  announce(JIT_UNREGISTER_FN, link);
}

}  // namespace lazuli::cpu::jit
