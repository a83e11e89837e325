// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/cpu_backend.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/reference/reference.h>
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/fork.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/runtime/engine.h>
#include <lazuli/runtime/engine_report.h>
#include <lazuli/runtime/task_queue.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <unordered_set>
#include <utility>

namespace lazuli {
namespace {

std::unique_ptr<Backend> make_backend(const SessionOptions& options, const FusionChoice& fusion, Isa isa,
                                      Executor& executor, const LogSink& log) {
  if (options.backend == "reference") return make_reference_backend();
  if (options.backend != "cpu")
    fail(ErrorDetails{.op = "backend", .expected = "cpu or reference", .found = options.backend},
         "unknown backend '{}'; expected cpu or reference", options.backend);
  return std::make_unique<CpuBackend>(executor, CpuBackendOptions{options.precision,
                                                                  isa,
                                                                  fusion,
                                                                  options.on_weight,
                                                                  options.disk_cache ? cpu::default_cache_folder() : "",
                                                                  options.split_bytes,
                                                                  {options.on_verdict, options.why_off},
                                                                  log,
                                                                  options.allocator});
}

Isa checked_isa(const std::optional<Isa>& isa) {
  if (!isa) return selected_isa();
  require_isa(*isa, "isa");
  return *isa;
}

// Of the caller's rules and passes, none of them empty or taken.
std::vector<std::string_view> own_names(const SessionOptions& options) {
  const std::vector<std::string_view> taken = fusion_names();
  std::vector<std::string_view> names;
  const auto add = [&](std::string_view kind, const std::string& name) {
    const auto is = [&](std::string_view other) { return other == name; };
    ErrorDetails refused{.op = std::string(kind), .expected = "a name of its own", .found = name};
    if (name.empty()) fail(std::move(refused), "{}: one of the session's has no name", kind);
    if (std::any_of(taken.begin(), taken.end(), is))
      fail(std::move(refused), "{}: the name \"{}\" is one of lazuli's own", kind, name);
    if (std::any_of(names.begin(), names.end(), is))
      fail(std::move(refused), "{}: the name \"{}\" is given twice", kind, name);
    names.push_back(name);
  };
  for (const Rule& rule : options.rules) {
    add("rules", rule.name);
    if (!rule.attempt) fail("rules: \"{}\" has nothing to try", rule.name);
  }
  for (const Pass& pass : options.passes) {
    add("passes", pass.name);
    if (!pass.run) fail("passes: \"{}\" has nothing to run", pass.name);
  }
  return names;
}

}  // namespace

Engine::Engine(SessionOptions options)
    : options_(std::move(options)),
      quiet_options_(with_quiet_callbacks(options_, compiling_)),
      fusion_(FusionChoice::parse(options_.fusion, own_names(options_))),
      isa_(checked_isa(options_.isa)),
      log_(one_at_a_time(options_.on_log)),
      pipeline_(pipeline_with(options_.passes)) {
  if (options_.threads < 0)
    fail(ErrorDetails{.op = "threads", .expected = "0 or more", .found = fmt::format("{}", options_.threads)},
         "threads: {} given, expected 0 (the usable cores) or more", options_.threads);
  if (options_.executor == nullptr)
    own_executor_ = std::make_unique<ThreadPool>(options_.threads > 0 ? options_.threads : usable_cores());
  executor_ = options_.executor ? options_.executor : own_executor_.get();
  backend_ = make_backend(quiet_options_, fusion_, isa_, *executor_, log_);
  cpu_ = dynamic_cast<CpuBackend*>(backend_.get());
  folded_ = std::make_shared<FoldCache>();
}

// In the child of a fork the threads are missing that these would wait for, and may have held what these lock.
Engine::~Engine() {
  if (!of_parent_process()) return;
  for (auto& [stream, tasks] : queues_) keep_for_ever(std::shared_ptr<TaskQueue>(std::move(tasks)));
  keep_for_ever(std::shared_ptr<Backend>(std::move(backend_)));
  keep_for_ever(std::shared_ptr<Executor>(std::move(own_executor_)));
}

int Engine::threads() const { return executor_->size(); }

// With slots, so that other values are computed by the same kernels.
std::vector<BufferRef> Engine::evaluate_constants(const Graph& graph) {
  const std::unique_ptr<Program> program = backend_->compile(with_slots(graph), {});
  std::vector<BufferRef> results;
  for (const OutputPlacement& output : program->outputs())
    results.push_back(Buffer::allocate(static_cast<std::size_t>(output.bytes), options_.allocator));
  program->execute({}, results, number_values(graph));
  return results;
}

Graph Engine::optimised(const Graph& built) {
  const std::lock_guard telling(compiling_);
  const std::vector<double> values = number_values(built);
  NumberGuards numbers(std::vector<bool>(values.size(), true));
  return with_literals(optimised(with_slots(built), numbers), values);
}

Graph Engine::optimised(const Graph& graph, NumberGuards& numbers) {
  PassContext context;
  context.numbers = std::move(numbers);
  context.supports = [this](Op op, const Attrs& attrs, std::span<const Type> operands) {
    return backend_->supports(op, attrs, operands);
  };
  context.evaluate = [this](const Graph& constants) { return evaluate_constants(constants); };
  context.note = quiet_options_.on_verdict;
  context.why_off = options_.why_off;
  context.folded = folded_;
  if (!options_.rules.empty()) context.own_rules = &options_.rules;
  PipelineOptions pipeline;
  context.enabled = [this](std::string_view name) { return fusion_.enabled(name); };
  pipeline.verify = pipeline.verify || options_.verify;
  pipeline.after_pass = quiet_options_.on_pass;
  Graph result = run_pipeline(graph, pipeline_, context, pipeline);
  numbers = std::move(context.numbers);
  return result;
}

namespace {

// As each constant has `references` of before, there are as many of the program as it has more of now.
void count_references(CompiledGraph& compiled) {
  for (CompiledGraph::Held& held : compiled.constants) held.references += held.buffer.use_count();
}

}  // namespace

std::shared_ptr<CompiledGraph> Engine::compile(const Graph& graph, std::span<const int> donated,
                                               NumberGuards& numbers) {
  const auto begin = std::chrono::steady_clock::now();
  auto compiled = std::make_shared<CompiledGraph>();
  std::unordered_set<const Buffer*> seen;
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::constant && seen.insert(node.constant.get()).second)
      compiled->constants.push_back({node.constant, -node.constant.use_count()});
  compiled->engine = id();
  compiled->built = graph;
  for (const ValueId input : graph.inputs())
    compiled->operands.push_back(input.node < 0 ? std::optional<Type>() : graph.type(input));
  compiled->dimensions = dimensions_of(graph);
  compiled->numbers = number_values(graph).size();
  compiled->fused = optimised(with_slots(graph), numbers);
  compiled->program = backend_->compile(compiled->fused, donated);
  count_references(*compiled);
  compiled->name = program_name(graph);
  compiled->compile_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return compiled;
}

