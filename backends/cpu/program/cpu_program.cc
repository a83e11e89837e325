// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/host/cache_size.h>
#include <lazuli/backends/cpu/program/control_flow.h>
#include <lazuli/backends/cpu/program/cpu_program.h>
#include <lazuli/backends/cpu/program/stopwatch.h>
#include <lazuli/backends/observed_run.h>
#include <lazuli/graph/base/floating_point_mode.h>

#include <algorithm>
#include <new>
#include <optional>

namespace lazuli::cpu {
namespace {

void fetch(std::span<const std::byte> bytes) {
  for (std::size_t offset = 0; offset < bytes.size(); offset += cache_line)
    __builtin_prefetch(bytes.data() + offset, 0, 2);
}

// Brings the weights a worker will read next into its second-level cache while it waits, so that memory is not idle
// when the next matmul begins. A few lines at a time: a worker that waits is to see soon that the others have come.
class Prefetcher {
 public:
  // A quarter of the cache: more would push out what the steps in between leave there.
  Prefetcher() : max_bytes_(static_cast<std::size_t>(level2_cache_bytes() / 4)) {}

  // Goes on where it was, if these are the weights it was given last.
  void aim_at(std::span<const std::byte> weights) {
    if (weights.data() == next_.data() - fetched_) return;
    next_ = weights.first(std::min(weights.size(), max_bytes_));
    fetched_ = 0;
  }

  bool fetch_some() {
    constexpr std::size_t lines = 8;
    const std::size_t bytes = std::min(next_.size(), lines * cache_line);
    fetch(next_.first(bytes));
    next_ = next_.subspan(bytes);
    fetched_ += bytes;
    return !next_.empty();
  }

