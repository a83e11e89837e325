// SPDX-License-Identifier: MIT
// Files that hold what could be computed again: generated code, packed weights. Losing them costs time, nothing else,
// so every failure is a miss and never an error.
//
// A folder of entries is trusted only where it belongs to this user and nobody else can write to it or to the folder
// above. Entries take their name when they are complete, by rename, and are checked by key and checksum when they are
// read. What was used longest ago makes room for what is new.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::cpu {

// $XDG_CACHE_HOME/lazuli, else $HOME/.cache/lazuli; "" where LAZULI_CACHE is "off" or neither is an absolute path.
std::string default_cache_folder();

// Pieces of this many bytes are summed independently of each other, so that threads can share one checksum.
inline constexpr std::int64_t checksum_piece_bytes = std::int64_t{1} << 18;
inline std::int64_t checksum_pieces(std::size_t bytes) {
  return (static_cast<std::int64_t>(bytes) + checksum_piece_bytes - 1) / checksum_piece_bytes;
}
// Of pieces [begin, end); the checksum of everything is the sum of its parts, modulo 2^64. It finds damage, not malice.
std::uint64_t checksum(std::span<const std::byte> bytes, std::int64_t begin, std::int64_t end);
inline std::uint64_t checksum(std::span<const std::byte> bytes) {
  return checksum(bytes, 0, checksum_pieces(bytes.size()));
}

// A file's mapping: the payload begins on a page, and at least 64 readable bytes lie behind it.
class CacheEntry {
 public:
  CacheEntry(void* mapping, std::size_t mapped_bytes, std::size_t payload_offset, std::size_t payload_bytes)
      : mapping_(static_cast<std::byte*>(mapping)),
        mapped_bytes_(mapped_bytes),
        payload_(mapping_ + payload_offset, payload_bytes) {}
  ~CacheEntry();
  CacheEntry(const CacheEntry&) = delete;
  CacheEntry& operator=(const CacheEntry&) = delete;

  std::span<const std::byte> payload() const { return payload_; }

 private:
  friend class CacheDraft;

  std::byte* mapping_;
  std::size_t mapped_bytes_;
  std::span<std::byte> payload_;
};

// An entry being written: memory backed by a file that nobody else looks for. Dropped unless it is published. The cache
// outlives it.
class CacheDraft {
 public:
  ~CacheDraft();
  CacheDraft(const CacheDraft&) = delete;
  CacheDraft& operator=(const CacheDraft&) = delete;

  std::span<std::byte> payload() { return entry_->payload_; }
  // Makes it the entry of its key, with `sum`, the checksum of the payload, and gives its memory, read-only from here
  // on.
  std::shared_ptr<const CacheEntry> publish(std::uint64_t sum);

 private:
  friend class DiskCache;
  CacheDraft() = default;

  int folder_ = -1;
  std::string temporary_, name_;
  std::shared_ptr<CacheEntry> entry_;
};

class DiskCache {
 public:
  using Checksum = std::function<std::uint64_t(std::span<const std::byte>)>;

  // Entries live in `root`/`kind`; both are made where they are missing. Takes nothing and gives nothing where `root`
  // is empty or not to be trusted. All entries together take at most `limit_bytes`.
  DiskCache(const std::string& root, const std::string& kind, std::int64_t limit_bytes);
  ~DiskCache();
  DiskCache(const DiskCache&) = delete;
  DiskCache& operator=(const DiskCache&) = delete;

  bool enabled() const { return folder_ >= 0; }
  // Why a folder that was asked for does not serve: "/home/me/.cache/lazuli: Permission denied"; empty where it does.
  const std::string& trouble() const { return trouble_; }
  // Null where there is no entry for this key that is whole. Thread-safe, as are all calls.
  std::shared_ptr<const CacheEntry> find(std::string_view key, const Checksum& sum) const;
  std::shared_ptr<const CacheEntry> find(std::string_view key) const;
  // Room for the entry of `key`: disk space is reserved, and its memory is uninitialised or zero. Null where the limit
  // leaves no room (entries used within the last hour are not removed for it), and where it would take more than half
  // of what is free on the disk.
  std::unique_ptr<CacheDraft> draft(std::string_view key, std::size_t bytes);
  // draft and publish at once.
  void store(std::string_view key, std::span<const std::byte> payload);

 private:
  struct Entry;

  static std::vector<Entry> list_files(int folder);
  void list_entries(std::int64_t recent);
  bool make_room(std::int64_t bytes);
  std::unique_ptr<CacheDraft> make_draft(std::string_view key, std::size_t bytes) const;

  std::string trouble_;
  int folder_ = -1;
  std::int64_t limit_bytes_;
  std::mutex mutex_;
  std::int64_t used_bytes_ = -1;  // by all entries, at most; -1: not counted yet
  std::vector<Entry> entries_;    // that may have to go, the oldest last; listed when room is needed
  std::chrono::steady_clock::time_point full_until_{};  // nothing more can go before
};

}  // namespace lazuli::cpu
