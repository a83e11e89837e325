// SPDX-License-Identifier: MIT
// A file mapped read-only into memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lazuli {

// Weights are views into the mapping and keep it alive through the shared pointer. Another process that truncates the
// file while it is mapped makes later reads of the lost pages raise SIGBUS.
class MappedFile {
 public:
  using Map = void* (*)(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset);

  // Throws Error with the path and the system's reason when the file cannot be opened or read or is no regular file.
  // Some file systems of networks and containers have no shared mappings, or none at all: the file is then mapped
  // privately, or read into memory. `map` stands for mmap.
  static std::shared_ptr<const MappedFile> open(const std::string& path, Map map = nullptr);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }  // as it was given
  const std::string& absolute_path() const { return absolute_path_; }
  std::uint64_t size() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }

  // Names the bytes from `offset` on across processes: the file's identity, size, and times of last change.
  std::string origin(std::uint64_t offset) const;

  // Lets the system drop the pages that lie wholly inside the range. Reading them again is allowed and reads the file.
  // What was read into memory stays there.
  void release(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  MappedFile() = default;

  std::string path_, absolute_path_, identity_;
  std::span<const std::byte> bytes_;
  bool in_memory_ = false;  // read: the pages are the only copy
};

}  // namespace lazuli
