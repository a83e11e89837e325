// A step is one kernel launch of a program: what it reads and writes, how its work divides, and the call itself.
#pragma once

#include <lazuli/backends/cpu/view.h>
#include <lazuli/graph/graph.h>

#include <functional>
#include <string>
#include <vector>

namespace lazuli::cpu {

enum class BufferKind : std::uint8_t { input, output, constant, arena };

// Memory a program refers to by number; addresses are known when it runs.
struct BufferInfo {
  BufferKind kind = BufferKind::arena;
  int index = -1;           // of the program's input or output
  BufferRef constant;       // BufferKind::constant
  std::int64_t bytes = 0;
  Type type;                // for listings; a scratch buffer of u8 where it holds no array
  std::string name;
  std::size_t arena_offset = 0;  // BufferKind::arena, after planning
};

// Base addresses of a program's buffers during one run.
class Memory {
 public:
  explicit Memory(std::vector<std::byte*> bases) : bases_(std::move(bases)) {}

  std::byte* base(int buffer) const { return bases_[static_cast<std::size_t>(buffer)]; }
  std::byte* at(const View& view) const { return base(view.buffer) + byte_size(view.dtype, view.offset); }
  template <class T>
  T* as(const View& view) const { return reinterpret_cast<T*>(at(view)); }

 private:
  friend class CpuProgram;
  std::vector<std::byte*> bases_;
};

struct Step {
  // Computes units [begin, end); `worker` picks scratch memory.
  using Run = std::function<void(const Memory& memory, std::int64_t begin, std::int64_t end, int worker)>;

  std::int32_t node = 0;  // in the scheduled graph
  std::string kernel;
  std::vector<int> reads, writes;  // buffers
  std::int64_t bytes = 0;
  std::int64_t units = 1;          // divided statically: worker w of n gets [units w / n, units (w + 1) / n)
  bool split = false;              // false: worker 0 computes all units
  bool barrier = false;            // set by the scheduler
  Run run;
};

}  // namespace lazuli::cpu
