// SPDX-License-Identifier: MIT
// Files that are there whole or not at all.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lazuli {

// A file that takes its name when it is complete: written beside the target, renamed by commit(). Until then, and when
// anything fails, the target is as it was and nothing else is left. A target that is a device or a pipe is written to
// directly. Every error is one line: path, what was tried, the system's reason.
class LAZULI_API OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // At an offset, past what is written so far as well. By several threads at once; not together with write().
  void write_at(std::uint64_t offset, const void* data, std::size_t bytes);
  // Ends the file there; what was not written reads as zeros.
  void set_size(std::uint64_t bytes);
  void commit();

 private:
  [[noreturn]] void fail_with(const char* what) const;

  std::string path_;       // as the user spelled it
  std::string target_;     // symbolic links followed
  std::string temporary_;  // empty: written directly
  int descriptor_ = -1;
};

}  // namespace lazuli
