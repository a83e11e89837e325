// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/private_folder.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/files/descriptor.h>
#include <lazuli/runtime/tuning/tuning_record.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lazuli {
namespace {

constexpr const char* folder_name = "tuning";
constexpr std::size_t max_bytes = 1 << 20;

std::string file_name(const TuningKey& key) { return fmt::format("{:016x}.json", fnv1a(key.cpu + '\n' + key.model)); }

std::string path_of(const std::string& cache_folder, const TuningKey& key) {
  return fmt::format("{}/{}/{}", cache_folder, folder_name, file_name(key));
}

// Nothing where the file is another user's, or too long to be one of these.
std::optional<std::string> read_private(const Descriptor& file) {
  struct stat status{};
  if (fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode) || !cpu::is_private(status)) return std::nullopt;
  if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) > max_bytes) return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = read(file.number(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    done += static_cast<std::size_t>(count);
  }
  return text;
}

bool write_all(const Descriptor& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file.number(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::string mismatch(const TuningKey& found, const TuningKey& wanted) {
  if (found.cpu != wanted.cpu) return fmt::format("it is of another CPU, {}", found.cpu);
  if (found.model != wanted.model) return fmt::format("it is of another model, {}", found.model);
  return "it is of another version of lazuli";
}

}  // namespace

std::string tuning_version() { return cpu::jit::build_id(); }

FoundTuning find_tuning(const std::string& cache_folder, const TuningKey& key) {
  if (key.version.empty()) return {};
  const Descriptor folder(cpu::open_private_folder(cache_folder, folder_name));
  if (!folder.valid()) return {};
  const Descriptor file(
      openat(folder.number(), file_name(key).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return {};
  const auto ignored = [&](std::string_view why) {
    return FoundTuning{std::nullopt, fmt::format("{} is not used: {}", path_of(cache_folder, key), why)};
  };
  const std::optional<std::string> text = read_private(file);
  if (!text) return ignored("it is not a file of this user alone");
  try {
    TuningRecord record = parse_tuning_record(*text);
    if (record.key != key) return ignored(mismatch(record.key, key));
    return {std::move(record), {}};
  } catch (const Error& error) {
    return ignored(error.what());
  }
}

std::string store_tuning(const std::string& cache_folder, const TuningRecord& record) {
  const std::string path = path_of(cache_folder, record.key);
  const Descriptor folder(cpu::open_private_folder(cache_folder, folder_name));
  if (!folder.valid()) fail_file("{}: the folder cannot be made, or others can write to it", path);
  const std::string text = to_json(record), name = file_name(record.key);
  std::string temporary;
  const Descriptor file(cpu::create_temporary(folder.number(), temporary));
  if (!file.valid()) fail_file("{}: {}", path, std::strerror(errno));
  if (!write_all(file, text) || !cpu::publish_temporary(folder.number(), temporary, name)) {
    const int error = errno;
    cpu::remove_temporary(folder.number(), temporary);
    fail_file("{}: {}", path, std::strerror(error));
  }
  return path;
}

}  // namespace lazuli
