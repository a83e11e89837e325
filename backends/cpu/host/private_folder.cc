// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/private_folder.h>
#include <lazuli/graph/files/descriptor.h>
#include <lazuli/graph/files/unfinished.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace lazuli::cpu {
namespace {

// -1, with the reason, where there is no folder or it is not private.
int open_folder(int parent, const std::string& path, int flags, std::string& reason) {
  mkdirat(parent, path.c_str(), 0700);
  const int folder = openat(parent, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
  struct stat status{};
  if (folder < 0) {
    reason = std::generic_category().message(errno);
    return -1;
  }
  if (fstat(folder, &status) == 0 && is_private(status)) return folder;
  close(folder);
  reason = "it belongs to another user, or others can write to it";
  return -1;
}

}  // namespace

bool is_private(const struct stat& status) {
  return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int open_private_folder(const std::string& root, const std::string& kind, std::string* trouble) {
  if (root.empty()) return -1;
  std::string reason;
  const auto refused = [&](const std::string& path) {
    if (trouble) *trouble = fmt::format("{}: {}", path, reason);
    return -1;
  };
  const std::size_t last = root.rfind('/');
  if (last != root.npos && last > 0) mkdir(root.substr(0, last).c_str(), 0700);  // a home may lack its .cache
  const Descriptor parent(open_folder(AT_FDCWD, root, 0, reason));
  if (!parent.valid()) return refused(root);
  const int folder = open_folder(parent.number(), kind, O_NOFOLLOW, reason);
  return folder < 0 ? refused(root + "/" + kind) : folder;
}

bool is_temporary(std::string_view name) { return name.starts_with(".new."); }

// A writer that died may have left the first names: the number of a process is used again, in containers even at once.
int create_temporary(int folder, std::string& name) {
  static std::atomic<std::uint64_t> counter{0};
  constexpr int max_attempts = 1000;
  int file = -1;
  const auto create = [&] {
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
      std::string candidate = fmt::format(".new.{}.{}", getpid(), ++counter);
      file = openat(folder, candidate.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (file >= 0) return candidate;
      if (errno != EEXIST) break;
    }
    return std::string();
  };
  try {
    name = make_unfinished(folder, create);
  } catch (...) {
    if (file >= 0) close(file);
    throw;
  }
  return file;
}

bool publish_temporary(int folder, const std::string& temporary, const std::string& name) {
  if (renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) return false;
  forget_unfinished(folder, temporary);
  return true;
}

void remove_temporary(int folder, const std::string& temporary) {
  unlinkat(folder, temporary.c_str(), 0);
  forget_unfinished(folder, temporary);
}

}  // namespace lazuli::cpu
