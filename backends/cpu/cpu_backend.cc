// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/cpu_backend.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <lazuli/graph/base/source_location.h>
#include <lazuli/graph/custom_op_calls.h>

namespace lazuli {
std::string_view to_string(Precision precision) { return precision == Precision::fast ? "fast" : "f32"; }

std::optional<Precision> parse_precision(std::string_view name) {
  if (name == "fast") return Precision::fast;
  if (name == "f32") return Precision::f32;
  return std::nullopt;
}

CpuBackend::CpuBackend(Executor& executor, CpuBackendOptions options)
    : options_(std::move(options)),
      runtime_(std::make_shared<cpu::Runtime>(executor, options_.cache_folder, options_.log, options_.allocator)),
      loops_(options_.isa, options_.cache_folder, options_.log) {
  runtime_->weights.on_progress(options_.on_weight);
  use_symbolizer(cpu::jit::symbolize_by_generator);
}

bool CpuBackend::supports(Op op, const Attrs& attrs, std::span<const Type> operands) const {
  switch (op) {
    case Op::altup_predict:
    case Op::altup_correct:
    case Op::interpolate:
      return false;  // their decomposition is what runs, as one loop where it is fused
    case Op::rope:
      return operands[0].dtype == DType::f32;
    case Op::attention:
      return operands[0].dtype == DType::f32;
    case Op::custom:
      return has_kernel(std::get<CustomAttrs>(attrs).op, operands);
    default:
      return true;
  }
}

std::unique_ptr<Program> CpuBackend::compile(const Graph& graph, std::span<const int> donated) {
  const DefaultFloatingPointMode mode;
  const cpu::Tools tools{loops_,          runtime_->executor.size(), options_.isa,     options_.precision,
                         options_.fusion, options_.split_bytes,      options_.verdicts};
  return std::make_unique<cpu::CpuProgram>(cpu::lower(graph, donated, tools), runtime_);
}

void CpuBackend::release_memory() {
  runtime_->weights.sweep();
  const std::lock_guard lock(runtime_->busy);
  runtime_->arena.reset();
  runtime_->arena_bytes = 0;
}

std::int64_t CpuBackend::arena_bytes() const { return runtime_->arena_bytes; }

}  // namespace lazuli
