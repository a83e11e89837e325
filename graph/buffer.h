// SPDX-License-Identifier: MIT
// Host memory behind arrays: owned and aligned, or a view into memory somebody else keeps alive (a mapped file).
#pragma once

#include <lazuli/graph/base/export.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace lazuli {

inline constexpr std::size_t buffer_alignment = 64;

// Where memory comes from. Any thread may call at any time.
class LAZULI_API Allocator {
 public:
  virtual ~Allocator() = default;

  // At least `bytes` bytes, more than 0, aligned to `alignment`, a power of two. Where it returns null or throws, an
  // Error of kind memory says so.
  virtual void* allocate(std::size_t bytes, std::size_t alignment) = 0;
  // What allocate returned, with the arguments it was called with.
  virtual void deallocate(void* memory, std::size_t bytes, std::size_t alignment) noexcept = 0;
};
using AllocatorRef = std::shared_ptr<Allocator>;

// What buffers come from for which no session is asked, such as those of Array::from, on all threads from now on; null:
// lazuli's own, as at first. Buffers keep the allocator they come from, and end with it.
LAZULI_API void set_default_allocator(AllocatorRef allocator);
LAZULI_API AllocatorRef default_allocator();  // null: lazuli's own

class LAZULI_API Buffer {
  struct Key {};

 public:
  explicit Buffer(Key) {}  // for allocate and view
  // Uninitialised memory aligned to `buffer_alignment`, with 64 readable bytes past the end for vector tails.
  // It comes from `allocator`; null: from the default allocator. lazuli's own asks for huge pages from 2 MiB on.
  // Throws an Error of kind memory where there is none.
  static std::shared_ptr<Buffer> allocate(std::size_t bytes, const AllocatorRef& allocator = nullptr);
  // Tells the owner of a view that bytes [offset, offset + count) of it will not be read again soon.
  using Release = std::function<void(std::size_t offset, std::size_t count)>;

  // Memory kept alive by `owner`. Whenever somebody asks for the data, `prepare`, if given, makes the bytes be there.
  static std::shared_ptr<Buffer> view(const void* data, std::size_t bytes, std::shared_ptr<const void> owner,
                                      Release release = {}, std::function<void()> prepare = {});
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() {
    if (is_derived()) hooks_->prepare();
    return data_;
  }
  const std::byte* data() const { return const_cast<Buffer*>(this)->data(); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data());
  }
  std::size_t size() const { return size_; }
  // Identity for keys: never reused within the process, unlike an address.
  std::uint64_t id() const { return id_; }
  // False for views and for memory that several arrays see: a program must not write into them.
  bool owned() const { return owner_ == nullptr && !shared_.load(std::memory_order_relaxed); }
  // Others see these bytes as well, for ever.
  void share() { shared_.store(true, std::memory_order_relaxed); }
  // Whether data() may have something to do before it can say where the bytes are.
  bool is_derived() const { return hooks_ && hooks_->prepare; }
  // Gives memory back to the system, of these bytes or of all. Pointers into it taken before must not be read any more;
  // data() makes them valid again.
  void release_pages(std::size_t offset, std::size_t count) const {
    if (hooks_ && hooks_->release && offset < size_)
      hooks_->release(offset, count < size_ - offset ? count : size_ - offset);
  }
  void release_pages() const { release_pages(0, size_); }

  // Names the bytes across processes: equal origins, equal bytes. Empty where nothing is known of where they come from.
  const std::string& origin() const { return origin_; }
  void set_origin(std::string origin) { origin_ = std::move(origin); }

  // Where in a file the bytes lie; null where they lie in none, or nobody said in which.
  struct FilePlace {
    std::string path;
    std::uint64_t offset = 0;
  };
  const FilePlace* file() const { return file_.get(); }
  void set_file(std::string path, std::uint64_t offset) {
    file_ = std::make_unique<const FilePlace>(FilePlace{std::move(path), offset});
  }

 private:
  struct Hooks {
    Release release;
    std::function<void()> prepare;
  };

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<const void> owner_;
  AllocatorRef allocator_;  // null: lazuli's own
  std::unique_ptr<const Hooks> hooks_;
  std::uint64_t id_ = 0;
  std::atomic<bool> shared_{false};
  std::string origin_;
  std::unique_ptr<const FilePlace> file_;
};

using BufferRef = std::shared_ptr<Buffer>;

}  // namespace lazuli
