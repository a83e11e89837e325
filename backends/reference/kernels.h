// SPDX-License-Identifier: MIT
// What the functions of the oracle share. Private to backends/reference.
#pragma once

#include <lazuli/graph/base/error.h>
#include <lazuli/graph/graph.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lazuli {
struct RunLimits;
}

namespace lazuli::reference {

// A value of a running program: row-major memory without gaps, of any alignment. It borrows both members.
struct Tensor {
  const Type* type;
  std::byte* data;

  DType dtype() const { return type->dtype; }
  const Shape& shape() const { return type->shape; }
  std::int64_t size(std::size_t axis) const { return type->shape[axis]; }
  std::int64_t elements() const { return type->elements(); }
  std::int64_t element_bytes() const { return byte_size(type->dtype, 1); }
  std::byte* at(std::int64_t element) const { return data + element * element_bytes(); }

  // Elements by their row-major position. Real dtypes are read and written as double (writing rounds to f32, then to
  // a dtype of 16 bits), integers and bool as int64 (writing keeps the low bits). A u64 is read as the i64 of its bits:
  // where order or size count, as_stored gives it back.
  double real(std::int64_t element) const;
  void set_real(std::int64_t element, double value) const;
  std::int64_t integer(std::int64_t element) const;
  void set_integer(std::int64_t element, std::int64_t value) const;
};

// Calls visit with the integers as what they are: of u64 with unsigned ones. Sums, products and bits need no such care.
template <class Visit, class... Integers>
auto as_stored(DType dtype, Visit&& visit, Integers... values) {
  return dtype == DType::u64 ? visit(static_cast<std::uint64_t>(values)...) : visit(values...);
}

inline bool is_unsigned_integer(DType dtype) {
  return dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64;
}

// Every value of a tensor of a real or quantised dtype.
std::vector<double> real_values(const Tensor& tensor);

// One application of an op.
struct Call {
  const GraphNode& node;
  std::span<const Tensor> operands;
  std::span<const Tensor> results;

  const Tensor& operand(std::size_t position) const { return operands[position]; }
  const Tensor& result(std::size_t output = 0) const { return results[output]; }
  template <class T>
  const T& as() const {
    return node.as<T>();
  }
};

// One function per op. It throws an Error without the op's name; the interpreter adds the node. `input` and `constant`
// are never called.
#define LAZULI_OP(name, ...) void name(const Call& call);
#include <lazuli/graph/ops.def>

// Inputs and constants have their memory before the program runs; every other node is a step of the program.
inline bool is_bound(Op op) { return op == Op::input || op == Op::constant; }

// Called at the end of each step. May be empty.
using StepObserver = std::function<void()>;

// Runs the nodes of `graph` in order. Inputs go by their index attribute; outputs receive copies. Throws an
// ExecutionError that names the node.
void interpret(const Graph& graph, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
               const StepObserver& observe);

// The limits that loops of this thread look at before each iteration, while it lives; null: none.
class LimitedRun {
 public:
  explicit LimitedRun(const RunLimits* limits);
  ~LimitedRun();
  LimitedRun(const LimitedRun&) = delete;
  LimitedRun& operator=(const LimitedRun&) = delete;

 private:
  const RunLimits* before_;
};

// Of an error of this node's kernel, those of the program's error.
ErrorDetails details_of(const GraphNode& node, ErrorDetails details);

// Strides that read an array of shape `from` as if it had shape `to` (numpy broadcasting).
Dims broadcast_strides(const Shape& from, const Shape& to);

// Calls visit(position, offsets) for every index of `shape` in row-major order: `position` counts from 0, offsets[n] is
// the element that the index selects under strides[n].
template <std::size_t N, class Visit>
void for_each_index(const Shape& shape, const std::array<Dims, N>& strides, Visit&& visit) {
  const std::int64_t count = element_count(shape);
  Dims index(shape.size(), 0);
  std::array<std::int64_t, N> offsets{};
  for (std::int64_t position = 0; position < count; ++position) {
    visit(position, offsets);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      for (std::size_t n = 0; n < N; ++n) offsets[n] += strides[n][axis];
      if (++index[axis] < shape[axis]) break;
      for (std::size_t n = 0; n < N; ++n) offsets[n] -= strides[n][axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// A shape seen as [outer, size, inner] around one axis.
struct AroundAxis {
  std::int64_t outer = 1, size, inner = 1;

  AroundAxis(const Shape& shape, std::int64_t axis);
  std::int64_t element(std::int64_t o, std::int64_t position, std::int64_t i) const {
    return (o * size + position) * inner + i;
  }
};

// Throws unless 0 <= index < size. `position` is where the index stands among the indices.
void check_index(std::int64_t index, std::int64_t position, std::int64_t size);

}  // namespace lazuli::reference
