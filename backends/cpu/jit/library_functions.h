// SPDX-License-Identifier: MIT
// What generated code may call. Nothing else can be called: names come from objects on disk as well.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lazuli::cpu::jit {

// Functions left to the C library where generated code would lose digits. It calls `symbol`(a, b, result, count) on
// lanes in memory; functions of one operand ignore b. Those of f32 are named lazuli_sin, those of f64 lazuli_f64_sin,
// and are of type LanesFunction<double>.
template <class T>
using LanesFunction = void (*)(const T* a, const T* b, T* result, std::int64_t count);
struct LibraryFunction {
  std::string_view symbol;
  const void* function;
};
std::span<const LibraryFunction> library_functions();

// The function of this name: one of library_functions, or one of the C library's that LLVM calls where the instruction
// set has no such instruction. Null: there is none.
const void* library_function(std::string_view symbol);

}  // namespace lazuli::cpu::jit
