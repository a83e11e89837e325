// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/host/private_folder.h>
#include <lazuli/graph/base/round_up.h>
#include <lazuli/graph/files/descriptor.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

namespace lazuli::cpu {
namespace {

constexpr std::size_t page = 4096;  // of files; payloads begin on one wherever the machine's pages end
constexpr std::size_t readable_past_end = 64;
constexpr std::int64_t kept_seconds = 3600, relisted_seconds = 60;

// At the front of every file, followed by the key, zeros up to the next page, and the payload.
struct Header {
  char magic[8];
  std::uint64_t key_bytes, payload_bytes, checksum;
};
constexpr char magic[8] = {'L', 'Z', 'C', 'A', 'C', 'H', 'E', '1'};

std::size_t payload_offset(std::size_t key_bytes) { return round_up(sizeof(Header) + key_bytes, page); }
std::size_t file_bytes(std::size_t key_bytes, std::size_t payload_bytes) {
  return round_up(payload_offset(key_bytes) + payload_bytes + readable_past_end, page);
}

// The finaliser of MurmurHash3, Appleby.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdu;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53u;
  return value ^ (value >> 33);
}

// The product of 64-bit factors, its halves folded onto each other: every bit of either factor moves about half of the
// result's (the step of wyhash, Wang Yi).
std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Four sums side by side, so that multiplications do not wait for each other.
std::uint64_t hash_of(const std::byte* data, std::size_t bytes, std::uint64_t seed) {
  constexpr std::size_t sums_count = 4, line = sums_count * 2 * sizeof(std::uint64_t);
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  std::uint64_t sums[sums_count];
  for (std::size_t i = 0; i < sums_count; ++i) sums[i] = mix(seed * sums_count + i + 1);
  const auto add = [&](const std::byte* from) {
    std::uint64_t words[2 * sums_count];
    std::memcpy(words, from, line);
    for (std::size_t i = 0; i < sums_count; ++i) sums[i] = fold_product(words[2 * i] ^ sums[i], words[2 * i + 1] ^ odd);
  };
  std::size_t done = 0;
  for (; done + line <= bytes; done += line) {
    __builtin_prefetch(data + done + 2048);  // the hardware's prefetcher stops at every page
    add(data + done);
  }
  if (done < bytes) {
    std::byte rest[line] = {};
    std::memcpy(rest, data + done, bytes - done);
    add(rest);
  }
  std::uint64_t result = mix(bytes ^ seed);
  for (const std::uint64_t sum : sums) result = mix(result ^ sum) * odd;
  return result;
}

std::string name_of(std::string_view key) {
  return fmt::format("{:016x}", hash_of(reinterpret_cast<const std::byte*>(key.data()), key.size(), 0));
}

bool is_entry(std::string_view name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == name.npos;
}

}  // namespace

struct DiskCache::Entry {
  std::string name;
  std::int64_t bytes, seconds;  // last use
};

