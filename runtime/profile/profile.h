// SPDX-License-Identifier: MIT
// What one step of a program costs: one warm run with every kernel launch timed, and what follows from it.
//
//   lazuli::Profile p = lazuli::profile(session, [&] { wait(function(arguments)[0]); });
//   std::cout << to_text(p);
//
// A step is whatever its caller does for it, such as making arguments, calling a compiled function, and reading a
// token. Times are in microseconds, rates in 10^9 a second.
#pragma once

#include <lazuli/backends/run_observer.h>
#include <lazuli/backends/step_kind.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/runtime/profile/host_limits.h>
#include <lazuli/runtime/session.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

struct CompiledGraph;

// Where a step's time goes, as its caller sees it; the parts do not overlap.
struct LAZULI_API StepPipeline {
  double build_us = 0;   // making arguments, or the graph
  double lookup_us = 0;  // finding the program
  double launch_us = 0;  // allocating results and handing over, until thread 0 begins
  double run_us = 0;     // thread 0 computes
  double wait_us = 0;    // thread 0 waits for other threads
  double sample_us = 0;  // the results are there: waking the caller, reading or choosing a token

  double total_us() const { return build_us + lookup_us + launch_us + run_us + wait_us + sample_us; }
};

// One of the kernels that fusion made a launch of, measured tile by tile on every thread: reading the clock between
// them is part of what observing costs.
struct LAZULI_API ProfiledPart {
  std::string op, scope, kernel, isa;
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
  double us = 0;       // over all threads
  double wall_us = 0;  // on the launch's slowest thread
  double bytes = 0;    // without what stays in a cache between the parts
  double weight_bytes = 0;
  double operations = 0;
};

// One kernel launch.
struct LAZULI_API ProfiledNode {
  int step = 0;         // in Program::steps
  std::int32_t id = 0;  // in Program::scheduled
  std::string op, scope;
  std::string kernel, isa;  // "linear_q8_0_avx512", "avx512"
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
  bool split = false;  // over all threads; otherwise thread 0 alone
  double us = 0;       // over all threads
  double wall_us = 0;  // of the slowest thread
  double bytes = 0;    // read and written in this run; caches as far as they are filled
  double weight_bytes = 0;
  double operations = 0;  // count_operations, as far as lengths go
  // In the order in which they run on each tile; times, bytes and operations add up to the launch's. Empty for a single
  // kernel, and where the record does not say how long each took.
  std::vector<ProfiledPart> parts;

  double gbps() const { return wall_us > 0 ? bytes / wall_us * 1e-3 : 0; }
  double gflops() const { return wall_us > 0 ? operations / wall_us * 1e-3 : 0; }
};

// What a thread does between two moments of the run.
enum class LAZULI_API ThreadState : std::uint8_t {
  computes,
  launch,   // not started yet
  barrier,  // waits for others that compute their part of a split step, or for the news that they are through
  idle,     // has nothing to do: thread 0 runs a step that is not split, or there is no step left
};

struct LAZULI_API ProfiledSpan {
  ThreadState state = ThreadState::computes;
  int node = -1;  // in Profile::nodes, of a thread that computes
  int thread = 0;
  double begin_us = 0, us = 0;  // from the begin of the run
};

// How much longer steps take while they are observed: the median of paired steps, with a 95 % confidence interval.
struct LAZULI_API ProfileOverhead {
  double share = 0, low = 0, high = 0;  // 0.01: 1 %
  int pairs = 0;
};

struct LAZULI_API Profile {
  std::shared_ptr<const CompiledGraph> compiled;
  StepPipeline pipeline;
  int threads = 1;
  double wall_us = 0;                // of the run: its spans fill wall_us on every thread
  std::vector<ProfiledNode> nodes;   // in the order they run
  std::vector<ProfiledSpan> spans;   // by begin
  std::optional<HostLimits> limits;  // as ProfileOptions
  std::optional<ProfileOverhead> overhead;
  // So often the system took a core away from a thread of this process during the step: it then shows up as waiting.
  std::int64_t preemptions = 0;
  std::vector<std::pair<std::string, std::string>> labels;

