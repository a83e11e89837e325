// SPDX-License-Identifier: MIT
// Session: what evaluates arrays. It owns the threads, a backend, the pass pipeline and the compiled programs.
//
// Any number of threads may use one session at once, and it may be moved and destroyed on any thread and in any order
// with others. Arrays belong to no session: they may be built on one thread, evaluated on a second and read on a third,
// and outlive the session that computed them. Wrong calls throw an Error; none ends the process.
//
// fork(): a session stays with the process that made it, as threads do. In the child its calls throw an Error, as does
// waiting for a result that was not there yet; what was computed can be read, sessions can end, and new ones be made,
// unless another thread was inside lazuli at that moment. Servers fork first and make sessions afterwards.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/options.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/log.h>
#include <lazuli/graph/buffer.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/run_limits.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/pass_report.h>
#include <lazuli/passes/rules/rewrite.h>
#include <lazuli/passes/verdict.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

class Engine;
class Executor;
class RunObserver;

struct LAZULI_API SessionOptions {
  int threads = 0;              // 0: the usable cores (affinity and cgroup quota respected)
  std::string backend = "cpu";  // or "reference"
  std::string fusion = "all";   // all | none | primitive, then ,+rule and ,-rule: see FusionChoice
  Precision precision = Precision::fast;
  // Written kernels and generated code use at most this level; none: what LAZULI_ISA names, or the best of this CPU.
  std::optional<Isa> isa;
  // Kernel launches that touch fewer bytes run on one thread, besides those whose work is too little to divide anyway
  // (128 KiB and 256 Ki operations); 0: those alone.
  std::int64_t split_bytes = 0;
  // Bytes of compiled programs, by an estimate, and of constants that nothing else holds: beyond it those go that were
  // used longest ago. What a compiled function or an array holds stays, as does the program used last.
  std::int64_t memory_limit = std::int64_t{512} << 20;
  bool disk_cache = true;  // keep generated code and packed weights for later processes, unless LAZULI_CACHE=off
  bool verify = false;     // check every graph between passes
  // Rewrites of the caller's own (rewrite.h, pass.h), with names of their own: rules are tried at a root before ours,
  // passes run before the first fusion. Programs, plans, verdicts and profiles show what they did, `fusion` switches
  // them by name, and what they make is verified.
  std::vector<Rule> rules;
  std::vector<Pass> passes;
  Executor* executor = nullptr;  // run on these threads instead of own ones; outlives the session
  // Of results, intermediate values, and weights that are laid out in memory; null: the default one (buffer.h). Results
  // keep it, so that it may outlive the session.
  AllocatorRef allocator;
  // The three callbacks below never run side by side. They may use the session, on the thread they are called on, but
  // not wait for what they were called from, and are not told of the programs and weights that their own calls make.
  // They run with a lock held that others need to compile: arrays they evaluate must not be in hand on another thread
  // then, as each would wait for the other. Told of each pass that ran, with the graph it left.
  std::function<void(const PassReport&)> on_pass;
  std::function<void(Verdict)> on_verdict;               // what fusions did, and why they did not
  std::function<std::string(std::string_view)> why_off;  // for verdicts: why the fusion of this name is off
  std::function<void(const std::string& label, std::int64_t bytes)> on_weight;  // a weight was laid out for the kernels
  // Told what an operator may want to know (log.h): programs, kernels and weights that were made, with the time it
  // took; programs that had to go; a cache on disk that cannot be used, and why; a program made for any numbers because
  // they keep changing. One message at a time, on whichever thread, also beside other callbacks. It must not use the
  // session; what it throws is dropped.
  LogSink on_log;
};

struct LAZULI_API SessionStatistics {
  std::int64_t programs = 0;          // kept
  std::int64_t program_bytes = 0;     // of these, as counted for SessionOptions::memory_limit
  std::int64_t loops = 0;             // generated kernels
  std::int64_t compiled_loops = 0;    // of these, not loaded from the cache on disk
  std::int64_t arena_bytes = 0;       // shared by the intermediate values of all programs
  std::int64_t weight_bytes = 0;      // laid out for the kernels
  std::int64_t laid_out_weights = 0;  // by this session, and not found in the cache on disk
};

// A program that is kept.
struct LAZULI_API ProgramStatistics {
  std::string name;  // phase and types of its inputs in short: "decode(i32[1], f32[1,256,64], 34 more)"
  Phase phase = Phase::any;
  std::int64_t runs = 0;          // submitted
  std::int64_t bytes = 0;         // by the estimate of SessionOptions::memory_limit, without constants
  std::int64_t arena_bytes = 0;   // that a run needs; all programs share one arena
  std::int64_t weight_bytes = 0;  // of the constants it reads, each once, as they were given
  std::int64_t kernels = 0;       // launches of a run
  double compile_seconds = 0;     // passes, lowering and kernels; weights are laid out later
};

