// SPDX-License-Identifier: MIT
// Entries of the cache on disk: a file of any content is a miss, or its payload has the checksum it claims. The first
// byte says whether the checksum is made right, without which no damaged length would be looked at further.
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

namespace lazuli::fuzz {
namespace {

constexpr std::string_view key = "the key of an entry";
constexpr std::size_t checksum_at = 24, payload_at = 4096;

// The one file in the folder, which a cache has written.
std::string entry_path(const std::string& folder) {
  for (const auto& file : std::filesystem::directory_iterator(folder)) return file.path().string();
  violated("an entry is a file");
}

std::string with_checksum(std::string bytes) {
  std::uint64_t payload_bytes = 0;
  if (bytes.size() < payload_at) return bytes;
  std::memcpy(&payload_bytes, bytes.data() + 16, sizeof payload_bytes);
  const auto payload = std::as_bytes(std::span(bytes)).subspan(payload_at);
  if (payload_bytes > payload.size()) return bytes;
  const std::uint64_t sum = cpu::checksum(payload.first(static_cast<std::size_t>(payload_bytes)));
  std::memcpy(bytes.data() + checksum_at, &sum, sizeof sum);
  return bytes;
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  constexpr std::int64_t limit = 1 << 24;
  static cpu::DiskCache cache(folder.file("cache"), "kind", limit);
  static const std::string path = [] {
    cache.store(fuzz::key, std::as_bytes(std::span("payload")));
    return fuzz::entry_path(folder.file("cache/kind"));
  }();
  if (size == 0) return 0;
  const std::string bytes(fuzz::text_of(data + 1, size - 1));
  folder.write("entry", data[0] % 2 == 0 ? bytes : fuzz::with_checksum(bytes));
  chmod(folder.file("entry").c_str(), 0600);
  std::filesystem::rename(folder.file("entry"), path);
  const auto entry = cache.find(fuzz::key);
  if (!entry) return 0;
  fuzz::read_all(entry->payload());
  fuzz::require(entry->payload().size() <= bytes.size(), "a payload lies in its file");
  return 0;
}
