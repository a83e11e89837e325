// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/descriptor.h>
#include <lazuli/graph/files/mapped_file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace lazuli {
namespace {

[[noreturn]] void fail_errno(const std::string& path, const char* action) {
  const int code = errno;
  fail_file("{}: cannot {}: {}", path, action, std::generic_category().message(code));
}

void* allocate(const std::string& path, std::size_t size) {
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) fail_errno(path, "map");
  return data;
}

void read_all(const std::string& path, int file, std::byte* data, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::pread(file, data + done, size - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(path, "read");
    if (count == 0) fail_file("{}: cannot read: the file ends at byte {}, expected {}", path, done, size);
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path, Map map) {
  if (map == nullptr) map = ::mmap;
  // O_NONBLOCK: opening a FIFO must not wait for a writer before the check below refuses it.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) fail_errno(path, "open");
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) fail_errno(path, "read the size");
  if (!S_ISREG(status.st_mode)) fail_file("{}: found a directory or device, expected a regular file", path);

  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  std::error_code unknown_folder;
  const std::filesystem::path absolute = std::filesystem::absolute(path, unknown_folder);
  mapped->absolute_path_ = unknown_folder ? path : absolute.string();
  // The second time cannot be set by hand, unlike the first, and changes whenever the file is written to.
  mapped->identity_ =
      fmt::format("{:x}:{:x} {} {}.{:09} {}.{:09}", status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
                  status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return mapped;  // mmap refuses empty ranges
  void* data = map(nullptr, size, PROT_READ, MAP_SHARED, file.number(), 0);
  if (data == MAP_FAILED) data = map(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  mapped->in_memory_ = data == MAP_FAILED;
  if (mapped->in_memory_) data = allocate(path, size);
  mapped->bytes_ = {static_cast<const std::byte*>(data), size};
  if (mapped->in_memory_) read_all(path, file.number(), static_cast<std::byte*>(data), size);
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string MappedFile::origin(std::uint64_t offset) const { return fmt::format("{} +{}", identity_, offset); }

void MappedFile::release(std::uint64_t offset, std::uint64_t bytes) const {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (in_memory_ || offset >= size()) return;
  const std::uint64_t end = offset + std::min(bytes, size() - offset);
  const std::uint64_t first_page = (offset + page - 1) / page * page;
  const std::uint64_t last_page = end == size() ? end : end / page * page;
  if (first_page >= last_page) return;
  // Only advice: when the system declines, the pages merely stay resident.
  ::madvise(const_cast<std::byte*>(bytes_.data()) + first_page, last_page - first_page, MADV_DONTNEED);
}

}  // namespace lazuli
