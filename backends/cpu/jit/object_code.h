// SPDX-License-Identifier: MIT
// Makes a relocatable object of the code generator executable: a loader for the little of ELF that generated kernels
// need. No memory is writable and executable at once.
#pragma once

#include <lazuli/backends/cpu/jit/code_listing.h>
#include <lazuli/graph/base/error.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace lazuli::cpu::jit {

// The host forbids memory that was written to be executed (SELinux, seccomp, PR_SET_MDWE).
class CodeNotAllowed : public Error {
 public:
  using Error::Error;
};

class ObjectCode {
 public:
  // Lays code and constants out in memory of their own and binds what they call (library_functions.h). Throws an Error
  // where the bytes are no such object, hold what this loader does not know, or do not define `symbol` in their code;
  // CodeNotAllowed where they are one and may not run.
  ObjectCode(std::span<const std::byte> object, const std::string& symbol);
  ~ObjectCode();
  ObjectCode(const ObjectCode&) = delete;
  ObjectCode& operator=(const ObjectCode&) = delete;

  // Of the symbol. Valid as long as this object.
  void* address() const { return address_; }

 private:
  std::byte* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;
  void* address_ = nullptr;
  std::unique_ptr<CodeListing> listing_;
};

}  // namespace lazuli::cpu::jit
