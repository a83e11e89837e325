// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/derived_buffer.h>
#include <sys/mman.h>

#include <atomic>
#include <mutex>

namespace lazuli {
namespace {

class DerivedMemory {
 public:
  DerivedMemory(std::size_t bytes, std::function<void(std::byte*)> fill)
      : mapped_(bytes + buffer_alignment), fill_(std::move(fill)) {
    void* data = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
      fail(ErrorDetails{.kind = ErrorKind::memory, .expected = fmt::format("{} bytes", mapped_)},
           "out of memory: cannot map {} bytes", mapped_);
    data_ = static_cast<std::byte*>(data);
  }
  ~DerivedMemory() { ::munmap(data_, mapped_); }
  DerivedMemory(const DerivedMemory&) = delete;
  DerivedMemory& operator=(const DerivedMemory&) = delete;

  const std::byte* data() const { return data_; }

  void prepare() {
    if (filled_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    if (filled_.load(std::memory_order_relaxed)) return;
    fill_(data_);
    filled_.store(true, std::memory_order_release);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    filled_.store(false, std::memory_order_release);
    ::madvise(data_, mapped_, MADV_DONTNEED);
  }

 private:
  std::size_t mapped_;
  std::function<void(std::byte*)> fill_;
  std::byte* data_ = nullptr;
  std::mutex mutex_;
  std::atomic<bool> filled_{false};
};

}  // namespace

BufferRef make_derived_buffer(std::size_t bytes, std::function<void(std::byte*)> fill) {
  auto memory = std::make_shared<DerivedMemory>(bytes, std::move(fill));
  DerivedMemory* raw = memory.get();  // the buffer that holds these functions also holds the memory
  // All of it or nothing: what is missing is filled in as a whole.
  const auto release = [raw, bytes](std::size_t offset, std::size_t count) {
    if (offset == 0 && count == bytes) raw->release();
  };
  return Buffer::view(raw->data(), bytes, std::move(memory), release, [raw] { raw->prepare(); });
}

}  // namespace lazuli
