// SPDX-License-Identifier: MIT
// A step is one kernel launch of a program: what it reads and writes, how its work divides, and the call itself.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/program/extent.h>
#include <lazuli/backends/cpu/program/kernel_use.h>
#include <lazuli/backends/cpu/program/view.h>
#include <lazuli/graph/graph.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lazuli::cpu {

enum class BufferKind : std::uint8_t {
  input,
  output,
  constant,
  arena,
  bound  // of a body: control flow says where it lies in each iteration
};

// Memory a program refers to by number; addresses are known when it runs.
struct BufferInfo {
  BufferKind kind = BufferKind::arena;
  int index = -1;      // of the program's input or output
  BufferRef constant;  // BufferKind::constant; null for a weight that is not laid out yet
  std::int64_t bytes = 0;
  Type type;  // for listings; a scratch buffer of u8 where it holds no array
  std::string name;
  std::size_t arena_offset = 0;  // BufferKind::arena, after planning
  int dimension = -1;            // whose size in a run its rows follow (extent.h); -1: none
  bool in_between = false;       // no value of the graph: a copy, another form, scratch
};

class Stopwatch;

// Base addresses of a program's buffers during one run. Each worker has its own: a chain moves the bases of its
// tile-local buffers.
class Memory {
 public:
  explicit Memory(std::vector<std::byte*> bases) : bases_(std::move(bases)) {}

  // Of the named dimensions; they outlive the run.
  void set_sizes(std::span<const std::int64_t> sizes) { sizes_ = sizes; }
  // How many there are in this run.
  std::int64_t now(const Extent& extent) const {
    if (extent.dimension < 0) return extent.at_bound;
    return extent.at_bound / extent.bound * sizes_[static_cast<std::size_t>(extent.dimension)];
  }

  std::byte* base(int buffer) const { return bases_[static_cast<std::size_t>(buffer)]; }
  void set_base(int buffer, std::byte* base) { bases_[static_cast<std::size_t>(buffer)] = base; }
  std::byte* at(const View& view) const { return base(view.buffer) + byte_size(view.dtype, view.offset); }
  template <class T>
  T* as(const View& view) const {
    return reinterpret_cast<T*>(at(view));
  }
  // Of a worker whose run is observed; otherwise null.
  Stopwatch* stopwatch() const { return stopwatch_; }
  void set_stopwatch(Stopwatch* stopwatch) { stopwatch_ = stopwatch; }

 private:
  std::vector<std::byte*> bases_;
  Stopwatch* stopwatch_ = nullptr;
  std::span<const std::int64_t> sizes_;
};

// How many units a step has in one run.
using UnitsNow = std::function<std::int64_t(const Memory& memory)>;

// Computes [begin, end) of what a step divides into; `worker` picks scratch memory.
using Run = std::function<void(Memory& memory, std::int64_t begin, std::int64_t end, int worker)>;

// A way to cut a step along an axis it shares with other steps, such as the rows of a prompt or the columns of a
// matmul, so that one worker can compute the same range of several steps without waiting for others (chain.h).
struct Division {
  std::int64_t extent = 0;   // positions along the axis
  std::int64_t granule = 1;  // ranges begin at multiples of it
  std::vector<int> own;      // buffers of which the positions [begin, end) touch their own part and nothing else
  Run run;                   // computes the positions [begin, end)
};

class ControlFlow;

struct Skipped {
  std::int64_t bytes = 0, operations = 0;
};

// A kernel that was joined with others into one step (chain.h), with what profiles say of it.
struct Part {
  std::string op;
  Scope::Ref scope;
  std::vector<KernelUse> kernels;
  std::vector<int> touches;  // buffers whose bytes count
  std::int64_t bytes = 0, weight_bytes = 0, operations = 0;
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
  std::function<Skipped(const Memory& memory)> skipped;  // as Step
  Extent sized;                                          // likewise
};

struct Step {
  std::int32_t node = 0;  // in the scheduled graph
  GraphNode described;    // that node, without inputs and types, which follow from reads and writes
  std::vector<KernelUse> kernels;
  std::vector<int> reads, writes;  // buffers
  std::size_t results = 0;         // so many of `writes` hold arrays; scratch memory follows
  std::int64_t bytes = 0;
  std::int64_t weight_bytes = 0, operations = 0;  // as ProgramStep says
  StepKind kind = StepKind::other;
  Arithmetic arithmetic = Arithmetic::f32;
  // Bytes and operations that the lengths of one run leave out; empty: none.
  std::function<Skipped(const Memory& memory)> skipped;
  std::vector<Part> parts;  // of a chain, in the order they run
  std::int64_t units = 1;   // worker w of n gets [units w / n, units (w + 1) / n), or what work_stealing.h gives it
  bool split = false;       // false: worker 0 computes all units
  std::int64_t units_at_once = 1;  // that share preparations: worth computing by one call
  std::int64_t grain = 0;          // units that workers take over from each other at a time; 0: shares stay as they are
  bool barrier = false;            // set by the scheduler
  Run run;
  // Instead of `run`: bodies with steps of their own (control_flow.h). What those alone touch is not among reads and
  // writes here; the step is split where one of theirs is.
  std::shared_ptr<ControlFlow> control;
  // The step divided into `extent` equal parts by rows, where it can be.
  std::function<std::optional<Division>(std::int64_t extent)> by_rows;
  std::int64_t rows = 0;  // the extent it would itself propose; 0: none
  bool moves_up = false;  // prepares an operand, for which it may run before steps that could be one chain
  // Of the named dimension that the rows of its results have; -1: none. Steps of two dimensions are in no chain.
  int dimension = -1;
  std::int64_t bound = 1;
  UnitsNow units_now;      // empty: `units`, in every run
  Extent sized;            // the rows of its named dimension, however it divides; of a chain its parts say it
  bool follows = false;    // its run asks for the sizes of dimensions itself
  bool row_major = false;  // its units go through the elements, or equal parts, of its results in their order
  // Weights that computing [begin, end) reads first, to be fetched ahead of time; empty for steps that read none.
  std::function<std::span<const std::byte>(std::int64_t begin, std::int64_t end)> first_weights;
};

}  // namespace lazuli::cpu