// What a run of a program takes beside its operands and constants.
struct LAZULI_API MemoryNeeds {
  std::int64_t intermediate_bytes = 0;  // in the arena, which all programs of the session share, one at a time
  std::int64_t result_bytes = 0;        // of results that take over no operand's memory
};

class LAZULI_API Session final {
 public:
  // Becomes current on this thread (current_evaluator) until it is destroyed, wherever that happens; then the one that
  // was current before, if it still lives, is again. Throws an Error for unknown names and for an instruction set the
  // host lacks.
  explicit Session(SessionOptions options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();  // waits for everything submitted

  // As the functions of these names, on this session, whichever is current.
  // `limits`, where it has any, ends the run early (run_limits.h), and counts in place of LimitRuns.
  void eval(std::span<const Array> arrays, const RunLimits& limits = {});
  void eval(std::initializer_list<Array> arrays, const RunLimits& limits = {}) {
    eval(std::span(arrays.begin(), arrays.size()), limits);
  }
  void eval(const Array& array, const RunLimits& limits = {}) { eval(std::span(&array, 1), limits); }
  void async_eval(std::span<const Array> arrays, Stream stream = {});
  void async_eval(std::initializer_list<Array> arrays, Stream stream = {}) {
    async_eval(std::span(arrays.begin(), arrays.size()), stream);
  }
  void async_eval(const Array& array, Stream stream = {}) { async_eval(std::span(&array, 1), stream); }
  // function(arguments, stream) on this session. Arguments are given up where they are moved here.
  std::vector<Array> call(const CompiledFunction& function, std::vector<Array> arguments, Stream stream = {},
                          const RunLimits& limits = {});

  // Runs a graph on arrays, which go by the index attribute of its inputs; asynchronously, as compiled functions do.
  // Throws an Error where the arrays are not of the inputs' types.
  std::vector<Array> run(const Graph& graph, std::span<const Array> arrays, Stream stream = {},
                         const RunLimits& limits = {});
  std::vector<Array> run(const Graph& graph, std::initializer_list<Array> arrays, Stream stream = {},
                         const RunLimits& limits = {}) {
    return run(graph, std::span(arrays.begin(), arrays.size()), stream, limits);
  }

  // What would run for these arrays, one node per kernel launch. No weight is laid out for it.
  Graph plan(std::span<const Array> arrays);
  Graph plan(std::initializer_list<Array> arrays) { return plan(std::span(arrays.begin(), arrays.size())); }
  // After the passes, before the backend. Likewise.
  Graph optimised(std::span<const Array> arrays);
  Graph optimised(std::initializer_list<Array> arrays) { return optimised(std::span(arrays.begin(), arrays.size())); }
  // The same of a graph that is not to run.
  Graph optimised(const Graph& built);

  // What computing these arrays would take. Compiles, and runs nothing.
  MemoryNeeds memory_needs(std::span<const Array> arrays);
  MemoryNeeds memory_needs(std::initializer_list<Array> arrays) {
    return memory_needs(std::span(arrays.begin(), arrays.size()));
  }
  // Drops the programs, but for those that compiled functions hold, the weights whose constants are gone, and the
  // memory of intermediate values. What is needed again is compiled again. Generated kernels stay, they serve all
  // sizes.
  void clear();

  // Waits for everything submitted. Does not throw: errors belong to the arrays that need the results.
  void synchronize();

  const SessionOptions& options() const;
  int threads() const;
  Isa isa() const;  // in use
  SessionStatistics statistics() const;
  // Those that are kept, the one used last first: in the opposite order they go for want of memory.
  std::vector<ProgramStatistics> programs() const;

  // What UseEvaluator takes; shares what the session owns.
  std::shared_ptr<Evaluator> evaluator() const;

  // The calls an Evaluator makes, for those who wrap one. Operands, numbers and program are checked, as above.
  std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const int> donated = {});
  std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                          NumbersRef numbers, int stream, bool wait);

  // Runs of this program that are submitted from now on are told to `observer`, until another one or null is given.
  // Returns the one it had. Programs without one pay a branch for each launch. profile() (profile.h) is made of it.
  std::shared_ptr<RunObserver> observe(const std::shared_ptr<Executable>& executable,
                                       std::shared_ptr<RunObserver> observer);

 private:
  Engine& engine_here() const;
  Engine& engine() const;  // and its threads
  void close() noexcept;

  std::shared_ptr<Engine> engine_;
  std::optional<UseEvaluator> current_;
};

// Makes a session current on this thread for the life of the object.
class LAZULI_API UseSession {
 public:
  explicit UseSession(const Session& session) : current_(session.evaluator()) {}

 private:
  UseEvaluator current_;
};

}  // namespace lazuli
