#include <lazuli/graph/error.h>
#include <lazuli/tools/memory.h>

#include <filesystem>

namespace lazuli::tool {
namespace {

namespace fs = std::filesystem;

double megabytes(std::int64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

}  // namespace

std::string to_string(const MemoryReport& report) {
  return fmt::format("memory: peak {:.0f} MB; file {:.0f} MB, KV cache {:.1f} MB, arena {:.1f} MB",
                     megabytes(report.peak), megabytes(report.file), megabytes(report.kv), megabytes(report.arena));
}

std::int64_t checkpoint_bytes(const std::string& model) {
  std::error_code error;
  if (!fs::is_directory(model, error)) {
    const std::uintmax_t bytes = fs::file_size(model, error);
    return error ? 0 : static_cast<std::int64_t>(bytes);
  }
  std::int64_t total = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(model, error))
    if (file.path().extension() == ".safetensors") total += static_cast<std::int64_t>(file.file_size(error));
  return total;
}

void check_fits(const std::string& model, std::int64_t needed, std::optional<std::int64_t> available) {
  if (!available || needed <= *available) return;
  fail("{}: needs at least {:.0f} MB of memory, found {:.0f} MB available", model, megabytes(needed),
       megabytes(*available));
}

}  // namespace lazuli::tool
