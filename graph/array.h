// SPDX-License-Identifier: MIT
// Array: the handle a program holds. An op on arrays only notes what is wanted; eval computes it.
//
// Handles are cheap to copy. Any thread may read, evaluate and build on any array, also several at once; a handle
// itself is a value like an int, not to be assigned on one thread while another reads it.
#pragma once

#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/scope.h>
#include <lazuli/graph/base/source_location.h>
#include <lazuli/graph/buffer.h>
#include <lazuli/graph/op.h>
#include <lazuli/graph/types/float16.h>

#include <atomic>
#include <concepts>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lazuli {

struct Graph;
struct Node;
struct Result;
using NodeRef = std::shared_ptr<Node>;

namespace detail {
// Integers and bool; characters are text.
template <class T>
concept IntegerNumber = std::integral<T> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                        !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;
}  // namespace detail

// What `at` takes along one axis: a range, or one position, which drops the axis. Negative positions count from the
// end. Ends of a range may be left out, and are cut to the axis where they lie outside. A negative step goes from
// begin, by default the last position, down to behind end, by default to the first: Slice{.step = -1} turns the axis
// round.
struct LAZULI_API Slice {
  std::optional<std::int64_t> begin = std::nullopt, end = std::nullopt;
  std::int64_t step = 1;
};
struct LAZULI_API Index {
  template <detail::IntegerNumber T>
  Index(T at) : position(static_cast<std::int64_t>(at)) {}  // NOLINT(google-explicit-constructor)
  Index(Slice part) : slice(part) {}                        // NOLINT(google-explicit-constructor)

  std::optional<std::int64_t> position;
  Slice slice;
};

class LAZULI_API Array {
 public:
  Array() = default;  // empty; every use of it is an error
  explicit Array(NodeRef node, int output = 0) : node_(std::move(node)), output_(output) {}

  // Scalars of a program text: `x * 2.0f`. They take the dtype of the array they meet, of which they must be a value
  // (docs/dtypes.md); alone, real numbers are f32 (f64 where that is too small) and integers
  // of their own type. They are operands and not structure:
  // another value compiles nothing, unless a pass asked for it (a power of 2 is a square). A compiled function keeps
  // the values it was traced with. Integers are exact, beyond 2^53 as two halves.
  Array(float value);   // NOLINT(google-explicit-constructor)
  Array(double value);  // NOLINT(google-explicit-constructor)
  Array(int value);     // NOLINT(google-explicit-constructor)
  template <detail::IntegerNumber T>
  Array(T value);  // NOLINT(google-explicit-constructor)

  // Copies `values`; an input of the graph, not a constant.
  template <class T>
  static Array from(std::span<const T> values, Shape shape);
  template <class T>
  static Array from(std::initializer_list<T> values, Shape shape) {
    return from(std::span<const T>(values.begin(), values.size()), std::move(shape));
  }
  template <class T>
  static Array from(const std::vector<T>& values, Shape shape) {
    return from(std::span<const T>(values), std::move(shape));
  }
  static Array from(BufferRef data, Type type);
  // Data that never changes, such as a weight: passes may fold it, backends may lay it out anew. `label` names it in
  // listings and errors.
  static Array constant(BufferRef data, Type type, std::string label = {});

  const Type& type() const;
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  int rank() const { return static_cast<int>(shape().size()); }
  std::int64_t size(int axis) const { return shape()[normalise_axis(axis, shape().size(), "size")]; }
  bool defined() const { return node_ != nullptr; }
  // True once a value is there or on its way.
  bool evaluated() const;

  // Views, to read. `x[i]` drops axis 0; `x.at({0, Slice{2, 5}})` takes one index for each axis from the first on, and
  // the axes left are whole. Throw an Error for a position outside its axis, and for more indices than axes.
  Array operator[](std::int64_t position) const;
  Array at(std::initializer_list<Index> indices) const;

  // Evaluates if need be and waits. The memory stays valid while this array, or a copy of it, lives.
  const std::byte* bytes() const;
  template <class T>
  std::span<const T> data() const;  // T must be the C++ type of the dtype; uint16_t also reads the bits of f16 and bf16
  template <class T>
  T item() const;  // the value of an array of one element, converted to T

  const NodeRef& node() const { return node_; }
  int output() const { return output_; }
  const Result& result() const;  // of an evaluated array

 private:
  NodeRef node_;
  int output_ = 0;
};

// The value of an evaluated output: its memory, and the event that says when it holds the result.
struct LAZULI_API Result {
  BufferRef buffer;
  std::optional<Event> ready;  // none: ready
};

// One per output of a node. Nodes that come from one place share theirs, so that equal types are seen at a glance.
using TypesRef = std::shared_ptr<const std::vector<Type>>;

