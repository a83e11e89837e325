// SPDX-License-Identifier: MIT
#include <lazuli/graph/array.h>
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/node_record.h>
#include <lazuli/graph/types/scalar_value.h>
#include <pthread.h>

#include <cstring>
#include <utility>

namespace lazuli {
namespace {

TypesRef share_types(std::vector<Type> types) { return std::make_shared<const std::vector<Type>>(std::move(types)); }

NodeRef leaf_node(Op op, Attrs attrs, TypesRef types, std::string label) {
  auto node = std::make_shared<Node>();
  node->op = op;
  node->attrs = std::move(attrs);
  node->types = std::move(types);
  node->label = std::move(label);
  node->scope = Scope::current();
  node->built_at = current_call_stack();
  return node;
}

// A row that ends within a block has no bytes of its own, and kernels would read those of the next.
void check_blocks(Op op, const Type& type, const std::string& label) {
  const int block = info(type.dtype).block_elements;
  if (block == 1 || (!type.shape.empty() && type.shape.back() % block == 0)) return;
  std::string expected = fmt::format("a last axis of whole blocks of {}", block);
  fail(
      built_here(
          {.kind = ErrorKind::shape, .op = std::string(to_string(op)), .expected = expected, .found = to_string(type)}),
      "{}{}: the type is {}, expected {}{}", to_string(op), label.empty() ? "" : " " + label, to_string(type), expected,
      Scope::where(Scope::current()));
}

Array with_data(Op op, Attrs attrs, BufferRef data, Type type, std::string label) {
  check_blocks(op, type, label);
  if (data->size() < static_cast<std::size_t>(type.bytes()))
    fail("{}{}: {} bytes do not hold {}, expected {}", to_string(op), label.empty() ? "" : " " + label, data->size(),
         to_string(type), type.bytes());
  NodeRef node = leaf_node(op, std::move(attrs), share_types({std::move(type)}), std::move(label));
  node->publish({Result{std::move(data), std::nullopt}});
  return Array(std::move(node));
}

// Where the caller's mode takes denormals for zero, the conversion would. Volatile: it must not move out of the mode.
double exactly(float value) {
  const DefaultFloatingPointMode mode;
  const volatile float stored = value;
  const volatile double exact = static_cast<double>(stored);
  return exact;
}

}  // namespace

Array::Array(float value) : Array(make_array(Op::scalar, ScalarAttrs{exactly(value), DType::f32}, {})) {}
Array::Array(double value)
    : Array(make_array(Op::scalar, ScalarAttrs{value, is_value_of(value, DType::f32) ? DType::f32 : DType::f64}, {})) {}
Array::Array(int value) : Array(make_array(Op::scalar, ScalarAttrs{static_cast<double>(value), DType::i32}, {})) {}

// A run's numbers are doubles. What they cannot hold is spelled out, (high << 32) | low, so that a new value compiles
// nothing either; wide_number (ops.cc) reads it back.
Array detail::integer_number(std::uint64_t bits, DType dtype) {
  const bool is_signed = dtype == DType::i64;
  const double nearest = is_signed ? static_cast<double>(static_cast<std::int64_t>(bits)) : static_cast<double>(bits);
  const auto scalar = [dtype](double value) { return make_array(Op::scalar, ScalarAttrs{value, dtype}, {}); };
  std::uint64_t stored = 0;
  store_scalar(nearest, dtype, reinterpret_cast<std::byte*>(&stored));
  if (stored == bits && is_value_of(nearest, dtype)) return scalar(nearest);
  const double high =
      is_signed ? static_cast<double>(static_cast<std::int64_t>(bits) >> 32) : static_cast<double>(bits >> 32);
  const Array shifted = make_array(Op::left_shift, NoAttrs{}, {scalar(high), scalar(32)});
  return make_array(Op::bitwise_or, NoAttrs{}, {shifted, scalar(static_cast<double>(bits & 0xffffffffu))});
}

void detail::fail_value_count(std::size_t values, const Shape& shape) {
  fail(ErrorDetails{.kind = ErrorKind::shape,
                    .op = "from",
                    .expected = fmt::format("{} values", element_count(shape)),
                    .found = fmt::format("{} values", values)},
       "from: {} values do not fill the shape {}", values, to_string(shape));
}

void detail::fail_element_type(const Type& type, std::string_view expected) {
  fail(
      ErrorDetails{.kind = ErrorKind::dtype, .op = "data", .expected = std::string(expected), .found = to_string(type)},
      "data: the array is {}, expected {}", to_string(type), expected);
}

Array Array::from(BufferRef data, Type type) {
  // No program may write into memory that others see too.
  if (data.use_count() > 1) data->share();
  return with_data(Op::input, InputAttrs{}, std::move(data), std::move(type), {});
}

Array Array::constant(BufferRef data, Type type, std::string label) {
  return with_data(Op::constant, NoAttrs{}, std::move(data), std::move(type), std::move(label));
}

Array placeholder(Type type, std::string label) {
  check_blocks(Op::input, type, label);
  return Array(leaf_node(Op::input, InputAttrs{}, share_types({std::move(type)}), std::move(label)));
}

Array evaluated_input(TypesRef types, Result result) {
  NodeRef node = leaf_node(Op::input, InputAttrs{}, std::move(types), {});
  node->publish({std::move(result)});
  return Array(std::move(node));
}

const Type& Array::type() const {
  if (!node_) fail("an empty array was used");
  return (*node_->types)[static_cast<std::size_t>(output_)];
}

std::string source_of(const Array& array) {
  return array.defined() ? source_of(array.node()->built_at) : std::string();
}

bool Array::evaluated() const { return node_ && node_->evaluated(); }

const Result& Array::result() const { return node_->results()[static_cast<std::size_t>(output_)]; }

const std::byte* Array::bytes() const {
  if (!evaluated()) eval({*this});
  wait(*this);
  return result().buffer->data();
}

std::vector<Array> make_node(Op op, Attrs attrs, std::vector<Array> inputs) {
  std::vector<Type> operands;
  operands.reserve(inputs.size());
  for (const Array& input : inputs) operands.push_back(input.type());
  auto node = std::make_shared<Node>();
  node->scope = Scope::current();
  try {
    node->types = share_types(infer_types(op, attrs, operands));
  } catch (const InternalError&) {
    throw;
  } catch (const Error& error) {
    ErrorDetails details = built_here(error.details());
    if (details.op.empty()) details.op = to_string(op);
    throw Error(error.what() + Scope::where(node->scope), std::move(details));
  }
  node->built_at = current_call_stack();
  node->op = op;
  node->attrs = std::move(attrs);
  node->inputs = std::move(inputs);
  NodeRecord::add(*node);
  std::vector<Array> outputs;
  for (std::size_t i = 0; i < node->types->size(); ++i) outputs.emplace_back(node, static_cast<int>(i));
  return outputs;
}

Array make_array(Op op, Attrs attrs, std::vector<Array> inputs) {
  return make_node(op, std::move(attrs), std::move(inputs))[0];
}

namespace {

// Drops a handle, and where it was the last one those of the node's operands, without recursion. Nothing is allocated,
// as nodes must be able to die where memory has run out: the way back from an operand to the node it was taken from
// stands where the operand stood, behind those that are left.
void drop(NodeRef node) {
  NodeRef way_back;
  for (;;) {
    if (node && node.use_count() == 1 && !node->inputs.empty()) {
      NodeRef operand = node->inputs.back().node();
      node->inputs.pop_back();
      node->inputs.emplace_back(std::move(way_back));
      way_back = std::exchange(node, std::move(operand));
      continue;
    }
    node = std::move(way_back);
    if (!node) return;
    way_back = node->inputs.back().node();
    node->inputs.pop_back();
  }
}

// Held while a process forks, so that no thread that is missing in the child has it there. It belongs to the thread
// that forked by a number which that thread does not have in the child: there it is made anew.
std::recursive_mutex* operands_mutex = nullptr;

std::recursive_mutex* make_operands_mutex() {
  operands_mutex = new std::recursive_mutex;  // never ends: arrays of static storage may end after it would
  pthread_atfork([] { operands_mutex->lock(); }, [] { operands_mutex->unlock(); },
                 [] { new (operands_mutex) std::recursive_mutex; });
  return operands_mutex;
}

}  // namespace

std::unique_lock<std::recursive_mutex> lock_operands() {
  static std::recursive_mutex& mutex = *make_operands_mutex();
  return std::unique_lock(mutex);
}

void Node::publish(std::vector<Result> results) {
  if (evaluated()) return;
  results_ = std::move(results);
  evaluated_.store(true, std::memory_order_release);
}

Node::~Node() {
  for (Array& input : inputs) {
    NodeRef node = input.node();
    input = Array();
    drop(std::move(node));
  }
}

namespace {

const std::byte* single_element(const Array& array) {
  if (array.type().elements() != 1)
    fail(
        ErrorDetails{
            .kind = ErrorKind::shape, .op = "item", .expected = "one element", .found = to_string(array.type())},
        "item: the array is {}, expected one element", to_string(array.type()));
  return array.bytes();
}

}  // namespace

double detail::item_as_double(const Array& array) {
  const std::byte* element = single_element(array);
  return load_scalar(array.dtype(), element);
}

std::uint64_t detail::item_as_bits(const Array& array) {
  std::uint64_t bits;
  std::memcpy(&bits, single_element(array), sizeof bits);
  return bits;
}

}  // namespace lazuli
