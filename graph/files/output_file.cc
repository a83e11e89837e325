// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/temporary_name.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace lazuli {

OutputFile::OutputFile(std::string path) : path_(std::move(path)), target_(path_) {
  struct stat existing{};
  const bool exists = stat(path_.c_str(), &existing) == 0;
  if (exists && S_ISDIR(existing.st_mode)) {
    errno = EISDIR;
    fail_with("create");
  }
  if (exists && !S_ISREG(existing.st_mode)) {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_with("open");
    return;
  }
  if (exists) {
    // A rename replaces the name it is given: of a link, not of what the link names.
    std::error_code error;
    const auto resolved = std::filesystem::canonical(path_, error);
    if (!error) target_ = resolved.string();
  }
  const mode_t mode = exists ? existing.st_mode & 0777 : 0666;
  try {
    temporary_ = make_temporary(target_, [&](const char* name) {
      descriptor_ = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
      return descriptor_ >= 0;
    });
  } catch (...) {
    if (descriptor_ >= 0) close(descriptor_);
    throw;
  }
  if (temporary_.empty()) fail_with("create");
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (temporary_.empty()) return;
  unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

void OutputFile::write(const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, from, std::min<std::size_t>(bytes, std::size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("write");
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void OutputFile::write_at(std::uint64_t offset, const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(descriptor_, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("write");
    from += written;
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::size_t>(written);
  }
}

void OutputFile::set_size(std::uint64_t bytes) {
  if (!temporary_.empty() && ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) fail_with("write");
}

void OutputFile::commit() {
  // Some file systems (NFS, quotas) report a full disk only here.
  if (close(std::exchange(descriptor_, -1)) != 0) fail_with("write");
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with("rename the finished file");
  forget_temporary(temporary_);
  temporary_.clear();
}

void OutputFile::fail_with(const char* what) const {
  const int error = errno;
  fail_file("{}: cannot {}: {}", path_, what, std::strerror(error));
}

}  // namespace lazuli
