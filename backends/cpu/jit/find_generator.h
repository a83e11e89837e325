// SPDX-License-Identifier: MIT
// Where the code generator is: linked in (liblazuli-codegen.a), or else the module liblazuli-codegen.so.0, which brings
// LLVM into the process and is loaded by the first kernel that no cache holds.
#pragma once

#include <lazuli/backends/cpu/jit/code_generator.h>

#include <string>
#include <vector>

namespace lazuli::cpu::jit {

// Found once and kept until the process ends. Thread-safe. Throws a CompileError that says where a generator of this
// build was expected and what was found.
const CodeGenerator& code_generator();

// By the generator, which is loaded for it. Nothing where there is none: a place is told in an error, which another
// would hide.
std::vector<SourceFrame> symbolize_by_generator(const std::string& module, std::uint64_t offset);

// The first module of `folders` that is there, else the one that the dynamic loader finds by the name. For tests;
// throws as code_generator does.
const CodeGenerator& load_generator(const std::vector<std::string>& folders, const std::string& name);

}  // namespace lazuli::cpu::jit
