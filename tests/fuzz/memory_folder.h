// SPDX-License-Identifier: MIT
// A folder for readers that take paths. scripts/fuzz.sh sets TMPDIR to one that lies in memory, and removes it.
#pragma once

#include <lazuli/graph/base/fail.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace lazuli::fuzz {

class MemoryFolder {
 public:
  MemoryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lazuli-fuzz-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) fail("{}: cannot create the folder", pattern);
    path_ = pattern;
  }
  ~MemoryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + '/' + std::string(name); }

  // The file's path. It is made anew each time: nobody reads what a mapping of the file before still shows.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::string path = file(name);
    std::remove(path.c_str());
    std::FILE* stream = std::fopen(path.c_str(), "wb");
    const bool written = stream != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size();
    if (stream != nullptr && std::fclose(stream) != 0) fail("{}: cannot write", path);
    if (!written) fail("{}: cannot write", path);
    return path;
  }
  // A part of an input that is empty stands for a file that is missing.
  void write_or_remove(std::string_view name, std::string_view bytes) const {
    if (bytes.empty())
      std::remove(file(name).c_str());
    else
      write(name, bytes);
  }

 private:
  std::string path_;
};

}  // namespace lazuli::fuzz
