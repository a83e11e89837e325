// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/support/memory.h>

namespace lazuli::tool {
namespace {

double megabytes(std::int64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

}  // namespace

std::string to_string(const MemoryReport& report) {
  return fmt::format("memory: peak {:.0f} MB; file {:.0f} MB, KV cache {:.1f} MB, arena {:.1f} MB",
                     megabytes(report.peak), megabytes(report.file), megabytes(report.kv), megabytes(report.arena));
}

std::int64_t weight_memory(const ModelInfo& model, Precision precision) {
  return precision == Precision::f32 ? byte_size(DType::f32, model.laid_out_parameters) : model.laid_out_bytes;
}

void check_fits(const std::string& model, std::int64_t needed, std::optional<std::int64_t> available) {
  if (!available || needed <= *available) return;
  fail("{}: needs at least {:.0f} MB of memory, found {:.0f} MB available", model, megabytes(needed),
       megabytes(*available));
}

}  // namespace lazuli::tool