std::shared_ptr<CompiledGraph> Engine::find_compiled(const std::string& key, std::span<const double> numbers) {
  const std::lock_guard lock(mutex_);
  return programs_.find(key, numbers);
}

std::shared_ptr<CompiledGraph> Engine::compiled(const Graph& graph, std::span<const int> donated) {
  std::string key = structural_key(graph, NumberKey::none);
  for (const int index : donated) key.append(reinterpret_cast<const char*>(&index), sizeof index);
  const std::vector<double> values = number_values(graph);
  if (auto known = find_compiled(key, values)) return known;
  const std::lock_guard compilation(compiling_);
  if (auto known = find_compiled(key, values)) return known;  // another thread made it meanwhile
  NumberGuards guards;
  std::size_t variants = 0;
  {
    const std::lock_guard lock(mutex_);
    guards = programs_.next_guards(key, values);
    variants = programs_.variants(key);
  }
  std::shared_ptr<CompiledGraph> made = compile(graph, donated, guards);
  log_made(*made, variants);
  std::vector<std::shared_ptr<CompiledGraph>> evicted;  // end after the lock
  std::vector<std::string> texts;
  {
    const std::lock_guard lock(mutex_);
    made = programs_.insert(std::move(key), values, std::move(guards), std::move(made));
    evicted = programs_.evict(options_.memory_limit);
    texts = texts_of_evicted(evicted);
  }
  for (const std::string& text : texts) log_(LogLevel::info, text);
  return made;
}

