// SPDX-License-Identifier: MIT
// The code generator of this program: that of the library, whose objects are kept, so that sessions of other threads
// and fusions need not generate what one has had. find_generator.cc takes a generator that is linked in.
#include <fmt/format.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/tests/fuzz/graphs/shared_code.h>

#include <filesystem>
#include <mutex>
#include <unordered_map>

namespace lazuli::fuzz {
namespace {

using cpu::jit::CodeGenerator;
using cpu::jit::GeneratedObject;
using cpu::jit::LoopBody;

constexpr std::size_t most_bytes = std::size_t{192} << 20;

struct Kept {
  std::mutex mutex;
  std::unordered_map<std::string, std::string> objects;
  std::size_t bytes = 0;
  CodeStatistics statistics;
};
Kept& kept() {
  static Kept& all = *new Kept;
  return all;
}

const CodeGenerator& generator() {
  static const CodeGenerator& found = [&]() -> const CodeGenerator& {
    const std::filesystem::path folder = std::filesystem::canonical("/proc/self/exe").parent_path();
    return cpu::jit::load_generator({folder.string(), (folder.parent_path() / "lib").string()},
                                    "liblazuli-codegen.so.0");
  }();
  return found;
}

void generate_once(const LoopBody& body, const std::string& symbol, Isa isa, GeneratedObject& object) noexcept {
  const std::string key = fmt::format("{}|{}|", to_string(isa), symbol) + body.key;
  {
    const std::lock_guard lock(kept().mutex);
    const auto found = kept().objects.find(key);
    if (found != kept().objects.end()) {
      ++kept().statistics.shared;
      object.bytes = found->second;
      return;
    }
  }
  generator().generate(body, symbol, isa, object);
  const std::lock_guard lock(kept().mutex);
  ++kept().statistics.generated;
  if (!object.fault.empty()) return;
  if (kept().bytes > most_bytes) {
    kept().objects.clear();
    kept().bytes = 0;
  }
  kept().bytes += key.size() + object.bytes.size();
  kept().objects.emplace(key, object.bytes);
}

}  // namespace

CodeStatistics code_statistics() {
  const std::lock_guard lock(kept().mutex);
  return kept().statistics;
}

}  // namespace lazuli::fuzz

extern "C" const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1() {
  using namespace lazuli::fuzz;
  static const lazuli::cpu::jit::CodeGenerator shared = {generator().build, generator().llvm_version, generate_once,
                                                         generator().symbolize};
  return &shared;
}
