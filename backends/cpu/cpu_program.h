// A compiled graph: one static list of steps that every worker walks, computing its share of each.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/schedule.h>
#include <lazuli/backends/cpu/shared_work.h>

#include <memory>
#include <mutex>

namespace lazuli::cpu {

// What all programs of one backend share while they run. One program runs at a time; intermediate values of all programs
// lie in one arena, as large as the largest needs.
struct Runtime {
  explicit Runtime(Executor& on) : executor(on), work(on.size()) {}

  Executor& executor;
  SharedWork work;
  std::mutex busy;
  BufferRef arena;
};

class CpuProgram final : public Program {
 public:
  CpuProgram(Lowered lowered, std::shared_ptr<Runtime> runtime);

  std::span<const OutputPlacement> outputs() const override { return lowered_.outputs; }
  std::span<const int> written_inputs() const override { return lowered_.written_inputs; }
  void execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs, RunObserver* observer) override;
  const Graph& scheduled() const override { return lowered_.scheduled; }
  std::span<const ProgramStep> steps() const override { return described_; }
  std::int64_t arena_bytes() const override { return static_cast<std::int64_t>(arena_.plan.peak); }
  std::string memory_plan() const override;

 private:
  void run_split(const Step& step, std::uint32_t number, int worker, int workers, Memory& memory);
  void run_worker(int worker, std::uint32_t run, Memory& memory, RunObserver* observer);
  void tell_spared(const Memory& memory, RunObserver& observer) const;

  Lowered lowered_;
  Arena arena_;
  std::shared_ptr<Runtime> runtime_;
  std::vector<ProgramStep> described_;
  std::vector<bool> used_;  // buffers that steps touch
  std::vector<std::size_t> next_matmul_;  // of each step: the next step, itself included, that reads weights
  bool parallel_ = false;  // some step is split
};

}  // namespace lazuli::cpu