std::vector<DiskCache::Entry> DiskCache::list_files(int folder) {
  std::vector<Entry> files;
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = again >= 0 ? fdopendir(again) : nullptr;
  if (!listing) {
    if (again >= 0) close(again);
    return files;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> closed(listing, closedir);
  while (const dirent* file = readdir(listing)) {
    struct stat status{};
    if (!is_temporary(file->d_name) && !is_entry(file->d_name)) continue;
    if (fstatat(folder, file->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    files.push_back({file->d_name, static_cast<std::int64_t>(status.st_blocks) * 512, status.st_mtim.tv_sec});
  }
  return files;
}

namespace {

void* map_file(int file, std::size_t bytes, int protection) {
  void* mapping = mmap(nullptr, bytes, protection, MAP_SHARED, file, 0);
  if (mapping == MAP_FAILED) return nullptr;
  madvise(mapping, bytes, MADV_HUGEPAGE);  // a wish, which some file systems can grant
  return mapping;
}

// Takes the mapping, whether it throws or not.
std::shared_ptr<CacheEntry> entry_of(void* mapping, std::size_t bytes, std::size_t payload, std::size_t payload_bytes) {
  const auto give_back = [bytes](void* memory) { munmap(memory, bytes); };
  std::unique_ptr<void, decltype(give_back)> owned(mapping, give_back);
  auto entry = std::make_shared<CacheEntry>(mapping, bytes, payload, payload_bytes);
  owned.release();
  return entry;
}

}  // namespace

std::string default_cache_folder() {
  const char* choice = std::getenv("LAZULI_CACHE");
  if (choice && std::string_view(choice) == "off") return {};
  const char* folder = std::getenv("XDG_CACHE_HOME");
  if (folder && folder[0] == '/') return std::string(folder) + "/lazuli";
  const char* home = std::getenv("HOME");
  return home && home[0] == '/' ? std::string(home) + "/.cache/lazuli" : std::string();
}

std::uint64_t checksum(std::span<const std::byte> bytes, std::int64_t begin, std::int64_t end) {
  std::uint64_t sum = 0;
  for (std::int64_t piece = begin; piece < end; ++piece) {
    const auto at = static_cast<std::size_t>(piece * checksum_piece_bytes);
    const std::size_t size = std::min<std::size_t>(bytes.size() - at, checksum_piece_bytes);
    sum += hash_of(bytes.data() + at, size, static_cast<std::uint64_t>(piece) + 1);
  }
  return sum;
}

CacheEntry::~CacheEntry() { munmap(mapping_, mapped_bytes_); }

CacheDraft::~CacheDraft() {
  if (!temporary_.empty()) remove_temporary(folder_, temporary_);
}

// Nothing waits for the disk: after a crash of the system, an entry whose bytes were lost fails its checksum.
std::shared_ptr<const CacheEntry> CacheDraft::publish(std::uint64_t sum) {
  reinterpret_cast<Header*>(entry_->mapping_)->checksum = sum;
  mprotect(entry_->mapping_, entry_->mapped_bytes_, PROT_READ);
  if (publish_temporary(folder_, temporary_, name_)) temporary_.clear();
  return entry_;
}

DiskCache::DiskCache(const std::string& root, const std::string& kind, std::int64_t limit_bytes)
    : folder_(open_private_folder(root, kind, &trouble_)), limit_bytes_(limit_bytes) {}

DiskCache::~DiskCache() {
  if (folder_ >= 0) close(folder_);
}

std::shared_ptr<const CacheEntry> DiskCache::find(std::string_view key) const {
  return find(key, [](std::span<const std::byte> payload) { return checksum(payload); });
}

std::shared_ptr<const CacheEntry> DiskCache::find(std::string_view key, const Checksum& sum) const {
  if (!enabled()) return nullptr;
  const Descriptor file(openat(folder_, name_of(key).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return nullptr;
  struct stat status{};
  void* mapping = nullptr;
  if (fstat(file.number(), &status) == 0 && S_ISREG(status.st_mode) && is_private(status) &&
      static_cast<std::size_t>(status.st_size) >= payload_offset(key.size()))
    mapping = map_file(file.number(), static_cast<std::size_t>(status.st_size), PROT_READ);
  std::shared_ptr<const CacheEntry> entry;
  if (mapping) {
    const auto& header = *static_cast<const Header*>(mapping);
    const auto size = static_cast<std::size_t>(status.st_size);
    const bool bounded = header.payload_bytes <= size;
    entry = entry_of(mapping, size, payload_offset(key.size()),
                     bounded ? static_cast<std::size_t>(header.payload_bytes) : 0);
    const bool same = std::memcmp(header.magic, magic, sizeof magic) == 0 && header.key_bytes == key.size() &&
                      std::memcmp(&header + 1, key.data(), key.size()) == 0;
    if (!bounded || !same || size != file_bytes(key.size(), header.payload_bytes) ||
        sum(entry->payload()) != header.checksum)
      entry = nullptr;
  }
  if (entry) futimens(file.number(), nullptr);  // the time of its last use
  return entry;
}

// Looks at the folder: what there is, and what writers that died have left, which goes.
void DiskCache::list_entries(std::int64_t recent) {
  entries_ = list_files(folder_);
  std::erase_if(entries_, [&](const Entry& file) {
    return is_temporary(file.name) && file.seconds <= recent && unlinkat(folder_, file.name.c_str(), 0) == 0;
  });
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.seconds > b.seconds; });
  used_bytes_ = 0;
  for (const Entry& file : entries_) used_bytes_ += file.bytes;
}

// Removes what was used longest ago. The folder is listed once, and again when what was found is used up: a start that
// makes thousands of kernels would list thousands of files for each.
bool DiskCache::make_room(std::int64_t bytes) {
  const auto fits = [&] { return used_bytes_ >= 0 && used_bytes_ + bytes <= limit_bytes_; };
  if (fits()) return true;
  const std::int64_t recent = static_cast<std::int64_t>(std::time(nullptr)) - kept_seconds;
  const auto now = std::chrono::steady_clock::now();
  if (entries_.empty()) {
    if (now < full_until_) return false;
    list_entries(recent);
  }
  while (!fits() && !entries_.empty() && entries_.back().seconds <= recent) {
    const Entry oldest = std::move(entries_.back());
    entries_.pop_back();
    struct stat status{};
    const bool there = fstatat(folder_, oldest.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && status.st_mtim.tv_sec != oldest.seconds) continue;  // used since
    if (!there || unlinkat(folder_, oldest.name.c_str(), 0) == 0) used_bytes_ -= oldest.bytes;
  }
  if (fits()) return true;
  // What was found is used up, or too young; by then it may have been used.
  full_until_ = now + std::chrono::seconds(entries_.empty() ? relisted_seconds : entries_.back().seconds - recent);
  entries_.clear();
  return false;
}

std::unique_ptr<CacheDraft> DiskCache::draft(std::string_view key, std::size_t bytes) {
  if (!enabled() || bytes > static_cast<std::size_t>(limit_bytes_)) return nullptr;
  const std::size_t size = file_bytes(key.size(), bytes);
  struct statvfs disk{};
  if (fstatvfs(folder_, &disk) != 0 || size > disk.f_bavail * disk.f_frsize / 2) return nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!make_room(static_cast<std::int64_t>(size))) return nullptr;
    used_bytes_ += static_cast<std::int64_t>(size);
  }
  const auto give_back = [&] {
    const std::lock_guard lock(mutex_);
    used_bytes_ -= static_cast<std::int64_t>(size);
  };
  try {
    std::unique_ptr<CacheDraft> draft = make_draft(key, bytes);
    if (!draft) give_back();
    return draft;
  } catch (...) {
    give_back();
    throw;
  }
}

std::unique_ptr<CacheDraft> DiskCache::make_draft(std::string_view key, std::size_t bytes) const {
  const std::size_t size = file_bytes(key.size(), bytes);
  std::unique_ptr<CacheDraft> draft(new CacheDraft);
  std::string temporary;
  const Descriptor file(create_temporary(folder_, temporary));
  if (!file.valid()) return nullptr;
  draft->folder_ = folder_;
  draft->temporary_ = std::move(temporary);
  draft->name_ = name_of(key);
  // Space is reserved first: writing to a mapping that the disk has no room for would raise SIGBUS.
  void* mapping = posix_fallocate(file.number(), 0, static_cast<off_t>(size)) == 0
                      ? map_file(file.number(), size, PROT_READ | PROT_WRITE)
                      : nullptr;
  if (!mapping) return nullptr;
  draft->entry_ = entry_of(mapping, size, payload_offset(key.size()), bytes);
  Header header{{}, key.size(), bytes, 0};
  std::memcpy(header.magic, magic, sizeof magic);
  std::memcpy(mapping, &header, sizeof header);
  std::memcpy(static_cast<std::byte*>(mapping) + sizeof header, key.data(), key.size());
  return draft;
}

void DiskCache::store(std::string_view key, std::span<const std::byte> payload) {
  const std::unique_ptr<CacheDraft> room = draft(key, payload.size());
  if (!room) return;
  std::ranges::copy(payload, room->payload().begin());  // which may be empty
  room->publish(checksum(payload));
}

}  // namespace lazuli::cpu
