// SPDX-License-Identifier: MIT
// What stands behind a Session, shared by it and by the calls that run on it: threads, a backend, the compiled programs
// and the queues of work. Any number of threads may call any member at once.
#pragma once

#include <lazuli/graph/evaluator.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/program_cache.h>
#include <lazuli/runtime/session.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

class Backend;
class CpuBackend;
class Executor;
class FoldCache;
class TaskQueue;

class Engine final : public Evaluator {
 public:
  explicit Engine(SessionOptions options);
  ~Engine() override;  // runs what was submitted

  // Evaluator. `run` throws an Error for operands that are not what the program was compiled for, and for programs of
  // other engines.
  std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const int> donated) override;
  std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                          NumbersRef numbers, int stream, bool wait) override;

  // As Session's.
  Graph plan(std::span<const Array> arrays);
  Graph optimised(std::span<const Array> arrays);
  Graph optimised(const Graph& built);
  void synchronize();
  void clear();
  MemoryNeeds memory_needs(std::span<const Array> arrays);
  const SessionOptions& options() const { return options_; }
  int threads() const;
  Isa isa() const { return isa_; }
  SessionStatistics statistics() const;
  std::vector<ProgramStatistics> programs() const;
  std::shared_ptr<RunObserver> observe(const std::shared_ptr<Executable>& executable,
                                       std::shared_ptr<RunObserver> observer);

 private:
  struct Run;

  void log_made(const CompiledGraph& made, std::size_t variants_before) const;
  // With mutex_ held; to be logged without it. None where nothing is logged.
  std::vector<std::string> texts_of_evicted(std::span<const std::shared_ptr<CompiledGraph>> evicted) const;
  std::shared_ptr<CompiledGraph> compile(const Graph& graph, std::span<const int> donated, NumberGuards& numbers);
  Graph optimised(const Graph& graph, NumberGuards& numbers);
  // The same, made once; its weights are laid out when it is prepared for a run.
  std::shared_ptr<CompiledGraph> compiled(const Graph& graph, std::span<const int> donated);
  std::shared_ptr<CompiledGraph> find_compiled(const std::string& key, std::span<const double> numbers);
  // The program, if this engine made it.
  std::shared_ptr<CompiledGraph> own(const std::shared_ptr<Executable>& executable) const;
  std::vector<BufferRef> evaluate_constants(const Graph& graph);
  std::vector<std::shared_ptr<Run>> in_flight_beside(int stream);
  std::shared_ptr<Run> make_run(std::shared_ptr<CompiledGraph> compiled, std::vector<Operand> operands,
                                NumbersRef numbers, std::vector<std::int64_t> sizes, int stream);
  TaskQueue& queue(int stream);

  const SessionOptions options_;
  const SessionOptions quiet_options_;  // with callbacks that may evaluate arrays
  const FusionChoice fusion_;
  const Isa isa_;
  const LogSink log_;  // on_log, one message at a time
  const std::vector<Pass> pipeline_;
  std::unique_ptr<Executor> own_executor_;
  Executor* executor_ = nullptr;
  std::unique_ptr<Backend> backend_;
  CpuBackend* cpu_ = nullptr;  // backend_, where it is the cpu backend
  std::shared_ptr<FoldCache> folded_;
  // Held while a program is made: each is made once, and the callbacks of the options never run side by side. They may
  // evaluate arrays themselves.
  std::recursive_mutex compiling_;
  mutable std::mutex mutex_;
  ProgramCache programs_;
  std::map<int, std::unique_ptr<TaskQueue>> queues_;
  std::vector<std::weak_ptr<Run>> in_flight_;
};

}  // namespace lazuli
