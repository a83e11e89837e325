// SPDX-License-Identifier: MIT
// A file mapped read-only into memory.
#pragma once

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
  // Throws Error with the path and the system's reason when the file cannot be opened or mapped or is no regular file.
  static std::shared_ptr<const MappedFile> open(const std::string& path);

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
  void release(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  MappedFile() = default;

  std::string path_, absolute_path_, identity_;
  std::span<const std::byte> bytes_;
};

}  // namespace lazuli
