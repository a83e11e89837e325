// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/buffer.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

namespace lazuli {
namespace {

// Streaming through 4 KB pages costs a fifth of the memory's speed.
constexpr std::size_t huge_page = std::size_t{2} << 20;

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

}  // namespace

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes) {
  const bool large = bytes >= huge_page;
  const std::size_t alignment = large ? huge_page : buffer_alignment;
  const std::size_t padded = (bytes + buffer_alignment + alignment - 1) / alignment * alignment;
  auto buffer = std::make_shared<Buffer>(Key{});
  buffer->data_ = static_cast<std::byte*>(std::aligned_alloc(alignment, padded));
  if (buffer->data_ == nullptr) fail("out of memory: cannot allocate {} bytes", bytes);
  if (large) madvise(buffer->data_, padded, MADV_HUGEPAGE);  // a wish: where it is refused, small pages serve
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
  if (owner_ == nullptr) std::free(data_);
}

}  // namespace lazuli
