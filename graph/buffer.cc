// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/buffer.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>

namespace lazuli {
namespace {

// Streaming through 4 KB pages costs a fifth of the memory's speed.
constexpr std::size_t huge_page = std::size_t{2} << 20;

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

// Vectors may be read past the end.
std::size_t with_tail(std::size_t bytes, std::size_t alignment) {
  return (bytes + buffer_alignment + alignment - 1) / alignment * alignment;
}

[[noreturn]] void fail_allocation(std::size_t bytes, std::string_view reason = {}) {
  fail(
      ErrorDetails{.kind = ErrorKind::memory, .expected = fmt::format("{} bytes", bytes), .found = std::string(reason)},
      "out of memory: cannot allocate {} bytes{}{}", bytes, reason.empty() ? "" : ": ", reason);
}

std::byte* allocate_own(std::size_t bytes) {
  const bool large = bytes >= huge_page;
  const std::size_t alignment = large ? huge_page : buffer_alignment;
  const std::size_t padded = with_tail(bytes, alignment);
  void* memory = padded < bytes ? nullptr : std::aligned_alloc(alignment, padded);
  if (memory == nullptr) fail_allocation(bytes);
  if (large) madvise(memory, padded, MADV_HUGEPAGE);  // a wish: where it is refused, small pages serve
  return static_cast<std::byte*>(memory);
}

std::byte* allocate_from(Allocator& allocator, std::size_t bytes) {
  void* memory = nullptr;
  try {
    memory = allocator.allocate(with_tail(bytes, buffer_alignment), buffer_alignment);
  } catch (const std::exception& error) {
    fail_allocation(bytes, error.what());
  } catch (...) {
    fail_allocation(bytes, "the allocator threw");
  }
  if (memory == nullptr) fail_allocation(bytes);
  return static_cast<std::byte*>(memory);
}

struct DefaultAllocator {
  std::atomic<bool> is_set{false};  // so that nobody takes the lock while there is none
  std::mutex mutex;
  AllocatorRef allocator;
};

// Never ends: arrays of static storage may be made and end after it would.
DefaultAllocator& the_default() {
  static DefaultAllocator& shared = *new DefaultAllocator;
  return shared;
}

}  // namespace

void set_default_allocator(AllocatorRef allocator) {
  DefaultAllocator& shared = the_default();
  const std::lock_guard lock(shared.mutex);
  shared.allocator.swap(allocator);  // the old one may end after the lock
  shared.is_set.store(shared.allocator != nullptr, std::memory_order_release);
}

AllocatorRef default_allocator() {
  DefaultAllocator& shared = the_default();
  if (!shared.is_set.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard lock(shared.mutex);
  return shared.allocator;
}

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes, const AllocatorRef& allocator) {
  auto buffer = std::make_shared<Buffer>(Key{});
  AllocatorRef from = allocator ? allocator : default_allocator();
  buffer->data_ = from ? allocate_from(*from, bytes) : allocate_own(bytes);
  buffer->allocator_ = std::move(from);
  buffer->size_ = bytes;
  buffer->id_ = next_id();
  return buffer;
}

std::shared_ptr<Buffer> Buffer::view(const void* data, std::size_t bytes, std::shared_ptr<const void> owner,
                                     Release release, std::function<void()> prepare) {
  auto buffer = std::make_shared<Buffer>(Key{});
  buffer->data_ = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  buffer->size_ = bytes;
  buffer->id_ = next_id();
  buffer->owner_ = owner ? std::move(owner) : std::shared_ptr<const void>(buffer->data_, [](const void*) {});
  if (release || prepare) buffer->hooks_.reset(new Hooks{std::move(release), std::move(prepare)});
  return buffer;
}

Buffer::~Buffer() {
  if (owner_ != nullptr) return;
  if (allocator_ == nullptr)
    std::free(data_);
  else if (data_ != nullptr)
    allocator_->deallocate(data_, with_tail(size_, buffer_alignment), buffer_alignment);
}

}  // namespace lazuli
