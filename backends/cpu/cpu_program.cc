#include <lazuli/backends/cpu/cache_size.h>
#include <lazuli/backends/cpu/cpu_program.h>

namespace lazuli::cpu {
namespace {

// Tells an observer of the steps of one worker; without one it costs a branch.
class Stopwatch {
 public:
  Stopwatch(int worker, RunObserver* observer)
      : worker_(worker), observer_(observer), last_(observer ? observer->now_ns(worker) : 0) {}

  void lap(int step) {
    if (!observer_) return;
    const std::int64_t now = observer_->now_ns(worker_);
    observer_->on_span(worker_, {step, last_, now});
    last_ = now;
  }

 private:
  int worker_;
  RunObserver* observer_;
  std::int64_t last_;
};

// Brings the weights a worker will read next into its second-level cache while it waits, so that memory is not idle when
// the next matmul begins. A few lines at a time: whoever waits wants to know soon that the others have come.
class Prefetcher {
 public:
  // A quarter of the cache: more would push out what the steps in between leave there.
  Prefetcher() : most_bytes_(static_cast<std::size_t>(level2_cache_bytes() / 4)) {}

  // Goes on where it was, if these are the weights it was given last.
  void aim_at(std::span<const std::byte> weights) {
    if (weights.data() == next_.data() - fetched_) return;
    next_ = weights.first(std::min(weights.size(), most_bytes_));
    fetched_ = 0;
  }

  bool fetch_some() {
    constexpr std::size_t lines = 8;
    const std::size_t bytes = std::min(next_.size(), lines * cache_line);
    for (std::size_t offset = 0; offset < bytes; offset += cache_line) __builtin_prefetch(next_.data() + offset, 0, 2);
    next_ = next_.subspan(bytes);
    fetched_ += bytes;
    return !next_.empty();
  }

 private:
  std::size_t most_bytes_;
  std::span<const std::byte> next_;  // what is left to fetch
  std::size_t fetched_ = 0;          // before it
};

std::int64_t pieces(const Step& step) { return (step.units + step.piece - 1) / step.piece; }

// The share a worker begins with.
Range first_units(const Step& step, int worker, int workers) {
  if (step.piece == 0) return share(step.units, worker, workers);
  const Range own = share(pieces(step), worker, workers);
  return {own.begin * step.piece, std::min(own.end * step.piece, step.units)};
}

}  // namespace

CpuProgram::CpuProgram(Lowered lowered, std::shared_ptr<Runtime> runtime)
    : lowered_(std::move(lowered)), arena_(plan_memory(lowered_)), runtime_(std::move(runtime)) {
  place_barriers(lowered_);
  used_.resize(lowered_.buffers.size());
  for (const Step& step : lowered_.steps)
    for (const std::vector<int>* list : {&step.reads, &step.writes})
      for (int buffer : *list) used_[static_cast<std::size_t>(buffer)] = true;
  for (const Step& step : lowered_.steps) {
    described_.push_back({step.node, step.kernel, step.bytes, step.split, step.barrier, 0, step.weight_bytes,
                          step.operations, step.kind, step.arithmetic});
    parallel_ = parallel_ || step.split;
  }
  for (const Interval& life : arena_.intervals)
    for (std::int64_t step = life.first; step <= life.last; ++step)
      described_[static_cast<std::size_t>(step)].arena_bytes += static_cast<std::int64_t>(life.bytes);
  next_matmul_.resize(lowered_.steps.size());
  for (std::size_t i = lowered_.steps.size(), next = i; i-- > 0;) {
    if (lowered_.steps[i].split && lowered_.steps[i].first_weights) next = i;
    next_matmul_[i] = next;
  }
}

std::string CpuProgram::memory_plan() const { return describe(arena_.plan, arena_.intervals, arena_.names); }

void CpuProgram::execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs,
                         RunObserver* observer) {
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
  const ObservedRun observed(observer, parallel_ ? runtime_->executor.size() : 1);
  if (observer) tell_spared(memory, *observer);
  const std::uint32_t run = runtime_->work.begin_run(lowered_.steps.size());
  if (!parallel_) return run_worker(0, run, memory, observer);
  runtime_->executor.run_on_all([&](int worker) {
    Memory own = memory;
    run_worker(worker, run, own, observer);
  });
}

void CpuProgram::tell_spared(const Memory& memory, RunObserver& observer) const {
  for (std::size_t i = 0; i < lowered_.steps.size(); ++i) {
    if (!lowered_.steps[i].spared) continue;
    const Spared spared = lowered_.steps[i].spared(memory);
    observer.on_spared(static_cast<int>(i), spared.bytes, spared.operations);
  }
}

// Computes this worker's part of a step that is split; `number` is the step's in this run.
void CpuProgram::run_split(const Step& step, std::uint32_t number, int worker, int workers, Memory& memory) {
  if (step.piece == 0) {
    const auto [begin, end] = share(step.units, worker, workers);
    if (begin < end) step.run(memory, begin, end, worker);
    return;
  }
  SharedWork& work = runtime_->work;
  work.open(worker, number, pieces(step));
  while (const std::optional<Range> taken = work.take(worker, number))
    step.run(memory, taken->begin * step.piece, std::min(taken->end * step.piece, step.units), worker);
}

void CpuProgram::run_worker(int worker, std::uint32_t run, Memory& memory, RunObserver* observer) {
  const int workers = parallel_ ? runtime_->executor.size() : 1;
  Stopwatch watch(worker, observer);
  Prefetcher prefetcher;
  int current = 0;
  try {
    for (const Step& step : lowered_.steps) {
      if (step.barrier && workers > 1) {
        const std::size_t matmul = next_matmul_[static_cast<std::size_t>(current)];
        if (matmul < lowered_.steps.size()) {
          const auto [begin, end] = first_units(lowered_.steps[matmul], worker, workers);
          prefetcher.aim_at(lowered_.steps[matmul].first_weights(begin, end));
        }
        runtime_->executor.barrier().wait([&] { return prefetcher.fetch_some(); });
        watch.lap(RunSpan::waiting);
      }
      if (step.split && workers > 1) {
        run_split(step, run + static_cast<std::uint32_t>(current), worker, workers, memory);
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
}

}  // namespace lazuli::cpu