 private:
  std::size_t max_bytes_;
  std::span<const std::byte> next_;  // what is left to fetch
  std::size_t fetched_ = 0;          // before it
};

std::int64_t grains(std::int64_t units, std::int64_t grain) { return (units + grain - 1) / grain; }

// The share a worker begins with.
Range first_units(const Step& step, int worker, int workers) {
  if (step.grain == 0) return share(step.units, worker, workers);
  const Range own = share(grains(step.units, step.grain), worker, workers);
  return {own.begin * step.grain, std::min(own.end * step.grain, step.units)};
}

std::string names(const std::vector<KernelUse>& kernels) {
  std::string joined;
  for (const KernelUse& kernel : kernels) joined += (joined.empty() ? "" : "+") + kernel.name;
  return joined;
}

std::string instruction_sets(const std::vector<KernelUse>& kernels) {
  std::vector<std::string_view> sets;
  for (const KernelUse& kernel : kernels)
    if (std::find(sets.begin(), sets.end(), kernel.isa) == sets.end()) sets.push_back(kernel.isa);
  return fmt::format("{}", fmt::join(sets, "+"));
}

std::vector<StepPart> described_parts(const Step& step) {
  std::vector<StepPart> parts;
  for (const Part& part : step.parts)
    parts.push_back({part.op, part.scope ? *part.scope : std::string(), names(part.kernels),
                     instruction_sets(part.kernels), part.bytes, part.weight_bytes, part.operations, part.kind,
                     part.arithmetic});
  return parts;
}

}  // namespace

CpuProgram::CpuProgram(Lowered lowered, std::shared_ptr<Runtime> runtime)
    : lowered_(std::move(lowered)), arena_(plan_memory(lowered_)), runtime_(std::move(runtime)) {
  place_barriers(lowered_);
  for (const Step& step : lowered_.steps)
    described_.push_back({step.node, names(step.kernels), step.bytes, step.split, step.barrier, 0, step.weight_bytes,
                          step.operations, step.kind, step.arithmetic, instruction_sets(step.kernels),
                          described_parts(step)});
  for (const Interval& life : arena_.intervals)
    for (std::size_t step = arena_.step_at[static_cast<std::size_t>(life.first)];
         step <= arena_.step_at[static_cast<std::size_t>(life.last)]; ++step)
      described_[step].arena_bytes += static_cast<std::int64_t>(life.bytes);
}

void CpuProgram::prepare() {
  const DefaultFloatingPointMode mode;
  while (!is_prepared_) {
    std::optional<LaidOut> laid_out;
    {
      const std::lock_guard lock(runtime_->busy);
      laid_out = prepare_next();
    }
    if (laid_out && laid_out->is_new) runtime_->weights.tell_progress(laid_out->label, laid_out->bytes);
  }
}

// Where the weights lie is part of what the launches know. With the runtime locked: this uses the executor.
std::optional<LaidOut> CpuProgram::prepare_next() {
  if (is_prepared_) return std::nullopt;
  if (auto laid_out = lay_out_next(lowered_.weights, lowered_.buffers, runtime_->weights, runtime_->executor))
    return laid_out;
  addresses_.emplace(lowered_);
  list_launches();
  is_prepared_ = true;
  return std::nullopt;
}

void CpuProgram::list_launches() {
  std::vector<Step>& steps = lowered_.steps;
  const bool parallel = std::any_of(steps.begin(), steps.end(), [](const Step& step) { return step.split; });
  const int workers = parallel ? runtime_->executor.size() : 1;
  workers_.clear();
  for (int worker = 0; worker < workers; ++worker) {
    std::vector<std::span<const std::byte>> next_weights(steps.size());
    for (std::size_t i = steps.size(); i-- > 0;) {
      if (i + 1 < steps.size()) next_weights[i] = next_weights[i + 1];
      if (!steps[i].split || !steps[i].first_weights) continue;
      const auto [begin, end] = first_units(steps[i], worker, workers);
      next_weights[i] = steps[i].first_weights(begin, end);
    }
    workers_.push_back({Memory({}), std::move(next_weights)});
  }
  for (Step& step : steps)
    if (step.control) step.control->list_launches();
  list_constants_ahead();
  // Last, and all or none: a program whose preparation failed half-way is prepared again.
  launches_.reserve(steps.size());
  for (Step& step : steps)
    launches_.push_back({std::move(step.run), step.control.get(), step.units, step.grain,
                         step.units_now ? &step.units_now : nullptr, step.split && workers > 1,
                         step.barrier && workers > 1});
}

// A norm between two matmuls is short: while worker 0 waits for its weights from memory, the others have nothing to do.
void CpuProgram::list_constants_ahead() {
  constexpr std::int64_t max_bytes = 16 * 1024, max_bytes_at_once = 64 * 1024;
  constants_ahead_.assign(lowered_.steps.size(), {});
  std::vector<std::span<const std::byte>>* ahead = nullptr;
  std::int64_t fetched = 0;
  for (std::size_t i = 0; i < lowered_.steps.size(); ++i) {
    if (lowered_.steps[i].split && workers_.size() > 1) {
      ahead = lowered_.steps[i].first_weights ? &constants_ahead_[i] : ahead;
      fetched = 0;
      continue;
    }
    for (int buffer : lowered_.steps[i].reads) {
      const BufferInfo& info = lowered_.buffers[static_cast<std::size_t>(buffer)];
      const bool fits = info.bytes <= std::min(max_bytes, max_bytes_at_once - fetched);
      if (!ahead || !fits || info.kind != BufferKind::constant || info.constant->is_derived()) continue;
      ahead->emplace_back(info.constant->data(), static_cast<std::size_t>(info.bytes));
      fetched += info.bytes;
    }
  }
}

std::string CpuProgram::memory_plan() const { return describe(arena_.plan, arena_.intervals, arena_.names); }

// Compared as bytes: 0 and -0 differ.
void CpuProgram::use_numbers(std::span<const double> numbers) {
  const auto given = std::as_bytes(numbers), used = std::as_bytes(std::span(numbers_));
  if (numbers.empty() || std::ranges::equal(given, used)) return;
  numbers_.clear();  // where one is refused, the next run begins anew
  try {
    for (const NumberUse& use : lowered_.number_uses) use(numbers);
  } catch (const Error& error) {
    ErrorDetails details = error.details();
    details.kind = ErrorKind::execution;
    throw ExecutionError(error.what(), std::move(details));
  }
  numbers_.assign(numbers.begin(), numbers.end());
}

void CpuProgram::execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs,
                         std::span<const double> numbers, RunObserver* observer, const RunLimits* limits,
                         std::span<const std::int64_t> sizes) {
  const DefaultFloatingPointMode mode;
  prepare();
  const std::lock_guard lock(runtime_->busy);
  use_numbers(numbers);
  if (!runtime_->arena || runtime_->arena->size() < arena_.plan.peak) {
    runtime_->arena.reset();
    runtime_->arena_bytes = 0;
    runtime_->arena = Buffer::allocate(arena_.plan.peak, runtime_->allocator);
    runtime_->arena_bytes = static_cast<std::int64_t>(arena_.plan.peak);
  }
  const Memory& memory = addresses_->of_run(inputs, outputs, runtime_->arena->data(),
                                            sizes.empty() ? std::span<const std::int64_t>(lowered_.bounds) : sizes);
  const ObservedRun observed(observer, static_cast<int>(workers_.size()));
  if (observer) tell_skipped(memory, *observer);
  const std::uint32_t run = runtime_->work.begin_run(launches_.size());
  const auto work = [&](int worker) {
    workers_[static_cast<std::size_t>(worker)].memory = memory;
    run_worker(worker, run, observer, worker == 0 ? limits : nullptr);
  };
  if (workers_.size() == 1) return work(0);
  runtime_->executor.run_on_all(work);
}

