// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/files/join_path.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

// Null where the generator is not linked in. A reference that is weak takes no member out of an archive: who links the
// archive asks for the symbol (-u lazuli_codegen_1).
extern "C" __attribute__((weak)) const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1();

namespace lazuli::cpu::jit {
namespace {

constexpr const char* module_name = "liblazuli-codegen.so.0";
constexpr const char* installed = "install lazuli's component codegen (in Debian's package liblazuli0)";

[[noreturn]] void fail_to_load(const std::string& text) { throw CompileError("code generator: " + text); }

const CodeGenerator& checked(const CodeGenerator* generator, const std::string& where) {
  if (std::string_view(generator->build) != build_id())
    fail_to_load(fmt::format("expected build {}, found build {} in {}", build_id(), generator->build, where));
  return *generator;
}

// Beside the library or program that this code is part of, and where programs of a prefix have their libraries.
std::vector<std::string> own_folders() {
  Dl_info self;
  if (!dladdr(reinterpret_cast<const void*>(&own_folders), &self) || !self.dli_fname) return {};
  std::error_code none;
  const std::filesystem::path file = std::filesystem::canonical(self.dli_fname, none);
  if (none) return {};
  const std::filesystem::path folder = file.parent_path();
  std::vector<std::string> folders{folder.string()};
  for (const char* libraries : {"lib", LAZULI_LIBRARY_FOLDER}) {
    std::string other = join_path(folder.parent_path(), libraries).string();
    if (other != folders.back()) folders.push_back(std::move(other));
  }
  return folders;
}

const CodeGenerator& find_generator() {
  if (lazuli_codegen_1) return checked(lazuli_codegen_1(), "this program");
  return load_generator(own_folders(), module_name);
}

}  // namespace

const CodeGenerator& load_generator(const std::vector<std::string>& folders, const std::string& name) {
  std::string path = name;
  for (const std::string& folder : folders) {
    std::string candidate = folder + "/" + name;
    if (access(candidate.c_str(), F_OK) != 0) continue;
    path = std::move(candidate);
    break;
  }
  // Never unloaded: LLVM registers what runs at the end of the process.
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module) {
    const char* reason = dlerror();
    const std::string found = reason ? reason : "no reason given";
    if (path != name) fail_to_load(fmt::format("expected a module in {}, found: {}", path, found));
    fail_to_load(fmt::format("expected {} in {} or where the dynamic loader looks, found none ({}); {}", name,
                             fmt::join(folders, ", "), found, installed));
  }
  using Entry = const CodeGenerator* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(module, "lazuli_codegen_1"));
  if (!entry) fail_to_load(fmt::format("expected lazuli_codegen_1 in {}, found no such function", path));
  return checked(entry(), path);
}

const CodeGenerator& code_generator() {
  static const CodeGenerator& found = find_generator();
  return found;
}

std::vector<SourceFrame> symbolize_by_generator(const std::string& module, std::uint64_t offset) {
  std::vector<SourceFrame> frames;
  try {
    code_generator().symbolize(module, offset, frames);
  } catch (const Error&) {
    frames.clear();
  }
  return frames;
}

}  // namespace lazuli::cpu::jit
