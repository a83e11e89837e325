// SPDX-License-Identifier: MIT
// Generated kernels: one loop nest over rows and columns that computes a body of elementwise ops, broadcasts and
// last-axis reductions in one pass per reduction stage. Every elementwise and reduction op of the list runs through
// here, alone (a body of one op) or fused.
//
// A body is a Graph of elementwise ops, last-axis reductions with keep_dims, scalars and broadcast_to. Elementwise
// composites in it are compiled as their definitions (decompose.cc). Each of its values is either *full* (its last size
// is the number of columns) or *narrow* (its last size is 1, or it has rank 0: one value per row). Sizes are not part
// of a kernel; they come as arguments, so that one kernel serves every batch size. Rows broadcast through zero strides.
//
// Same bits everywhere: values of 16-bit types are kept as f32 and rounded after each op of that type; nothing is
// contracted or reassociated; reductions run in 16 lanes, of f32 or f64 or integers (lane l takes columns l, l + 16,
// ...) and end in the tree 16 > 8 > 4 > 2 > 1, long sums block by block (sum_block); numbers are exact, whether they
// are literals in the code or come with a run. Fused and unfused therefore agree bit for bit, as do instruction sets.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/log.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/types/scalar_value.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::cpu {

// How an operand moves along the columns. Outputs are contiguous, strided, or broadcast (narrow: written once a row).
enum class ColumnAccess : std::uint8_t { contiguous, broadcast, strided };

inline constexpr int loop_outer_dims = 3;

// Sums of real numbers over more columns than a single sum takes go by blocks: the lanes of a block begin anew and are
// added to totals of f64 when it ends; columns that fill no whole lane vector belong to the block before them. A lane
// then adds up 64 elements at most before it is rounded no more, which keeps the relative error of a sum of any length
// below 1e-6. What is no longer is the tree of its lanes alone.
inline constexpr std::int64_t longest_single_sum = 1024, sum_block = 512;
inline bool sums_in_blocks(Op reduction, DType dtype) {
  return is_real(dtype) && (reduction == Op::sum || reduction == Op::mean);
}

struct LoopOperand {
  void* base = nullptr;
  std::int64_t outer_strides[loop_outer_dims] = {};  // in elements, outermost first
  std::int64_t column_stride = 0;                    // in elements; read for ColumnAccess::strided only
  std::int64_t prefetch_distance =
      0;  // in bytes: where, seen from what is read or written, work goes on a little later
};

// Inputs of the body in order, then its outputs. An output may lie in the memory of an input that has the same type,
// strides and column access, and that nothing else overlaps: full outputs are written in the last pass over the columns
// that reads any, element by element after it was read; narrow outputs at the end of their row.
struct LoopArguments {
  std::int64_t columns = 0;  // at least 1
  // Rows are counted over all of them: row r has the indices (r / (s1 s2), r / s2 mod s1, r mod s2).
  std::int64_t outer_sizes[loop_outer_dims] = {1, 1, 1};
  const LoopOperand* operands = nullptr;
  const std::uint64_t* numbers = nullptr;  // of loop_numbers, each by loop_number
};

// Computes rows [row_begin, row_end).
using LoopFunction = void (*)(const LoopArguments* arguments, std::int64_t row_begin, std::int64_t row_end);

struct LoopKernel {
  // The symbol, "gelu_mul_1f3a": gdb sees it; perf too (perf inject -j) where the environment variable JITDUMPDIR is
  // set.
  std::string name;
  Isa isa = Isa::scalar;
  LoopFunction function = nullptr;
};

// A number that a run brings: bodies that differ in its value, or in the slot it comes from, share a kernel.
inline std::uint64_t loop_number(double value, DType dtype) {
  std::uint64_t number = 0;
  store_scalar(value, dtype, reinterpret_cast<std::byte*>(&number));
  return number;
}
// The scalars of the body that have a slot, in the order in which its kernel takes them.
std::vector<ScalarAttrs> loop_numbers(const Graph& body);

class LoopCompiler {
 public:
  // Nothing is taken from the host beyond the level; of levels above avx512, loops have no use.
  // `cache_folder`: where machine code is kept for later processes (disk_cache.h); empty: nowhere.
  explicit LoopCompiler(Isa isa, const std::string& cache_folder = {}, LogSink log = {});
  ~LoopCompiler();

  // Compiles (some milliseconds), loads what a process of the same build compiled, or returns the kernel made before
  // for the same body (structure, dtypes, full or narrow) and access. `access` has one entry per body input, then one
  // per body output. Thread-safe. Kernels live as long as the compiler. Throws a CompileError naming the op when a body
  // holds something it cannot compile.
  const LoopKernel& compile(const Graph& body, std::span<const ColumnAccess> access, std::string_view name);

  // Whether an op with these types can stand in a body.
  static bool can_contain(Op op, const Attrs& attrs, std::span<const Type> operands, const Type& result);

  std::int64_t kernels() const;   // made so far
  std::int64_t compiled() const;  // of these, not found on disk

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lazuli::cpu
