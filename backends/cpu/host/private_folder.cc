// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/private_folder.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace lazuli::cpu {
namespace {

int open_folder(int parent, const std::string& path, int flags) {
  mkdirat(parent, path.c_str(), 0700);
  const int folder = openat(parent, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
  struct stat status{};
  if (folder >= 0 && fstat(folder, &status) == 0 && is_private(status)) return folder;
  if (folder >= 0) close(folder);
  return -1;
}

}  // namespace

bool is_private(const struct stat& status) {
  return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int open_private_folder(const std::string& root, const std::string& kind) {
  if (root.empty()) return -1;
  const std::size_t last = root.rfind('/');
  if (last != root.npos && last > 0) mkdir(root.substr(0, last).c_str(), 0700);  // a home may lack its .cache
  const int parent = open_folder(AT_FDCWD, root, 0);
  if (parent < 0) return -1;
  const int folder = open_folder(parent, kind, O_NOFOLLOW);
  close(parent);
  return folder;
}

bool is_temporary(std::string_view name) { return name.starts_with(".new."); }

// A writer that died may have left the first names: the number of a process is used again, in containers even at once.
int create_temporary(int folder, std::string& name) {
  static std::atomic<std::uint64_t> counter{0};
  constexpr int max_attempts = 1000;
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    name = fmt::format(".new.{}.{}", getpid(), ++counter);
    const int file = openat(folder, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

}  // namespace lazuli::cpu
