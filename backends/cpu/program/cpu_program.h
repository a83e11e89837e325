// SPDX-License-Identifier: MIT
// A compiled graph: one static list of steps that every worker walks, computing its share of each.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/program/base_addresses.h>
#include <lazuli/backends/cpu/program/schedule.h>
#include <lazuli/backends/cpu/weights/weight_store.h>
#include <lazuli/graph/base/error.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace lazuli::cpu {

// What all programs of one backend share while they run. One program runs at a time; intermediate values of all
// programs lie in one arena, as large as the largest needs.
struct Runtime {
  Runtime(Executor& on, const std::string& cache_folder, const LogSink& log = {}, AllocatorRef memory = nullptr)
      : executor(on), work(on.size()), weights(cache_folder, log, memory), allocator(std::move(memory)) {}

  Executor& executor;
  WorkStealing work;
  WeightStore weights;
  std::mutex busy;
  AllocatorRef allocator;  // of the arena
  BufferRef arena;
  std::atomic<std::int64_t> arena_bytes{0};  // of it; known while a program runs
};

class CpuProgram final : public Program {
 public:
  CpuProgram(Lowered lowered, std::shared_ptr<Runtime> runtime);

  std::span<const OutputPlacement> outputs() const override { return lowered_.outputs; }
  std::span<const int> written_inputs() const override { return lowered_.written_inputs; }
  void prepare() override;
  void execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs, std::span<const double> numbers,
               RunObserver* observer, const RunLimits* limits, std::span<const std::int64_t> sizes = {}) override;
  const Graph& scheduled() const override { return lowered_.scheduled; }
  std::span<const ProgramStep> steps() const override { return described_; }
  std::int64_t arena_bytes() const override { return static_cast<std::int64_t>(arena_.plan.peak); }
  std::string memory_plan() const override;

 private:
  // What workers need of a step, without the rest: they walk the list once a run, and find it cold.
  struct alignas(cache_line) Launch {
    Run run;
    const ControlFlow* control = nullptr;  // instead of `run`
    std::int64_t units = 1, grain = 0;
    const UnitsNow* units_now = nullptr;  // where a run has fewer
    bool split = false, barrier = false;

    std::int64_t units_in(const Memory& memory) const { return units_now ? (*units_now)(memory) : units; }
  };
  struct alignas(cache_line) Worker {
    Memory memory;
    // For each launch: what this worker reads first of the next weights, to be fetched while it waits.
    std::vector<std::span<const std::byte>> next_weights;
  };

  std::optional<LaidOut> prepare_next();
  void use_numbers(std::span<const double> numbers);
  void list_launches();
  void list_constants_ahead();
  void run_split(const Launch& launch, std::uint32_t number, int worker, Memory& memory);
  void run_worker(int worker, std::uint32_t run, RunObserver* observer, const RunLimits* limits);
  void throw_if_reached(const RunLimits& limits, int step) const;
  // Names the step's node; `details` are those of the error it came from.
  ExecutionError failure(int step, std::string_view what, ErrorDetails details) const;
  ErrorDetails details_of(int step, ErrorDetails details) const;
  const GraphNode& node_of(int step) const;
  void tell_skipped(const Memory& memory, RunObserver& observer) const;
  void tell_parts_skipped(int step, const Memory& memory, RunObserver& observer) const;

  Lowered lowered_;
  Arena arena_;
  std::shared_ptr<Runtime> runtime_;
  std::vector<ProgramStep> described_;
  std::vector<double> numbers_;  // that the steps use; none: as the graph had them
  // What follows is there once the program is prepared.
  std::atomic<bool> is_prepared_{false};
  std::optional<BaseAddresses> addresses_;
  std::vector<Launch> launches_;
  std::vector<Worker> workers_;  // one, where no step is split
  // For each launch of a matmul: small constants that worker 0 reads by itself after it, to be fetched before it
  // begins.
  std::vector<std::vector<std::span<const std::byte>>> constants_ahead_;
};

}  // namespace lazuli::cpu
