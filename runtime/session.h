// SPDX-License-Identifier: MIT
// Session: what evaluates arrays. It owns the threads, a backend, the pass pipeline and the compiled programs.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/options.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/pass_report.h>
#include <lazuli/passes/verdict.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace lazuli {

class Backend;
class CpuBackend;
class Executor;
class FoldCache;
class RunObserver;
class TaskQueue;
struct CompiledGraph;

struct LAZULI_API SessionOptions {
  int threads = 0;              // 0: the usable cores (affinity and cgroup quota respected)
  std::string backend = "cpu";  // or "reference"
  std::string fusion = "all";   // all | none | primitive, then ,+rule and ,-rule
  Precision precision = Precision::fast;
  // Written kernels and generated code use at most this level; none: what LAZULI_ISA names, or the best of this CPU.
  std::optional<Isa> isa;
  // Kernel launches that touch fewer bytes run on one thread, besides those whose work is too little to divide anyway
  // (128 KiB and 256 Ki operations); 0: those alone.
  std::int64_t split_bytes = 0;
  bool disk_cache = true;        // keep generated code and packed weights for later processes, unless LAZULI_CACHE=off
  bool verify = false;           // check every graph between passes
  Executor* executor = nullptr;  // run on these threads instead of own ones; outlives the session
  // Told of each pass that ran, with the graph it left.
  std::function<void(const PassReport&)> on_pass;
  std::function<void(Verdict)> on_verdict;               // what fusions did, and why they did not
  std::function<std::string(std::string_view)> why_off;  // for verdicts: why the fusion of this name is off
  std::function<void(const std::string& label, std::int64_t bytes)> on_weight;  // a weight was laid out for the kernels
};

struct LAZULI_API SessionStatistics {
  std::int64_t programs = 0;          // compiled
  std::int64_t loops = 0;             // generated kernels
  std::int64_t compiled_loops = 0;    // of these, not loaded from the cache on disk
  std::int64_t arena_bytes = 0;       // shared by the intermediate values of all programs
  std::int64_t weight_bytes = 0;      // laid out for the kernels
  std::int64_t laid_out_weights = 0;  // by this session, and not found in the cache on disk
};

class LAZULI_API Session final : public Evaluator {
 public:
  // Becomes the evaluator of this thread until it is destroyed. Throws an Error for unknown names and for an
  // instruction set the host lacks.
  explicit Session(SessionOptions options = {});
  ~Session() override;

  void eval(const Array& array) { lazuli::eval({array}); }
  // What would run for these arrays, one node per kernel launch. No weight is laid out for it.
  Graph plan(std::span<const Array> arrays);
  Graph plan(std::initializer_list<Array> arrays) { return plan(std::span(arrays.begin(), arrays.size())); }
  // After the passes, before the backend. Likewise.
  Graph optimised(std::span<const Array> arrays);
  // The same of a graph that is not to run.
  Graph optimised(const Graph& built);

  // Waits for everything submitted. Does not throw: errors belong to the arrays that need the results.
  void synchronize();

  const SessionOptions& options() const { return options_; }
  int threads() const;
  Isa isa() const { return isa_; }  // in use
  SessionStatistics statistics() const;

  // Evaluator
  std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const bool> donated) override;
  std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands, int stream,
                          bool wait) override;

  // Runs of this program that are submitted from now on are told to `observer`, until another one or null is given.
  // Returns the one it had. Programs without one pay a branch for each launch. profile() (profile.h) is made of it.
  std::shared_ptr<RunObserver> observe(const std::shared_ptr<Executable>& executable,
                                       std::shared_ptr<RunObserver> observer);

 private:
  struct Run;

  std::shared_ptr<CompiledGraph> compile(const Graph& graph, std::span<const bool> donated);
  // The same, made once; its weights are laid out when it is prepared for a run.
  std::shared_ptr<CompiledGraph> compiled(const Graph& graph, std::span<const bool> donated);
  std::shared_ptr<CompiledGraph> compiled(std::span<const Array> arrays);
  std::vector<BufferRef> evaluate_constants(const Graph& graph);
  std::vector<std::shared_ptr<Run>> in_flight_beside(int stream);
  std::shared_ptr<Run> make_run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                                int stream);
  TaskQueue& queue(int stream);

  SessionOptions options_;
  FusionChoice fusion_;
  Isa isa_;
  std::unique_ptr<Executor> own_executor_;
  Executor* executor_ = nullptr;
  std::unique_ptr<Backend> backend_;
  CpuBackend* cpu_ = nullptr;  // backend_, where it is the cpu backend
  std::shared_ptr<FoldCache> folded_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<CompiledGraph>> programs_;
  std::map<int, std::unique_ptr<TaskQueue>> queues_;
  std::vector<std::weak_ptr<Run>> in_flight_;
  UseEvaluator current_;
};

}  // namespace lazuli
