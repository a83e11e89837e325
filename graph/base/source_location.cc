// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <lazuli/graph/base/source_location.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string_view>

namespace lazuli {

struct CallStack {
  static constexpr std::size_t max_frames = 16;  // functions of a model that call each other, and ours below

  std::array<void*, max_frames> addresses{};
  std::size_t size = 0;

  auto operator<=>(const CallStack&) const = default;
};

namespace {

std::atomic<bool> recording{false};

// "/home/me/program" and where in it, as its symbol table counts.
struct Position {
  std::string module;
  std::uint64_t offset = 0;
};

std::string path_of_program() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string();
}

std::optional<Position> position_of(const void* address) {
  Dl_info info{};
  link_map* map = nullptr;
  if (dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 || map == nullptr)
    return std::nullopt;
  const std::string module = map->l_name[0] != '\0' ? std::string(map->l_name) : path_of_program();
  return Position{module, reinterpret_cast<std::uintptr_t>(address) - map->l_addr};
}

std::atomic<Symbolizer> symbolizer{nullptr};

std::vector<SourceFrame> frames_at(const Position& position) {
  const Symbolizer known = symbolizer.load(std::memory_order_acquire);
  return known ? known(position.module, position.offset) : std::vector<SourceFrame>{};
}

// The folder of ops and of what makes nodes of them, as debug information spells it; empty where lazuli has none.
std::string folder_of_ours() {
  const std::optional<Position> here = position_of(reinterpret_cast<const void*>(&current_call_stack));
  const std::vector<SourceFrame> frames = here ? frames_at(*here) : std::vector<SourceFrame>();
  if (frames.empty()) return {};
  const std::string& file = frames.back().file;
  return file.substr(0, std::min(file.rfind("base/"), file.size()));
}

// Also where they are headers that a program includes.
bool is_ours(std::string_view file) {
  static const std::string& folder = *new std::string(folder_of_ours());
  return (!folder.empty() && file.starts_with(folder)) || file.find("/lazuli/graph/") != file.npos;
}

}  // namespace

void record_source_locations(bool on) { recording.store(on, std::memory_order_relaxed); }
bool records_source_locations() { return recording.load(std::memory_order_relaxed); }

void use_symbolizer(Symbolizer given) { symbolizer.store(given, std::memory_order_release); }

const CallStack* current_call_stack() {
  if (!records_source_locations()) return nullptr;
  CallStack stack;
  stack.size = static_cast<std::size_t>(backtrace(stack.addresses.data(), static_cast<int>(CallStack::max_frames)));
  // What stands before the caller is this function and, under a sanitizer, its interceptor.
  const auto end = stack.addresses.begin() + static_cast<std::ptrdiff_t>(stack.size);
  const auto caller = std::find(stack.addresses.begin(), end, __builtin_return_address(0));
  if (caller != end) {
    stack.size = static_cast<std::size_t>(end - caller);
    std::fill(std::copy(caller, end, stack.addresses.begin()), stack.addresses.end(), nullptr);
  }
  static std::mutex mutex;
  static std::set<CallStack>& known = *new std::set<CallStack>;  // nodes refer to it, also those that end at exit
  const std::lock_guard lock(mutex);
  return &*known.insert(stack).first;
}

std::string source_of(const CallStack* stack) {
  if (stack == nullptr) return {};
  std::string by_name, by_offset;
  for (void* address : std::span(stack->addresses).first(stack->size)) {
    // A return address is that of the next instruction, which may belong to the next line.
    std::optional<Position> position = position_of(static_cast<const std::byte*>(address) - 1);
    if (!position) continue;
    const std::string place = fmt::format("{}+{:#x}", position->module, position->offset);
    by_offset += (by_offset.empty() ? "" : ", ") + place;
    for (const SourceFrame& frame : frames_at(*position)) {
      if (!frame.file.empty() && !is_ours(frame.file)) return fmt::format("{}:{}", frame.file, frame.line);
      if (by_name.empty() && frame.file.empty() && !frame.function.empty() && !frame.function.starts_with("lazuli::"))
        by_name = fmt::format("{} +{:#x} ({})", frame.function, frame.into_function, place);
    }
  }
  return by_name.empty() ? by_offset : by_name;
}

}  // namespace lazuli
