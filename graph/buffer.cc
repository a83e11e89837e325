#include <lazuli/graph/buffer.h>
#include <lazuli/graph/error.h>

#include <atomic>
#include <cstdlib>

namespace lazuli {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

}  // namespace

std::shared_ptr<Buffer> Buffer::allocate(std::size_t bytes) {
  const std::size_t padded = (bytes + 2 * buffer_alignment - 1) / buffer_alignment * buffer_alignment;
  std::shared_ptr<Buffer> buffer(new Buffer);
  buffer->data_ = static_cast<std::byte*>(std::aligned_alloc(buffer_alignment, padded));
  if (buffer->data_ == nullptr) fail("out of memory: cannot allocate {} bytes", bytes);
  buffer->size_ = bytes;
  buffer->id_ = next_id();
  return buffer;
}

std::shared_ptr<Buffer> Buffer::view(const void* data, std::size_t bytes, std::shared_ptr<const void> owner,
                                     std::function<void()> release) {
  std::shared_ptr<Buffer> buffer(new Buffer);
  buffer->data_ = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  buffer->size_ = bytes;
  buffer->id_ = next_id();
  buffer->owner_ = owner ? std::move(owner) : std::shared_ptr<const void>(buffer->data_, [](const void*) {});
  buffer->release_ = std::move(release);
  return buffer;
}

Buffer::~Buffer() {
  if (owner_ == nullptr) std::free(data_);
}

}  // namespace lazuli
