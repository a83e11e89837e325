# SPDX-License-Identifier: MIT
# Writes the source of jit/build_id.h: what tells these object files from those of any other build.
#   cmake -D OBJECTS=<file with their paths> -D LLVM_VERSION=<version> -D RESULT=<source> -P build_id.cmake
cmake_minimum_required(VERSION 3.25)

file(STRINGS ${OBJECTS} objects)
set(hashes)
foreach(object IN LISTS objects)
  file(SHA256 ${object} hash)
  string(APPEND hashes ${hash})
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING ${hash} 0 32 hash)
file(WRITE ${RESULT} "// Written by cmake/build_id.cmake.
#include <lazuli/backends/cpu/jit/build_id.h>

namespace lazuli::cpu::jit {

const char* build_id() { return \"${hash} llvm ${LLVM_VERSION}\"; }
const char* build_llvm_version() { return \"${LLVM_VERSION}\"; }

}  // namespace lazuli::cpu::jit
")