  const Graph& scheduled() const;
  // Over all threads, indexed by scheduled node.
  std::vector<double> node_us() const;
  std::vector<double> node_bytes() const;
  // Over all threads.
  double thread_us(ThreadState state) const;
  // Parts of launches each by their own kind.
  double thread_us(StepKind kind) const;
  double weight_bytes() const;
  int barriers() const;
  // Reading the weights once at limits->read_gbps; 0 without limits.
  double floor_us() const;
  // The matmuls, by the slowest threads of their launches, one after the other; without what is fused into those.
  double matmul_us() const;
  // Of what this host can do at most, by memory or by arithmetic, whichever is nearer; 0 without limits. Above 1 where
  // operands come from a cache.
  double limit_share(const ProfiledNode& node) const;
};

struct LAZULI_API ProfileOptions {
  int warmup = 3;  // steps before the one that is kept
  // Steps with and without observer run by turns for so long, to tell what observing costs; 0: not at all.
  double overhead_seconds = 0;
  std::optional<HostLimits> limits;  // what the figures are compared with; none: limits_of_host
  // Without limits no step is called bound by memory or by arithmetic. They take about a second, once a process.
  bool measure_limits = true;
  std::vector<std::pair<std::string, std::string>> labels;  // shown above them: {"model", "gemma-3-270m"}
  RunRecorder::Clock clock;                                 // empty: the steady clock
};

// Calls `step` to warm up, and then keeps one call of it: of several that were timed, the fastest, since what else the
// host does only slows steps down. Every call does the same work on this thread, evaluates through the current session
// alone, and runs one program; it should wait for the result. Programs keep the observers they had. Throws an Error
// when a step runs no program or several.
LAZULI_API Profile profile(Session& session, const std::function<void()>& step, const ProfileOptions& options = {});

// What a record says of a program; the pipeline holds run_us and wait_us alone. For those who attach a RunRecorder of
// their own.
LAZULI_API Profile make_profile(std::shared_ptr<const CompiledGraph> compiled, const RunRecord& record);

// Time by op of the scheduled graph, the longest first.
struct LAZULI_API OpTime {
  std::string op;
  int launches = 0;  // of a part: how often it stands in them
  StepKind kind = StepKind::other;
  double us = 0;       // over all threads
  double wall_us = 0;  // of the slowest threads
  double bytes = 0, operations = 0;
  std::vector<OpTime> parts;  // of all these launches, by op, the longest first; empty for single kernels
};
LAZULI_API std::vector<OpTime> times_by_op(const Profile& profile);

// Time over all threads by layer, in the order of the layers: "layers.3", and what stands in none under its outermost
// scope. Parts of launches count where they stand, each by its own kind.
struct LAZULI_API LayerTime {
  std::string layer;
  double matmul_us = 0, attention_us = 0, other_us = 0;

  double us() const { return matmul_us + attention_us + other_us; }
};
LAZULI_API std::vector<LayerTime> times_by_layer(const Profile& profile);

// How often each op stands in the graph as it was built, after the passes, and as it runs; leaves left out. The most
// frequent first.
struct LAZULI_API OpCount {
  std::string op;
  int built = 0, fused = 0, scheduled = 0;
};
LAZULI_API std::vector<OpCount> op_histogram(const CompiledGraph& compiled);

// For people, at most 120 columns; `most` hot nodes.
LAZULI_API std::string to_text(const Profile& profile, std::size_t most = 15);
// {"phase", "wall_us", "threads", "nodes": [{"id", "op", "scope", "kernel", "thread", "us", "bytes"}], "pipeline":
// {"build_us", "lookup_us", "run_us", "sample_us", "wait_us"}, "floor_us", ...}. A node that runs on several threads
// has one entry each; waiting is an entry with op "wait" and id -1. The entries of one thread fill wall_us.
LAZULI_API std::string to_json(const Profile& profile);
// One page that needs nothing else: plots, a timeline of the threads, tables.
LAZULI_API std::string to_html(const Profile& profile);

}  // namespace lazuli