// One op application. Immutable once built, but for the results, and for the operands, which are dropped as soon as
// the node is evaluated so that a chain of states (a KV cache) does not hold its history. Operands of a node that is
// not evaluated are read under lock_operands() alone, as another thread may be dropping them.
struct LAZULI_API Node : std::enable_shared_from_this<Node> {
  Op op = Op::input;
  TypesRef types;
  std::vector<Array> inputs;
  Attrs attrs;
  Scope::Ref scope;
  std::string label;
  const CallStack* built_at = nullptr;  // where source locations are recorded
  // A program that another thread is about to start writes into this value; under lock_operands().
  bool donated = false;

  ~Node();  // iterative: a chain of a million nodes dies without recursion

  // True once values are there or on their way: from then on `results` may be read. Constants and inputs with data are
  // born so.
  bool evaluated() const { return evaluated_.load(std::memory_order_acquire); }
  const std::vector<Result>& results() const { return results_; }  // one per output
  // Of a node that is not evaluated, one call in all; later ones change nothing.
  void publish(std::vector<Result> results);
  // Of a node of one output that no other thread can see.
  void replace_result(Result result) { results_[0] = std::move(result); }

 private:
  std::vector<Result> results_;
  std::atomic<bool> evaluated_{false};
};

// Held while operands of nodes that are not evaluated are read or dropped; a thread may take it again.
LAZULI_API std::unique_lock<std::recursive_mutex> lock_operands();

// Where the array's node was built, as source_location.h has it; "" where that was not recorded.
LAZULI_API std::string source_of(const Array& array);

// Makes a node of one or several outputs: infers types, throws at the caller's line, with the scope in the text.
LAZULI_API std::vector<Array> make_node(Op op, Attrs attrs, std::vector<Array> inputs);
LAZULI_API Array make_array(Op op, Attrs attrs, std::vector<Array> inputs);
// A placeholder: an input without data, for tracing.
LAZULI_API Array placeholder(Type type, std::string label = {});
// An input that has its value, or will have it; `types` holds its one type.
LAZULI_API Array evaluated_input(TypesRef types, Result result);

// Element type of a C++ type.
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<float16>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<bfloat16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint32_t>() {
  return DType::u32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint64_t>() {
  return DType::u64;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::bool_;
}

namespace detail {

[[noreturn]] LAZULI_API void fail_value_count(std::size_t values, const Shape& shape);
[[noreturn]] LAZULI_API void fail_element_type(const Type& type, std::string_view expected);
LAZULI_API double item_as_double(const Array& array);
// The bits of an i64 or u64, which a double does not hold beyond 2^53.
LAZULI_API std::uint64_t item_as_bits(const Array& array);
// The number of a program whose value has these bits as an i64 or a u64.
LAZULI_API Array integer_number(std::uint64_t bits, DType dtype);

// std::uint16_t also reads the bits of f16 and bf16.
template <class T>
constexpr bool is_element(DType dtype) {
  if constexpr (std::is_same_v<T, std::uint16_t>)
    return dtype == DType::u16 || dtype == DType::f16 || dtype == DType::bf16;
  else
    return dtype == dtype_of<T>();
}
template <class T>
std::string_view element_name() {
  if constexpr (std::is_same_v<T, std::uint16_t>)
    return "u16, f16 or bf16";
  else
    return to_string(dtype_of<T>());
}

}  // namespace detail

template <detail::IntegerNumber T>
Array::Array(T value) {
  if constexpr (sizeof(T) == sizeof(std::int64_t))  // long and long long alike
    *this = detail::integer_number(static_cast<std::uint64_t>(value), std::is_signed_v<T> ? DType::i64 : DType::u64);
  else
    *this = make_array(Op::scalar, ScalarAttrs{static_cast<double>(value), dtype_of<T>()}, {});
}

template <class T>
Array Array::from(std::span<const T> values, Shape shape) {
  if (static_cast<std::int64_t>(values.size()) != element_count(shape)) detail::fail_value_count(values.size(), shape);
  BufferRef buffer = Buffer::allocate(values.size_bytes());
  std::copy(values.begin(), values.end(), buffer->as<T>());
  return from(std::move(buffer), Type{dtype_of<T>(), std::move(shape)});
}

template <class T>
std::span<const T> Array::data() const {
  if (!detail::is_element<T>(dtype())) detail::fail_element_type(type(), detail::element_name<T>());
  return {reinterpret_cast<const T*>(bytes()), static_cast<std::size_t>(type().elements())};
}

template <class T>
T Array::item() const {
  if constexpr (std::is_integral_v<T>) {
    if (dtype() == DType::i64) return static_cast<T>(static_cast<std::int64_t>(detail::item_as_bits(*this)));
    if (dtype() == DType::u64) return static_cast<T>(detail::item_as_bits(*this));
  }
  return static_cast<T>(detail::item_as_double(*this));
}

}  // namespace lazuli