void CpuProgram::tell_skipped(const Memory& memory, RunObserver& observer) const {
  for (std::size_t i = 0; i < lowered_.steps.size(); ++i) {
    if (!lowered_.steps[i].skipped) continue;
    const Skipped skipped = lowered_.steps[i].skipped(memory);
    observer.on_skipped(static_cast<int>(i), skipped.bytes, skipped.operations);
    tell_parts_skipped(static_cast<int>(i), memory, observer);
  }
}

void CpuProgram::tell_parts_skipped(int step, const Memory& memory, RunObserver& observer) const {
  const std::vector<Part>& parts = lowered_.steps[static_cast<std::size_t>(step)].parts;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    if (!parts[part].skipped) continue;
    const Skipped skipped = parts[part].skipped(memory);
    observer.on_part_skipped(step, static_cast<int>(part), skipped.bytes, skipped.operations);
  }
}

// Computes this worker's part of a step that is split; `number` is the step's in this run.
void CpuProgram::run_split(const Launch& launch, std::uint32_t number, int worker, Memory& memory) {
  const std::int64_t units = launch.units_in(memory);
  if (launch.grain == 0) {
    const auto [begin, end] = share(units, worker, static_cast<int>(workers_.size()));
    if (begin < end) launch.run(memory, begin, end, worker);
    return;
  }
  WorkStealing& work = runtime_->work;
  work.open(worker, number, grains(units, launch.grain));
  while (const std::optional<Range> taken = work.take(worker, number))
    launch.run(memory, taken->begin * launch.grain, std::min(taken->end * launch.grain, units), worker);
}

const GraphNode& CpuProgram::node_of(int step) const {
  const Step& known = lowered_.steps[static_cast<std::size_t>(step)];
  return lowered_.scheduled.nodes[static_cast<std::size_t>(known.node)];
}

ErrorDetails CpuProgram::details_of(int step, ErrorDetails details) const {
  const GraphNode& node = node_of(step);
  if (details.kind < ErrorKind::execution) details.kind = ErrorKind::execution;
  details.op = node.name();
  details.node = node.from.empty() ? -1 : node.from.back().node;
  if (node.scope) details.scope = *node.scope;
  return details;
}

ExecutionError CpuProgram::failure(int step, std::string_view what, ErrorDetails details) const {
  const GraphNode& node = node_of(step);
  return ExecutionError(fmt::format("{}: {}{}", node.name(), what, Scope::where(node.scope)),
                        details_of(step, std::move(details)));
}

void CpuProgram::throw_if_reached(const RunLimits& limits, int step) const {
  const std::optional<ErrorKind> reached = limits.reached();
  if (!reached) return;
  throw failure(step, *reached == ErrorKind::cancelled ? "the run was cancelled" : "the run is past its deadline",
                {.kind = *reached});
}

// With `limits`, worker 0 alone looks at them: the others leave at the next barrier, as they do after any error.
void CpuProgram::run_worker(int worker, std::uint32_t run, RunObserver* observer, const RunLimits* limits) {
  auto& [memory, next_weights] = workers_[static_cast<std::size_t>(worker)];
  Stopwatch watch(worker, observer);
  memory.set_stopwatch(observer ? &watch : nullptr);
  Prefetcher prefetcher;
  int current = 0;
  const auto look_at_limits = [&] {
    if (limits) throw_if_reached(*limits, current);
  };
  const int workers = static_cast<int>(workers_.size());
  const Walk walk(memory, worker, workers, workers > 1 ? &runtime_->executor.barrier() : nullptr, look_at_limits);
  try {
    for (const Launch& launch : launches_) {
      if (limits) throw_if_reached(*limits, current);
      if (launch.barrier) {
        prefetcher.aim_at(next_weights[static_cast<std::size_t>(current)]);
        runtime_->executor.barrier().wait([&] { return prefetcher.fetch_some(); });
        watch.lap(RunSpan::waiting);
      }
      if (launch.control != nullptr) {
        if (launch.split || worker == 0) {
          memory.set_stopwatch(nullptr);  // chains in bodies are no parts of this step
          launch.control->run(walk);
          memory.set_stopwatch(observer ? &watch : nullptr);
          watch.lap(current);
        }
      } else if (launch.split) {
        if (worker == 0)
          for (const std::span<const std::byte> constant : constants_ahead_[static_cast<std::size_t>(current)])
            fetch(constant);
        run_split(launch, run + static_cast<std::uint32_t>(current), worker, memory);
        watch.lap(current);
      } else if (worker == 0) {
        launch.run(memory, 0, launch.units_in(memory), 0);
        watch.lap(current);
      }
      ++current;
    }
  } catch (const ExecutionError& error) {  // names the node
    throw ExecutionError(error.what(), details_of(current, error.details()));
  } catch (const Error& error) {
    throw failure(current, error.what(), error.details());
  } catch (const std::bad_alloc&) {
    throw failure(current, "out of memory", {.kind = ErrorKind::memory});
  }
}

}  // namespace lazuli::cpu
