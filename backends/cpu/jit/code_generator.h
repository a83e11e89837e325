// SPDX-License-Identifier: MIT
// The border to the code generator, which is linked in or loaded when the first kernel must be generated
// (find_generator.h). What crosses it is plain data: the generator may be a library of its own, with its own copies of
// what it needs, and its errors cross it as text.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/source_location.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli::cpu::jit {

struct GeneratedObject {
  std::string bytes;  // of a relocatable x86-64 ELF file that defines the symbol
  std::string fault;  // why there are none; empty as well: for want of memory
};

struct CodeGenerator {
  // The build that this generator belongs to (build_id.h). It stands first: nothing behind it may be looked at where
  // it is another one.
  const char* build;
  const char* llvm_version;  // of the LLVM that runs, "19.1.7"
  // Code of level `isa` for a function `symbol`, a LoopFunction. Thread-safe.
  void (*generate)(const LoopBody& body, const std::string& symbol, Isa isa, GeneratedObject& object) noexcept;
  // As Symbolizer says (source_location.h): LLVM reads debug information as well. Thread-safe.
  void (*symbolize)(const std::string& module, std::uint64_t offset, std::vector<SourceFrame>& frames) noexcept;
};

}  // namespace lazuli::cpu::jit

// The only function of the generator that others call. The number is that of the structs above.
extern "C" LAZULI_API const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1();