std::shared_ptr<Executable> Engine::prepare(const Graph& graph, std::span<const int> donated) {
  const auto inputs = static_cast<std::int64_t>(graph.inputs().size());
  std::vector<int> indices(donated.begin(), donated.end());
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  for (const int index : indices)
    if (index < 0 || index >= inputs)
      fail(ErrorDetails{.op = "prepare",
                        .expected = fmt::format("one of {} inputs", inputs),
                        .found = fmt::format("input {}", index)},
           "prepare: input {} is donated, expected one of the graph's {} inputs", index, inputs);
  std::shared_ptr<CompiledGraph> prepared = compiled(graph, indices);
  prepared->program->prepare();
  return prepared;
}

std::shared_ptr<CompiledGraph> Engine::own(const std::shared_ptr<Executable>& executable) const {
  if (executable == nullptr) fail("run: no program was given");
  auto compiled = std::dynamic_pointer_cast<CompiledGraph>(executable);
  if (compiled == nullptr || compiled->engine != id()) fail("run: the program was prepared by another session");
  return compiled;
}

namespace {

ErrorDetails counted(std::string expected, std::string found) {
  return {.op = "run", .expected = std::move(expected), .found = std::move(found)};
}

// Where the node of the error was built, if that was recorded. A program serves every graph of its structure: the place
// is that of the graph it was compiled from.
ExecutionError with_source(const ExecutionError& error, const Graph& built) {
  ErrorDetails details = error.details();
  for (const GraphNode& node : built.nodes)
    if (node.built_at && !node.from.empty() && node.from.back().node == details.node)
      details.source = source_of(node.built_at);
  return ExecutionError(error.what(), std::move(details));
}

// By the operands' named axes. As check_operands, before it.
std::vector<std::int64_t> sizes_of(const CompiledGraph& compiled, std::span<const Operand> operands) {
  if (compiled.dimensions.empty() || operands.size() != compiled.operands.size()) return {};
  std::vector<const Type*> declared;
  std::vector<std::int64_t> brought;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    declared.push_back(compiled.operands[i] ? &*compiled.operands[i] : nullptr);
    brought.push_back(operands[i].size);
  }
  return sizes_of_run(compiled.dimensions, declared, brought, "run");
}

// Of a value in a run with these sizes.
std::int64_t bytes_of(const CompiledGraph& compiled, const Type& type, std::span<const std::int64_t> sizes) {
  if (!type.named) return type.bytes();
  return at_size(type, sizes[static_cast<std::size_t>(dimension_of(type, compiled.dimensions))]).bytes();
}

// Operands are memory that kernels read without looking: what does not fit must not get that far.
void check_operands(const CompiledGraph& compiled, std::span<const Operand> operands, const NumbersRef& numbers,
                    std::span<const std::int64_t> sizes) {
  if (const std::size_t given = numbers ? numbers->size() : 0; given != compiled.numbers)
    fail(counted(fmt::format("{} numbers", compiled.numbers), fmt::format("{} numbers", given)),
         "run: {} numbers given, expected {}", given, compiled.numbers);
  if (operands.size() != compiled.operands.size())
    fail(counted(fmt::format("{} operands", compiled.operands.size()), fmt::format("{} operands", operands.size())),
         "run: {} operands given, expected {}", operands.size(), compiled.operands.size());
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const BufferRef& buffer = operands[i].value.buffer;
    if (buffer == nullptr) fail("run: operand {} has no memory", i);
    const std::optional<Type>& type = compiled.operands[i];
    if (const std::int64_t bytes = type ? bytes_of(compiled, *type, sizes) : 0;
        buffer->size() < static_cast<std::size_t>(bytes))
      fail(counted(fmt::format("{} bytes of {}", bytes, to_string(*type)), fmt::format("{} bytes", buffer->size())),
           "run: operand {} has {} bytes, expected {} of {}", i, buffer->size(), bytes, to_string(*type));
  }
}

}  // namespace

