// SPDX-License-Identifier: MIT
// The backend that runs: generated loops, written matmul and attention kernels, one static schedule per program.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/options.h>
#include <lazuli/backends/cpu/program/cpu_program.h>
#include <lazuli/backends/cpu/weights/weight_store.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/verdict_sink.h>

namespace lazuli {

struct CpuBackendOptions {
  Precision precision = Precision::fast;
  Isa isa = Isa::scalar;          // at most this level; see selected_isa()
  FusionChoice fusion;            // what to merge and to chain: backend_fusions
  cpu::WeightProgress on_weight;  // told of every weight that was laid out
  std::string cache_folder;       // default_cache_folder(), or empty: nothing is kept for later processes
  std::int64_t split_bytes = 0;   // as SessionOptions::split_bytes
  VerdictSink verdicts;           // of backend_fusions
  LogSink log;
  AllocatorRef allocator;  // of the arena and of weights; null: the default one
};

class CpuBackend final : public Backend {
 public:
  // The executor outlives the backend and all its programs.
  CpuBackend(Executor& executor, CpuBackendOptions options);

  std::string_view name() const override { return "cpu"; }
  bool supports(Op op, const Attrs& attrs, std::span<const Type> operands) const override;
  // Lays nothing out: the program does that when it is prepared, on the executor's threads.
  std::unique_ptr<Program> compile(const Graph& graph, std::span<const int> donated) override;

  std::int64_t weight_bytes() const { return runtime_->weights.bytes(); }
  std::int64_t laid_out_weights() const { return runtime_->weights.laid_out(); }
  // Drops weights whose constants are gone, and the arena, which the next run allocates anew.
  void release_memory();
  std::int64_t arena_bytes() const;
  std::int64_t loops() const { return loops_.kernels(); }
  std::int64_t compiled_loops() const { return loops_.compiled(); }

 private:
  CpuBackendOptions options_;
  std::shared_ptr<cpu::Runtime> runtime_;
  cpu::LoopCompiler loops_;
};

}  // namespace lazuli
