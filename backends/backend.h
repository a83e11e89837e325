// SPDX-License-Identifier: MIT
// What a backend is: it compiles a finished graph into a program, and the program runs on memory handed to it.
#pragma once

#include <lazuli/backends/run_observer.h>
#include <lazuli/backends/step_kind.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/run_limits.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// Where a result of a program lives.
struct OutputPlacement {
  std::int64_t bytes = 0;
  int donated_input = -1;  // the result takes over this input's memory
};

// One of the kernels that a launch was made of by fusion.
struct StepPart {
  std::string op, scope, kernel, isa;  // as of a launch
  std::int64_t bytes = 0;              // without what stays in a cache between the parts
  std::int64_t weight_bytes = 0, operations = 0;
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
};

// One kernel launch of a program.
struct ProgramStep {
  std::int32_t node = 0;          // in Program::scheduled
  std::string kernel;             // what runs it: "linear_q8_0_avx512", "gelu_mul_1f3a"; of several, "a+b"
  std::int64_t bytes = 0;         // read and written
  bool split = false;             // over all workers, or on worker 0 alone
  bool barrier = false;           // workers meet before it
  std::int64_t arena_bytes = 0;   // of intermediate values alive while it runs
  std::int64_t weight_bytes = 0;  // of constants, among `bytes`: as their types say, however they are packed
  std::int64_t operations = 0;    // as count_operations
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
  // The instruction sets of its kernels, each once: "avx512", "amx+avx512"; "openblas" where that library chooses.
  std::string isa;
  // The kernels of a launch that holds several, in the order in which they run on each tile, such as a matmul and the
  // elementwise work behind it; what they say adds up to the launch. Empty: one kernel.
  std::vector<StepPart> parts;
};

class Program {
 public:
  virtual ~Program() = default;

  virtual std::span<const OutputPlacement> outputs() const = 0;
  // Inputs whose memory the program writes to; all of them donated.
  virtual std::span<const int> written_inputs() const { return {}; }
  // Does now what the first run would do before it begins: lays weights out. Waits for a running program to end.
  virtual void prepare() {}
  // Runs to the end on the calling thread (and the threads of the executor the backend was given). Buffers are complete
  // and stay alive during the call. `outputs[i]` is the input's own buffer where the placement says so. Throws an
  // ExecutionError that names the node. One run of one program at a time. `numbers` are the values of the graph's
  // numbers by slot; without, they are as in the run before, at first as the graph has them. With an `observer`, every
  // step is timed and told to it, and with `limits` they are looked at before every step; without, each costs a branch.
  // `sizes` are those of the graph's named dimensions, in the order of dimensions_of and each from 1 to its bound;
  // without, they are the bounds. Inputs and outputs hold that much at least.
  virtual void execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs,
                       std::span<const double> numbers = {}, RunObserver* observer = nullptr,
                       const RunLimits* limits = nullptr, std::span<const std::int64_t> sizes = {}) = 0;
  // What runs, as a graph: one node per kernel launch, views resolved. For listings and pictures. Its numbers have the
  // values it was compiled with.
  virtual const Graph& scheduled() const = 0;
  virtual std::span<const ProgramStep> steps() const = 0;
  // Bytes of the arena that intermediate values share.
  virtual std::int64_t arena_bytes() const = 0;
  // Peak and the life of every buffer in it, for people.
  virtual std::string memory_plan() const { return {}; }
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;
  // Asked by passes: can this op run on operands of these types? Composites that cannot are decomposed.
  virtual bool supports(Op op, const Attrs& attrs, std::span<const Type> operands) const = 0;
  // `donated`: the inputs, by index and ascending, that callers of the program may give up.
  virtual std::unique_ptr<Program> compile(const Graph& graph, std::span<const int> donated) = 0;
};

}  // namespace lazuli