// One run: its operands, its results, and the event that ends it. Keeps everything alive until then.
struct Engine::Run {
  std::shared_ptr<CompiledGraph> compiled;
  std::shared_ptr<RunObserver> observer;
  int stream = 0;
  std::vector<BufferRef> inputs, outputs;
  NumbersRef numbers;
  std::vector<std::int64_t> sizes;  // of CompiledGraph::dimensions
  RunLimits limits;
  AllocatorRef allocator;
  std::vector<Event> makers;  // of the runs that compute the inputs
  // Donated memory that was not ours to take is copied before the program writes to it.
  std::vector<std::pair<BufferRef, BufferRef>> copies;
  // Runs on other streams that still read memory this one writes to. They were submitted before, so that no two runs
  // wait for each other.
  std::vector<Event> readers;
  Event done;

  void execute() {
    try {
      for (const Event& maker : makers) maker.wait();
      for (const Event& reader : readers) await(reader);
      for (const auto& [from, to] : copies) std::memcpy(to->data(), from->data(), to->size());
      execute_program();
      done.signal();
    } catch (...) {
      done.fail(std::current_exception());
    }
  }

  void execute_program() {
    try {
      compiled->program->execute(inputs, outputs, numbers ? std::span(*numbers) : std::span<const double>(),
                                 observer.get(), limits.any() ? &limits : nullptr, sizes);
    } catch (const ExecutionError& error) {
      if (!records_source_locations()) throw;
      throw with_source(error, compiled->built);
    }
  }

  // Its error belongs to whoever reads its results.
  static void await(const Event& event) {
    try {
      event.wait();
    } catch (...) {
    }
  }

  void take(std::vector<Operand> operands) {
    inputs.reserve(operands.size());
    for (auto& [value, donated, size] : operands) {
      inputs.push_back(std::move(value.buffer));
      // The arrays of a state come from one run and share its event.
      if (value.ready && (makers.empty() || makers.back() != *value.ready)) makers.push_back(*std::move(value.ready));
    }
  }

  // True: the program may write to this input. False: it was not ours to take, and a copy is in its place.
  bool take_over(BufferRef& input, bool given_up) {
    if (given_up && input->owned() && std::count(inputs.begin(), inputs.end(), input) == 1) return true;
    const BufferRef copy = Buffer::allocate(input->size(), allocator);
    copies.emplace_back(input, copy);
    input = copy;
    return false;
  }

  void place_outputs() {
    const std::span<const OutputPlacement> placements = compiled->program->outputs();
    outputs.reserve(placements.size());
    for (std::size_t i = 0; i < placements.size(); ++i)
      outputs.push_back(placements[i].donated_input < 0
                            ? Buffer::allocate(static_cast<std::size_t>(result_bytes(i)), allocator)
                            : inputs[static_cast<std::size_t>(placements[i].donated_input)]);
  }

  std::int64_t result_bytes(std::size_t output) const {
    if (sizes.empty()) return compiled->program->outputs()[output].bytes;
    return bytes_of(*compiled, compiled->built.type(compiled->built.outputs[output]), sizes);
  }
};

// Those on the stream itself are through before what is submitted now begins.
std::vector<std::shared_ptr<Engine::Run>> Engine::in_flight_beside(int stream) {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Run>> runs;
  for (const std::weak_ptr<Run>& entry : in_flight_)
    if (std::shared_ptr<Run> run = entry.lock(); run && run->stream != stream) runs.push_back(std::move(run));
  return runs;
}

