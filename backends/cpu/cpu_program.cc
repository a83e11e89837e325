#include <lazuli/backends/cpu/cpu_program.h>

#include <chrono>

namespace lazuli::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// Times the steps of one worker; without a profile it costs a branch.
class Stopwatch {
 public:
  Stopwatch(int worker, bool on, Clock::time_point start) : worker_(worker), on_(on), start_(start), last_(now()) {}

  void lap(int step) {
    if (!on_) return;
    const std::int64_t end = now();
    entries_.push_back({step, worker_, last_, end});
    last_ = end;
  }
  const std::vector<Profile::Entry>& entries() const { return entries_; }

 private:
  std::int64_t now() const {
    return on_ ? std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count() : 0;
  }

  int worker_;
  bool on_;
  Clock::time_point start_;
  std::int64_t last_;
  std::vector<Profile::Entry> entries_;
};

}  // namespace

CpuProgram::CpuProgram(Lowered lowered, std::shared_ptr<Runtime> runtime)
    : lowered_(std::move(lowered)), arena_(plan_memory(lowered_)), runtime_(std::move(runtime)) {
  place_barriers(lowered_);
  used_.resize(lowered_.buffers.size());
  for (const Step& step : lowered_.steps)
    for (const std::vector<int>* list : {&step.reads, &step.writes})
      for (int buffer : *list) used_[static_cast<std::size_t>(buffer)] = true;
  for (const Step& step : lowered_.steps) {
    described_.push_back({step.node, step.kernel, step.bytes, step.split, step.barrier});
    parallel_ = parallel_ || step.split;
  }
  for (const Interval& life : arena_.intervals)
    for (std::int64_t step = life.first; step <= life.last; ++step)
      described_[static_cast<std::size_t>(step)].arena_bytes += static_cast<std::int64_t>(life.bytes);
}

std::string CpuProgram::memory_plan() const { return describe(arena_.plan, arena_.intervals, arena_.names); }

void CpuProgram::execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs, Profile* profile) {
  const std::lock_guard lock(runtime_->busy);
  if (!runtime_->arena || runtime_->arena->size() < arena_.plan.peak) {
    runtime_->arena.reset();
    runtime_->arena = Buffer::allocate(arena_.plan.peak);
  }
  std::vector<std::byte*> bases;
  bases.reserve(lowered_.buffers.size());
  for (const BufferInfo& buffer : lowered_.buffers) {
    if (!used_[bases.size()]) {  // a weight that only exists packed: asking for its bytes would bring them back
      bases.push_back(nullptr);
      continue;
    }
    switch (buffer.kind) {
      case BufferKind::input: bases.push_back(inputs[static_cast<std::size_t>(buffer.index)]->data()); break;
      case BufferKind::output: bases.push_back(outputs[static_cast<std::size_t>(buffer.index)]->data()); break;
      case BufferKind::constant: bases.push_back(buffer.constant->data()); break;
      case BufferKind::arena: bases.push_back(runtime_->arena->data() + buffer.arena_offset); break;
    }
  }
  Memory memory(std::move(bases));
  if (!parallel_) return run_worker(0, memory, profile);
  runtime_->executor.run_on_all([&](int worker) {
    Memory own = memory;
    run_worker(worker, own, profile);
  });
}

void CpuProgram::run_worker(int worker, Memory& memory, Profile* profile) {
  const int workers = parallel_ ? runtime_->executor.size() : 1;
  Stopwatch watch(worker, profile != nullptr, profile ? profile->start : Clock::time_point());
  const auto share_of = [&](const Step& step) {
    return std::pair(step.units * worker / workers, step.units * (worker + 1) / workers);
  };
  int current = 0;
  try {
    for (const Step& step : lowered_.steps) {
      if (step.barrier && workers > 1) {
        runtime_->executor.barrier().wait();
        watch.lap(Profile::waiting);
      }
      if (step.split && workers > 1) {
        const auto [begin, end] = share_of(step);
        if (begin < end) step.run(memory, begin, end, worker);
        watch.lap(current);
      } else if (worker == 0) {
        step.run(memory, 0, step.units, 0);
        watch.lap(current);
      }
      ++current;
    }
  } catch (const ExecutionError&) {
    throw;
  } catch (const Error& error) {
    const GraphNode& node = lowered_.scheduled.nodes[static_cast<std::size_t>(lowered_.steps[static_cast<std::size_t>(current)].node)];
    throw ExecutionError(fmt::format("{}: {}{}", node.name(), error.what(), Scope::where(node.scope)));
  }
  if (profile) profile->append(watch.entries());
}

}  // namespace lazuli::cpu