std::shared_ptr<Engine::Run> Engine::make_run(std::shared_ptr<CompiledGraph> compiled, std::vector<Operand> operands,
                                              NumbersRef numbers, std::vector<std::int64_t> sizes, int stream) {
  auto run = std::make_shared<Run>();
  run->compiled = std::move(compiled);
  run->numbers = std::move(numbers);
  run->sizes = std::move(sizes);
  run->stream = stream;
  run->allocator = options_.allocator;
  if (const RunLimits* limits = LimitRuns::current()) run->limits = *limits;
  {
    const std::lock_guard lock(mutex_);
    run->observer = run->compiled->observer;
    ++run->compiled->runs;
    programs_.touch(*run->compiled);
  }
  std::vector<char> given_up;
  for (const Operand& operand : operands) given_up.push_back(operand.donated);
  run->take(std::move(operands));
  const std::vector<std::shared_ptr<Run>> beside = in_flight_beside(stream);
  for (int written : run->compiled->program->written_inputs()) {
    BufferRef& input = run->inputs[static_cast<std::size_t>(written)];
    if (!run->take_over(input, given_up[static_cast<std::size_t>(written)] != 0)) continue;
    for (const std::shared_ptr<Run>& other : beside)
      if (std::count(other->inputs.begin(), other->inputs.end(), input) > 0) run->readers.push_back(other->done);
  }
  run->place_outputs();
  return run;
}

std::vector<Result> Engine::run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                                NumbersRef numbers, int stream, bool wait) {
  std::shared_ptr<CompiledGraph> compiled = own(executable);
  std::vector<std::int64_t> sizes = sizes_of(*compiled, operands);
  check_operands(*compiled, operands, numbers, sizes);
  std::shared_ptr<Run> run =
      make_run(std::move(compiled), std::move(operands), std::move(numbers), std::move(sizes), stream);
  std::vector<Result> results;
  results.reserve(run->outputs.size());
  for (const BufferRef& output : run->outputs) results.push_back({output, run->done});
  TaskQueue& tasks = queue(stream);
  if (!wait || !tasks.run_inline_if_idle([&] { run->execute(); })) {
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(in_flight_, [](const std::weak_ptr<Run>& entry) { return entry.expired(); });
      in_flight_.push_back(run);
    }
    Event done = run->done;
    try {
      tasks.submit([run = std::move(run)] { run->execute(); });
    } catch (...) {
      done.fail(std::current_exception());  // another run may have found it in flight, and wait for it
      throw;
    }
  }
  return results;
}

std::shared_ptr<RunObserver> Engine::observe(const std::shared_ptr<Executable>& executable,
                                             std::shared_ptr<RunObserver> observer) {
  const std::shared_ptr<CompiledGraph> compiled = own(executable);
  const std::lock_guard lock(mutex_);
  return std::exchange(compiled->observer, std::move(observer));
}

TaskQueue& Engine::queue(int stream) {
  const std::lock_guard lock(mutex_);
  const auto known = queues_.find(stream);
  return known != queues_.end() ? *known->second
                                : *queues_.emplace(stream, std::make_unique<TaskQueue>()).first->second;
}

void Engine::synchronize() {
  // Sessions end with this, also where there is no memory left. Queues stay as long as the engine.
  for (std::optional<int> stream;;) {
    TaskQueue* tasks = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto next = stream ? queues_.upper_bound(*stream) : queues_.begin();
      if (next == queues_.end()) return;
      stream = next->first;
      tasks = next->second.get();
    }
    tasks->wait_idle();
  }
}

void Engine::clear() {
  synchronize();
  std::vector<std::shared_ptr<CompiledGraph>> programs;
  {
    const std::lock_guard lock(mutex_);
    programs = programs_.clear();
  }
  programs.clear();
  if (cpu_) cpu_->release_memory();
}

MemoryNeeds Engine::memory_needs(std::span<const Array> arrays) {
  const std::shared_ptr<CompiledGraph> program = compiled(snapshot(arrays), {});
  MemoryNeeds needs;
  needs.intermediate_bytes = program->program->arena_bytes();
  for (const OutputPlacement& output : program->program->outputs())
    if (output.donated_input < 0) needs.result_bytes += output.bytes;
  return needs;
}

Graph Engine::plan(std::span<const Array> arrays) {
  const Graph graph = snapshot(arrays);
  return with_literals(compiled(graph, {})->program->scheduled(), number_values(graph));
}

Graph Engine::optimised(std::span<const Array> arrays) {
  const Graph graph = snapshot(arrays);
  return with_literals(compiled(graph, {})->fused, number_values(graph));
}

}  // namespace lazuli
