// SPDX-License-Identifier: MIT
// Generated kernels against scalar C++, at every instruction set this host has.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <thread>

namespace lazuli::cpu {
namespace {

constexpr auto contiguous = ColumnAccess::contiguous;
constexpr auto broadcast = ColumnAccess::broadcast;
constexpr auto strided = ColumnAccess::strided;

// Narrowest first.
const std::vector<Isa>& instruction_sets() {
  static const std::vector<Isa> sets = [] {
    std::vector<Isa> found;
    for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512})
      if (supported(isa)) found.push_back(isa);
    return found;
  }();
  return sets;
}

LoopCompiler& compiler(std::size_t set) {
  static std::vector<std::unique_ptr<LoopCompiler>> compilers = [] {
    std::vector<std::unique_ptr<LoopCompiler>> made;
    for (const Isa isa : instruction_sets()) made.push_back(std::make_unique<LoopCompiler>(isa));
    return made;
  }();
  return *compilers[set];
}

// A dense [rows, columns] operand or result. Elements are read as f32 or as i64, whichever holds the type.
struct Matrix {
  DType dtype = DType::f32;
  std::int64_t rows = 0, columns = 0;
  std::vector<std::uint8_t> bytes;

  Matrix() = default;
  Matrix(DType type, std::int64_t r, std::int64_t c)
      : dtype(type), rows(r), columns(c), bytes(static_cast<std::size_t>(byte_size(type, r * c))) {}
  std::int64_t size() const { return rows * columns; }
  template <class T>
  T raw(std::int64_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
    return value;
  }
  template <class T>
  void set_raw(std::int64_t i, T value) {
    std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof(T), &value, sizeof(T));
  }

  float real(std::int64_t i) const {
    if (dtype == DType::f32) return raw<float>(i);
    return dtype == DType::f16 ? f16_to_f32(raw<std::uint16_t>(i)) : bf16_to_f32(raw<std::uint16_t>(i));
  }
  void set_real(std::int64_t i, float value) {
    if (dtype == DType::f32) return set_raw(i, value);
    set_raw(i, dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value));
  }
  std::int64_t integer(std::int64_t i) const {
    switch (dtype) {
      case DType::i8:
        return raw<std::int8_t>(i);
      case DType::i16:
        return raw<std::int16_t>(i);
      case DType::u16:
        return raw<std::uint16_t>(i);
      case DType::i32:
        return raw<std::int32_t>(i);
      case DType::u32:
        return raw<std::uint32_t>(i);
      case DType::i64:
        return raw<std::int64_t>(i);
      default:
        return raw<std::uint8_t>(i);
    }
  }
  void set_integer(std::int64_t i, std::int64_t value) {
    switch (info(dtype).block_bytes) {
      case 1:
        return set_raw(i, static_cast<std::uint8_t>(value));
      case 2:
        return set_raw(i, static_cast<std::uint16_t>(value));
      case 4:
        return set_raw(i, static_cast<std::uint32_t>(value));
      default:
        return set_raw(i, value);
    }
  }
  std::string text(std::int64_t i) const {
    return is_real(dtype) ? fmt::format("{} ({:#x})", real(i), std::bit_cast<std::uint32_t>(real(i)))
                          : fmt::format("{}", integer(i));
  }
};

Matrix random_matrix(DType dtype, std::int64_t rows, std::int64_t columns, std::uint32_t seed, float scale = 3,
                     bool specials = false) {
  static constexpr float odd[] = {0.0f,  -0.0f,   INFINITY, -INFINITY, NAN,  0x1p-149f, -0x1.8p-130f,
                                  3e38f, 65519.f, 65520.f,  1e-7f,     -100, 100};
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, scale);
  Matrix m(dtype, rows, columns);
  for (std::int64_t i = 0; i < m.size(); ++i) {
    if (is_real(dtype)) {
      m.set_real(i, specials && engine() % 4 == 0 ? odd[engine() % std::size(odd)] : normal(engine));
    } else if (dtype == DType::bool_) {
      m.set_integer(i, engine() & 1);
    } else {
      const std::int64_t any = static_cast<std::int64_t>(engine()) << 32 | engine();
      const auto lowest = static_cast<std::int64_t>(~std::uint64_t{0} << (info(dtype).block_bytes * 8 - 1));
      static constexpr std::int64_t edge[] = {0, 1, -1, 7, -7};
      m.set_integer(i, engine() % 3 ? any : engine() % 6 ? edge[engine() % 5] : lowest);
    }
  }
  return m;
}

// Two f32 numbers' distance in units of the last place of `expected`.
double ulps(double got, double expected) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return 0;
  if (!std::isfinite(got) || !std::isfinite(expected)) return INFINITY;
  const auto nearest = static_cast<float>(expected);
  return std::abs(got - expected) / std::ldexp(1.0, std::max(nearest == 0 ? -126 : std::ilogb(nearest), -126) - 23);
}

void expect_same_bits(const Matrix& got, const Matrix& expected, const std::string& where) {
  ASSERT_EQ(got.dtype, expected.dtype) << where;
  ASSERT_EQ(got.size(), expected.size()) << where;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    if (is_real(got.dtype) && std::isnan(got.real(i)) && std::isnan(expected.real(i))) continue;
    const auto size = static_cast<std::size_t>(info(got.dtype).block_bytes), at = static_cast<std::size_t>(i) * size;
    ASSERT_EQ(std::memcmp(&got.bytes[at], &expected.bytes[at], size), 0)
        << where << ", element " << i << " of [" << got.rows << "," << got.columns << "]: " << got.text(i)
        << ", expected " << expected.text(i);
  }
}

// Builds body graphs node by node.
struct Body {
  Graph graph;
  std::int64_t inputs = 0;

  ValueId add(Op op, Attrs attrs, std::vector<ValueId> operands, Type type) {
    GraphNode node;
    node.op = op;
    node.attrs = std::move(attrs);
    node.inputs = std::move(operands);
    node.types = {std::move(type)};
    graph.nodes.push_back(std::move(node));
    return {static_cast<std::int32_t>(graph.nodes.size()) - 1, 0};
  }
  ValueId input(Type type) { return add(Op::input, InputAttrs{inputs++}, {}, std::move(type)); }
  ValueId scalar(double value, DType dtype = DType::f32) {
    return add(Op::scalar, ScalarAttrs{value, dtype}, {}, {dtype, {}});
  }
  // An elementwise op of the default attributes with the shape of the operands broadcast together.
  ValueId op(Op op, std::vector<ValueId> operands) {
    DType dtype = graph.type(operands.back()).dtype;
    if (op >= Op::equal && op <= Op::logical_or) dtype = DType::bool_;
    return this->op(op, info(op).default_attrs, std::move(operands), dtype);
  }
  ValueId op(Op op, Attrs attrs, std::vector<ValueId> operands, DType dtype) {
    Shape shape;
    for (const ValueId operand : operands) shape = broadcast_shapes(shape, graph.type(operand).shape, "test");
    return add(op, std::move(attrs), std::move(operands), {dtype, shape});
  }
  ValueId reduce(Op op, ValueId operand) {
    Type type = graph.type(operand);
    ReduceAttrs attrs{{static_cast<std::int64_t>(type.shape.size()) - 1}, true};
    type.shape.back() = 1;
    return add(op, attrs, {operand}, std::move(type));
  }
  void output(ValueId value) { graph.outputs.push_back(value); }
};

struct Layout {
  std::vector<ColumnAccess> access;  // empty: broadcast for what has one column, contiguous for the rest
  int in_place_input = -1;           // the first output lies in this input's memory
};

// An operand in memory with surroundings that nothing may touch.
struct Placed {
  std::vector<std::uint8_t> memory;
  std::int64_t row_stride = 0, column_stride = 1, first = 5;
  std::size_t element = 0;

  Placed(const Matrix& matrix, ColumnAccess access)
      : element(static_cast<std::size_t>(info(matrix.dtype).block_bytes)) {
    column_stride = access == strided ? 3 : 1;
    row_stride = matrix.columns * column_stride + 2;
    memory.assign(static_cast<std::size_t>(matrix.rows * row_stride + 16) * element, 0xa5);
    write(matrix);
  }
  std::uint8_t* at(std::int64_t row, std::int64_t column) {
    return memory.data() + static_cast<std::size_t>(first + row * row_stride + column * column_stride) * element;
  }
  void write(const Matrix& matrix) {
    for (std::int64_t i = 0; i < matrix.size(); ++i)
      std::memcpy(at(i / matrix.columns, i % matrix.columns), &matrix.bytes[static_cast<std::size_t>(i) * element],
                  element);
  }
  void read(Matrix& matrix) {
    for (std::int64_t i = 0; i < matrix.size(); ++i)
      std::memcpy(&matrix.bytes[static_cast<std::size_t>(i) * element], at(i / matrix.columns, i % matrix.columns),
                  element);
  }
};

std::vector<Matrix> run(std::size_t set, const Graph& body, const std::vector<Matrix>& inputs, Layout layout = {}) {
  std::vector<Matrix> outputs;
  std::int64_t rows = 1, columns = 1;
  for (const Matrix& input : inputs) rows = std::max(rows, input.rows), columns = std::max(columns, input.columns);
  for (const ValueId output : body.outputs) {
    const Type& type = body.type(output);
    outputs.emplace_back(type.dtype, rows, type.shape.empty() || type.shape.back() == 1 ? 1 : columns);
  }
  std::vector<const Matrix*> matrices;
  for (const Matrix& m : inputs) matrices.push_back(&m);
  for (const Matrix& m : outputs) matrices.push_back(&m);
  if (layout.access.empty())
    for (const Matrix* m : matrices) layout.access.push_back(m->columns == 1 ? broadcast : contiguous);

  std::vector<Placed> placed;
  for (std::size_t k = 0; k < matrices.size(); ++k) placed.emplace_back(*matrices[k], layout.access[k]);
  const std::int64_t inner = rows % 6 == 0 ? 3 : 1, middle = rows % 2 == 0 ? 2 : 1;
  std::vector<LoopOperand> operands;
  for (std::size_t k = 0; k < placed.size(); ++k) {
    const bool aliased = layout.in_place_input >= 0 && k == inputs.size();
    Placed& p = placed[aliased ? static_cast<std::size_t>(layout.in_place_input) : k];
    const std::int64_t stride = matrices[k]->rows == 1 ? 0 : p.row_stride;
    operands.push_back({p.at(0, 0), {stride * inner * middle, stride * inner, stride}, p.column_stride});
  }
  std::vector<std::uint64_t> numbers;
  for (const ScalarAttrs& number : loop_numbers(body)) numbers.push_back(loop_number(number.value.value, number.dtype));
  const LoopArguments arguments{columns, {rows / (inner * middle), middle, inner}, operands.data(), numbers.data()};
  const LoopKernel& kernel = compiler(set).compile(body, layout.access, "test");
  kernel.function(&arguments, 0, rows / 3);
  kernel.function(&arguments, rows / 3, rows);
  kernel.function(&arguments, rows, rows);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const bool aliased = layout.in_place_input >= 0 && o == 0;
    Placed& p = placed[aliased ? static_cast<std::size_t>(layout.in_place_input) : inputs.size() + o];
    p.read(outputs[o]);
    if (aliased) continue;
    Placed untouched(Matrix(outputs[o]), layout.access[inputs.size() + o]);
    EXPECT_EQ(p.memory, untouched.memory) << "wrote outside output " << o;
  }
  return outputs;
}

// ---- Scalar reference
// ------------------------------------------------------------------------------------------------

std::int64_t wrap(DType dtype, std::uint64_t value) {
  Matrix one(dtype, 1, 1);
  one.set_integer(0, static_cast<std::int64_t>(value));
  return one.integer(0);
}

// Of an op that is not spelled out here: what the reference backend says.
Matrix by_reference_backend(const GraphNode& node, std::vector<Matrix> values) {
  values.resize(static_cast<std::size_t>(info(node.op).min_operands));
  Body body;
  std::vector<ValueId> operands;
  std::vector<BufferRef> buffers;
  for (const Matrix& value : values) {
    operands.push_back(body.input({value.dtype, {}}));
    buffers.push_back(Buffer::allocate(value.bytes.size()));
    std::memcpy(buffers.back()->data(), value.bytes.data(), value.bytes.size());
  }
  Matrix result = values[0];
  body.output(body.add(node.op, node.attrs, operands, {result.dtype, {}}));
  std::memcpy(result.bytes.data(), test::run_reference(body.graph, buffers)[0]->data(), result.bytes.size());
  return result;
}

Matrix single(float value) {
  Matrix one(DType::f32, 1, 1);
  one.set_real(0, value);
  return one;
}
Matrix single(DType dtype, std::int64_t value) {
  Matrix one(dtype, 1, 1);
  one.set_integer(0, value);
  return one;
}

double reference_real(const GraphNode& node, float a, float b) {
  const double x = a;
  switch (node.op) {
    case Op::neg:
      return -a;
    case Op::abs:
      return std::abs(a);
    case Op::square:
      return a * a;
    case Op::sqrt:
      return std::sqrt(a);
    case Op::rsqrt:
      return 1.0f / std::sqrt(a);
    case Op::reciprocal:
      return 1.0f / a;
    case Op::floor:
      return std::floor(a);
    case Op::add:
      return a + b;
    case Op::sub:
      return a - b;
    case Op::mul:
      return a * b;
    case Op::div:
      return a / b;
    case Op::maximum:
      return std::isnan(a) || a >= b ? a : b;
    case Op::minimum:
      return std::isnan(a) || a <= b ? a : b;
    case Op::exp:
      return std::exp(x) < 0x1p-126 ? 0 : std::exp(x) > 0x1.ffffffp127 ? INFINITY : std::exp(x);
    case Op::log:
      return std::log(x);
    case Op::tanh:
      return std::tanh(x);
    case Op::sigmoid:
      return std::exp(-x) > 0x1.ffffffp127 ? 0 : 1 / (1 + std::exp(-x));
    case Op::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case Op::softcap:
      return std::tanh(x / node.as<SoftcapAttrs>().cap.value) * node.as<SoftcapAttrs>().cap.value;
    default:
      return by_reference_backend(node, {single(a), single(b)}).real(0);
  }
}

std::int64_t reference_integer(const GraphNode& node, DType dtype, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  switch (node.op) {
    case Op::neg:
      return wrap(dtype, 0 - x);
    case Op::abs:
      return wrap(dtype, a < 0 ? 0 - x : x);
    case Op::square:
      return wrap(dtype, x * x);
    case Op::add:
      return wrap(dtype, x + y);
    case Op::sub:
      return wrap(dtype, x - y);
    case Op::mul:
      return wrap(dtype, x * y);
    case Op::div: {
      if (b == 0) return 0;
      if (b == -1) return wrap(dtype, 0 - x);
      return a / b - (a % b != 0 && (a < 0) != (b < 0));
    }
    case Op::maximum:
      return std::max(a, b);
    case Op::minimum:
      return std::min(a, b);
    default:
      return by_reference_backend(node, {single(dtype, a), single(dtype, b)}).integer(0);
  }
}

template <class T>
bool reference_compare(Op op, T a, T b) {
  switch (op) {
    case Op::equal:
      return a == b;
    case Op::not_equal:
      return a != b;
    case Op::less:
      return a < b;
    case Op::less_equal:
      return a <= b;
    case Op::greater:
      return a > b;
    default:
      return a >= b;
  }
}

std::int64_t saturate(DType dtype, float value) {
  if (std::isnan(value)) return 0;
  const int bits = info(dtype).block_bytes * 8;
  const bool with_sign = dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
  const double low = with_sign ? -std::ldexp(1.0, bits - 1) : 0, high = std::ldexp(1.0, with_sign ? bits - 1 : bits);
  if (value <= low) return static_cast<std::int64_t>(low);
  if (value >= high) return bits == 64 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(high) - 1;
  return static_cast<std::int64_t>(value);
}

// The sum of a row as documented: 16 lanes, then the tree.
float lane_sum(const Matrix& m, std::int64_t row) {
  float lane[16];
  for (float& l : lane) l = -0.0f;
  for (std::int64_t c = 0; c < m.columns; ++c) lane[c % 16] += m.real(row * m.columns + c);
  for (int half = 8; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

bool is_exact(Op op) {
  constexpr Op rounded_somehow[] = {Op::exp,       Op::exp2,  Op::expm1,    Op::log,   Op::log2,   Op::log10,
                                    Op::log1p,     Op::tanh,  Op::sigmoid,  Op::erf,   Op::sin,    Op::cos,
                                    Op::tan,       Op::asin,  Op::acos,     Op::atan,  Op::atan2,  Op::sinh,
                                    Op::cosh,      Op::asinh, Op::acosh,    Op::atanh, Op::pow,    Op::gelu,
                                    Op::gelu_tanh, Op::silu,  Op::softplus, Op::mish,  Op::softcap};
  return std::ranges::find(rounded_somehow, op) == std::end(rounded_somehow);
}

// math_functions_test.cc is stricter.
double allowed_ulps(Op op) {
  switch (op) {
    case Op::exp:
    case Op::log:
      return 1;
    case Op::sigmoid:
      return 2.5;
    case Op::softcap:
      return 4.5;
    case Op::silu:
    case Op::mish:
      return 5.5;
    default:
      return 3;
  }
}

// GELU loses digits to 1 + tanh on the negative side; what counts there is the error relative to x. Composites scale
// subnormals on the way, and their exp gives none.
bool is_close(Op op, double x, double got, double expected) {
  const double error = std::abs(got - expected);
  if (is_composite(op) && error <= std::max(64 * 0x1p-149, 0x1p-126 * std::abs(x))) return true;
  return ((op == Op::gelu || op == Op::gelu_tanh) && error <= 4e-7 * std::abs(x)) ||
         ulps(got, expected) <= allowed_ulps(op);
}

// One elementwise node by scalar C++: bit for bit, or within the documented error.
void check_node(const GraphNode& node, const std::vector<Matrix>& in, const Matrix& got, const std::string& where) {
  Matrix expected(got.dtype, got.rows, got.columns);
  auto at = [&](const Matrix& m, std::int64_t i) {
    return (m.rows == 1 ? 0 : i / got.columns * m.columns) + (m.columns == 1 ? 0 : i % got.columns);
  };
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const std::int64_t ia = at(in[0], i), ib = in.size() > 1 ? at(in[1], i) : 0;
    const bool real = is_real(in[0].dtype);
    if (node.op == Op::cast) {
      if (!real && is_real(got.dtype))
        expected.set_real(i, static_cast<float>(in[0].integer(ia)));
      else if (real && is_real(got.dtype))
        expected.set_real(i, in[0].real(ia));
      else if (got.dtype == DType::bool_)
        expected.set_integer(i, real ? in[0].real(ia) != 0 : in[0].integer(ia) != 0);
      else
        expected.set_integer(i, real ? saturate(got.dtype, in[0].real(ia)) : in[0].integer(ia));
    } else if (node.op == Op::select) {
      const Matrix& chosen = in[in[0].integer(ia) ? 1 : 2];
      if (is_real(got.dtype))
        expected.set_real(i, chosen.real(at(chosen, i)));
      else
        expected.set_integer(i, chosen.integer(at(chosen, i)));
    } else if (node.op >= Op::equal && node.op <= Op::greater_equal) {
      expected.set_integer(i, real ? reference_compare(node.op, in[0].real(ia), in[1].real(ib))
                                   : reference_compare(node.op, in[0].integer(ia), in[1].integer(ib)));
    } else if (node.op == Op::logical_not) {
      expected.set_integer(i, !in[0].integer(ia));
    } else if (node.op == Op::logical_and || node.op == Op::logical_or) {
      const bool a = in[0].integer(ia) != 0, b = in[1].integer(ib) != 0;
      expected.set_integer(i, node.op == Op::logical_and ? a && b : a || b);
    } else if (!real) {
      expected.set_integer(
          i, reference_integer(node, got.dtype, in[0].integer(ia), in.size() > 1 ? in[1].integer(ib) : 0));
    } else {
      const float a = in[0].real(ia), b = in.size() > 1 ? in[1].real(ib) : 0;
      const double value = reference_real(node, a, b);
      if (is_exact(node.op)) {
        expected.set_real(i, static_cast<float>(value));
      } else {
        ASSERT_TRUE(is_close(node.op, a, got.real(i), value))
            << where << ": " << to_string(node.op) << "(" << a << ") = " << got.real(i) << ", expected " << value;
        expected.set_real(i, got.real(i));
      }
    }
  }
  expect_same_bits(got, expected, where);
}

Type full_type(DType dtype, std::int64_t rows, std::int64_t columns) { return {dtype, {rows, columns}}; }

Matrix rounded_to(DType dtype, const Matrix& m) {
  Matrix result(dtype, m.rows, m.columns);
  for (std::int64_t i = 0; i < m.size(); ++i) result.set_real(i, m.real(i));
  return result;
}

// Functions of 16-bit types are the f32 functions, rounded once.
void check_rounded_function(std::size_t set, const GraphNode& node, const std::vector<Matrix>& inputs,
                            const Matrix& got, const std::string& where) {
  Body wide;
  std::vector<ValueId> operands;
  std::vector<Matrix> wide_inputs;
  for (const Matrix& input : inputs) {
    operands.push_back(wide.input(full_type(DType::f32, input.rows, input.columns)));
    wide_inputs.push_back(rounded_to(DType::f32, input));
  }
  wide.output(wide.op(node.op, node.attrs, operands, DType::f32));
  const Matrix exact = run(set, wide.graph, wide_inputs)[0];
  expect_same_bits(got, rounded_to(got.dtype, exact), where);
}

// A body of one op over `dtypes`, run at every instruction set and checked.
void check_op(Op op, Attrs attrs, const std::vector<DType>& dtypes, DType result, std::int64_t rows,
              std::int64_t columns, const std::vector<Matrix>& inputs, const Layout& layout = {}) {
  Body body;
  std::vector<ValueId> operands;
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    operands.push_back(body.input(full_type(dtypes[i], inputs[i].rows, inputs[i].columns)));
  body.output(body.op(op, std::move(attrs), operands, result));
  Matrix baseline;
  for (std::size_t set = 0; set < instruction_sets().size(); ++set) {
    const std::string where = fmt::format("{} of {} [{},{}] at \"{}\"", to_string(op), to_string(dtypes.back()), rows,
                                          columns, to_string(instruction_sets()[set]));
    const Matrix got = run(set, body.graph, inputs, layout)[0];
    const GraphNode& node = body.graph.nodes.back();
    if (is_exact(op) || result == DType::f32)
      ASSERT_NO_FATAL_FAILURE(check_node(node, inputs, got, where));
    else
      ASSERT_NO_FATAL_FAILURE(check_rounded_function(set, node, inputs, got, where));
    if (set == 0) baseline = got;
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(got, baseline, where + " against the baseline"));
  }
}

std::vector<Op> ops_of(bool (*accepts)(const OpInfo&)) {
  std::vector<Op> ops;
  for (const OpInfo& op : all_ops())
    if (op.has(op_flags::elementwise) && op.op != Op::cast && op.op != Op::select && accepts(op)) ops.push_back(op.op);
  return ops;
}

DType result_of(Op op, DType dtype) { return op >= Op::equal && op <= Op::logical_or ? DType::bool_ : dtype; }

bool fits(Op op, DType dtype) {
  std::vector<Type> operands(static_cast<std::size_t>(info(op).min_operands), {dtype, {4}});
  return LoopCompiler::can_contain(op, info(op).default_attrs, operands, {result_of(op, dtype), {4}});
}

constexpr std::int64_t all_columns[] = {1, 2, 15, 16, 17, 31, 33, 640, 1000};
// Those whose elements f32 or i64 holds.
constexpr DType plain_dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::i8,  DType::u8,   DType::i16,
                                  DType::u16, DType::i32, DType::u32,  DType::i64, DType::bool_};

TEST(LoopKernel, EveryElementwiseOpOfEveryType) {
  int checked = 0;
  for (const DType dtype : plain_dtypes)
    for (const Op op : ops_of([](const OpInfo&) { return true; })) {
      if (!fits(op, dtype)) continue;
      ++checked;
      for (const std::int64_t columns : all_columns) {
        const std::int64_t rows = columns < 20 ? 12 : 2;
        std::vector<Matrix> inputs;
        std::vector<DType> dtypes;
        for (int i = 0; i < info(op).min_operands; ++i) {
          inputs.push_back(random_matrix(dtype, rows, columns,
                                         static_cast<std::uint32_t>(columns) + 77u * static_cast<std::uint32_t>(i), 3,
                                         true));
          dtypes.push_back(dtype);
        }
        ASSERT_NO_FATAL_FAILURE(
            check_op(op, info(op).default_attrs, dtypes, result_of(op, dtype), rows, columns, inputs));
      }
    }
  EXPECT_GE(checked, 54 * 3 + 24 * 7 + 8);
}

TEST(LoopKernel, CastsBetweenAllTypes) {
  for (const DType from : plain_dtypes)
    for (const DType to : plain_dtypes)
      ASSERT_NO_FATAL_FAILURE(
          check_op(Op::cast, CastAttrs{to}, {from}, to, 3, 67, {random_matrix(from, 3, 67, 5, 300, true)}));
}

TEST(LoopKernel, SelectOfEveryType) {
  for (const DType dtype : plain_dtypes)
    ASSERT_NO_FATAL_FAILURE(check_op(
        Op::select, NoAttrs{}, {DType::bool_, dtype, dtype}, dtype, 2, 35,
        {random_matrix(DType::bool_, 2, 35, 1), random_matrix(dtype, 2, 35, 2), random_matrix(dtype, 2, 35, 3)}));
}

TEST(LoopKernel, FunctionsOverTheirWholeRange) {
  Matrix x(DType::f32, 1, 1 << 17);
  for (std::int64_t i = 0; i < x.size(); ++i) x.set_raw(i, static_cast<std::uint32_t>(i) * 32771u);
  for (const Op op : {Op::exp, Op::log, Op::tanh, Op::sigmoid, Op::floor})
    ASSERT_NO_FATAL_FAILURE(check_op(op, NoAttrs{}, {DType::f32}, DType::f32, 1, x.columns, {x}));
  ASSERT_NO_FATAL_FAILURE(
      check_op(Op::gelu_tanh, NoAttrs{}, {DType::f32}, DType::f32, 1, 4096, {random_matrix(DType::f32, 1, 4096, 3)}));
  ASSERT_NO_FATAL_FAILURE(check_op(Op::softcap, SoftcapAttrs{50}, {DType::f32}, DType::f32, 1, 4096,
                                   {random_matrix(DType::f32, 1, 4096, 3, 60)}));
}

TEST(LoopKernel, ExpAndTanhAtTheirEdges) {
  Matrix x(DType::f32, 1, 8);
  const float values[] = {0.0f, -0.0f, 88.72283f, 88.72284f, -87.33654f, -87.33655f, INFINITY, -INFINITY};
  for (int i = 0; i < 8; ++i) x.set_real(i, values[i]);
  Body body;
  const ValueId in = body.input(full_type(DType::f32, 1, 8));
  body.output(body.op(Op::exp, {in}));
  body.output(body.op(Op::tanh, {in}));
  for (std::size_t set = 0; set < instruction_sets().size(); ++set) {
    const auto y = run(set, body.graph, {x});
    EXPECT_EQ(y[0].real(0), 1);
    EXPECT_LT(y[0].real(2), INFINITY);
    EXPECT_EQ(y[0].real(3), INFINITY);
    EXPECT_GE(y[0].real(4), 0x1p-126f);
    EXPECT_EQ(y[0].real(5), 0);
    EXPECT_EQ(y[0].real(6), INFINITY);
    EXPECT_EQ(y[0].real(7), 0);
    EXPECT_FALSE(std::signbit(y[1].real(0)));
    EXPECT_TRUE(std::signbit(y[1].real(1)));
    EXPECT_EQ(y[1].real(6), 1);
    EXPECT_EQ(y[1].real(7), -1);
  }
}

TEST(LoopKernel, EveryColumnAccess) {
  for (const DType dtype : plain_dtypes)
    for (const std::int64_t columns : {1, 16, 17, 50})
      for (const ColumnAccess a : {contiguous, broadcast, strided})
        for (const ColumnAccess out : {contiguous, strided}) {
          if (dtype == DType::bool_ && a == strided) continue;
          const std::int64_t a_columns = a == broadcast ? 1 : columns;
          const Op op = dtype == DType::bool_ ? Op::logical_or : Op::sub;
          ASSERT_NO_FATAL_FAILURE(check_op(op, NoAttrs{}, {dtype, dtype}, dtype, 6, columns,
                                           {random_matrix(dtype, 6, a_columns, 1), random_matrix(dtype, 6, columns, 2)},
                                           {{a, contiguous, out}}));
        }
}

TEST(LoopKernel, RowsBroadcastThroughZeroStrides) {
  for (const std::int64_t columns : {5, 48})
    ASSERT_NO_FATAL_FAILURE(
        check_op(Op::mul, NoAttrs{}, {DType::f32, DType::f32}, DType::f32, 12, columns,
                 {random_matrix(DType::f32, 12, columns, 1), random_matrix(DType::f32, 1, columns, 2)}));
}

TEST(LoopKernel, ReductionsAreTheDocumentedTree) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8})
    for (const Op op : {Op::sum, Op::mean, Op::max, Op::min})
      for (const std::int64_t columns : all_columns) {
        if (op == Op::mean && !is_real(dtype)) continue;
        const Matrix x = random_matrix(dtype, 3, columns, 9);
        Matrix expected(dtype, 3, 1);
        for (std::int64_t r = 0; r < 3; ++r) {
          auto each = [&](auto&& f) {
            for (std::int64_t c = 0; c < columns; ++c) f(r * columns + c);
          };
          if (is_real(dtype)) {
            float extreme = x.real(r * columns);
            each([&](std::int64_t i) {
              extreme = op == Op::max ? std::max(extreme, x.real(i)) : std::min(extreme, x.real(i));
            });
            const float sum = lane_sum(x, r);
            expected.set_real(r, op == Op::sum ? sum : op == Op::mean ? sum / static_cast<float>(columns) : extreme);
          } else {
            std::uint64_t sum = 0;
            std::int64_t extreme = x.integer(r * columns);
            each([&](std::int64_t i) {
              sum += static_cast<std::uint64_t>(x.integer(i));
              extreme = op == Op::max ? std::max(extreme, x.integer(i)) : std::min(extreme, x.integer(i));
            });
            expected.set_integer(r, op == Op::sum ? static_cast<std::int64_t>(sum) : extreme);
          }
        }
        Body body;
        body.output(body.reduce(op, body.input(full_type(dtype, 3, columns))));
        for (std::size_t set = 0; set < instruction_sets().size(); ++set)
          ASSERT_NO_FATAL_FAILURE(
              expect_same_bits(run(set, body.graph, {x})[0], expected,
                               fmt::format("{} of {} over {} at {}", to_string(op), to_string(dtype), columns, set)));
      }
}

TEST(LoopKernel, MaxKeepsNaNAndOneColumnIsItself) {
  Body body;
  const ValueId x = body.input(full_type(DType::f32, 1, 40));
  for (const Op op : {Op::max, Op::min}) body.output(body.reduce(op, x));
  Body one;
  const ValueId y = one.input(full_type(DType::f32, 1, 1));
  for (const Op op : {Op::sum, Op::mean, Op::max, Op::min}) one.output(one.reduce(op, y));
  Matrix zero(DType::f32, 1, 1);
  zero.set_real(0, -0.0f);
  for (std::size_t set = 0; set < instruction_sets().size(); ++set) {
    for (const std::int64_t at : {0, 15, 16, 39}) {
      Matrix m = random_matrix(DType::f32, 1, 40, 4);
      m.set_real(at, NAN);
      for (const Matrix& result : run(set, body.graph, {m})) EXPECT_TRUE(std::isnan(result.real(0))) << at;
    }
    for (const ColumnAccess access : {contiguous, broadcast})
      for (const Matrix& result : run(set, one.graph, {zero}, {{access, broadcast, broadcast, broadcast, broadcast}}))
        EXPECT_EQ(std::bit_cast<std::uint32_t>(result.real(0)), 0x80000000u);
  }
}

// ---- Bodies of several ops
// -------------------------------------------------------------------------------------------

// Every node as a kernel of its own.
std::vector<Matrix> run_unfused(std::size_t set, const Graph& graph, const std::vector<Matrix>& inputs) {
  std::vector<Matrix> values;
  std::int64_t columns = 1;
  for (const Matrix& input : inputs) columns = std::max(columns, input.columns);
  for (const GraphNode& node : graph.nodes) {
    if (node.op == Op::input) {
      values.push_back(inputs[static_cast<std::size_t>(node.as<InputAttrs>().index)]);
      continue;
    }
    Body body;
    std::vector<ValueId> operands;
    std::vector<Matrix> operand_values;
    for (const ValueId operand : node.inputs) {
      if (graph.node(operand).op == Op::scalar) {
        operands.push_back(body.scalar(graph.node(operand).as<ScalarAttrs>().value.value, graph.type(operand).dtype));
      } else {
        operands.push_back(body.input(graph.type(operand)));
        operand_values.push_back(values[static_cast<std::size_t>(operand.node)]);
      }
    }
    if (node.op == Op::scalar) {
      values.emplace_back();
      continue;
    }
    body.output(body.add(node.op, node.attrs, operands, node.type()));
    if (node.op == Op::broadcast_to) {  // its operands do not show the columns
      Matrix wide(node.type().dtype, operand_values[0].rows, columns);
      for (std::int64_t i = 0; i < wide.size(); ++i) wide.set_real(i, operand_values[0].real(i / columns));
      values.push_back(std::move(wide));
    } else {
      values.push_back(run(set, body.graph, operand_values)[0]);
    }
  }
  std::vector<Matrix> outputs;
  for (const ValueId output : graph.outputs) outputs.push_back(values[static_cast<std::size_t>(output.node)]);
  return outputs;
}

void expect_fused_is_unfused(const Graph& graph, const std::vector<Matrix>& inputs, const std::string& where,
                             const Layout& layout = {}) {
  std::vector<Matrix> baseline;
  for (std::size_t set = 0; set < instruction_sets().size(); ++set) {
    const auto fused = run(set, graph, inputs, layout), unfused = run_unfused(set, graph, inputs);
    if (set == 0) baseline = fused;
    for (std::size_t o = 0; o < fused.size(); ++o) {
      ASSERT_NO_FATAL_FAILURE(
          expect_same_bits(fused[o], unfused[o], fmt::format("{} output {} at {} against single ops", where, o, set)));
      ASSERT_NO_FATAL_FAILURE(expect_same_bits(fused[o], baseline[o],
                                               fmt::format("{} output {} at {} against the baseline", where, o, set)));
    }
  }
}

Body rms_norm_body(DType dtype, std::int64_t rows, std::int64_t columns) {
  Body body;
  const ValueId x = body.input(full_type(dtype, rows, columns));
  const ValueId weight = body.input(full_type(dtype, 1, columns));
  const ValueId mean = body.reduce(Op::mean, body.op(Op::square, {x}));
  const ValueId scale = body.op(Op::rsqrt, {body.op(Op::add, {mean, body.scalar(1e-6, dtype)})});
  body.output(body.op(Op::mul, {body.op(Op::mul, {x, scale}), weight}));
  return body;
}

Body softmax_body(DType dtype, std::int64_t rows, std::int64_t columns) {
  Body body;
  const ValueId x = body.input(full_type(dtype, rows, columns));
  const ValueId e = body.op(Op::exp, {body.op(Op::sub, {x, body.reduce(Op::max, x)})});
  body.output(body.op(Op::div, {e, body.reduce(Op::sum, e)}));
  return body;
}

TEST(LoopKernel, RmsNormInTwoStages) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    for (const std::int64_t columns : all_columns) {
      const Matrix x = random_matrix(dtype, 4, columns, 1), w = random_matrix(dtype, 1, columns, 2);
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(rms_norm_body(dtype, 4, columns).graph, {x, w}, "rms_norm"));
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(rms_norm_body(dtype, 4, columns).graph, {x, w},
                                                      "rms_norm in place", {{contiguous, contiguous, contiguous}, 0}));
    }
  const Matrix x = random_matrix(DType::f32, 1, 640, 1), w = random_matrix(DType::f32, 1, 640, 2);
  const Matrix y = run(0, rms_norm_body(DType::f32, 1, 640).graph, {x, w})[0];
  Matrix squares(DType::f32, 1, 640);
  for (int i = 0; i < 640; ++i) squares.set_real(i, x.real(i) * x.real(i));
  const float scale = 1.0f / std::sqrt(lane_sum(squares, 0) / 640.0f + 1e-6f);
  for (int i = 0; i < 640; ++i) ASSERT_EQ(y.real(i), x.real(i) * scale * w.real(i));
}

TEST(LoopKernel, SoftmaxInThreeStages) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t columns : all_columns) {
      const Matrix x = random_matrix(dtype, 4, columns, 1);
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(softmax_body(dtype, 4, columns).graph, {x}, "softmax"));
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(softmax_body(dtype, 4, columns).graph, {x}, "softmax in place",
                                                      {{contiguous, contiguous}, 0}));
    }
  const Matrix x = random_matrix(DType::f32, 1, 100, 8), y = run(0, softmax_body(DType::f32, 1, 100).graph, {x})[0];
  double total = 0;
  for (int i = 0; i < 100; ++i) total += std::exp(static_cast<double>(x.real(i)));
  for (int i = 0; i < 100; ++i) EXPECT_NEAR(y.real(i), std::exp(static_cast<double>(x.real(i))) / total, 1e-7);
}

TEST(LoopKernel, SeveralOutputsOfEveryKind) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t columns : {2, 16, 77}) {
      Body body;
      const ValueId a = body.input(full_type(dtype, 6, columns)), b = body.input(full_type(dtype, 6, columns));
      const ValueId gate = body.input(full_type(dtype, 6, 1));
      const ValueId sum = body.op(Op::add, {body.op(Op::mul, {a, gate}), b});
      const ValueId mean = body.reduce(Op::mean, sum);
      const ValueId centred = body.op(Op::sub, {sum, mean});
      const ValueId wide = body.add(Op::broadcast_to, ReshapeAttrs{{6, columns}}, {mean}, full_type(dtype, 6, columns));
      body.output(sum);
      body.output(mean);
      body.output(body.op(Op::greater, {centred, body.scalar(0.1, dtype)}));
      body.output(body.reduce(Op::max, body.op(Op::gelu_tanh, {centred})));
      body.output(wide);
      body.output(body.reduce(Op::sum, wide));
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(
          body.graph,
          {random_matrix(dtype, 6, columns, 1), random_matrix(dtype, 6, columns, 2), random_matrix(dtype, 6, 1, 3)},
          "several outputs"));
    }
}

// The first output overwrites an input that the second output and the last stage still read.
TEST(LoopKernel, InPlaceOutputLeavesTheOthersRight) {
  for (const std::int64_t columns : {3, 16, 100}) {
    Body body;
    const ValueId x = body.input(full_type(DType::f32, 4, columns)), y = body.input(full_type(DType::f32, 4, columns));
    const ValueId sum = body.op(Op::add, {x, y});
    body.output(sum);
    body.output(body.op(Op::mul, {x, body.reduce(Op::max, sum)}));
    body.output(body.op(Op::neg, {x}));
    ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(
        body.graph, {random_matrix(DType::f32, 4, columns, 1), random_matrix(DType::f32, 4, columns, 2)}, "in place",
        {{contiguous, contiguous, contiguous, contiguous, contiguous}, 0}));
  }
}

// A softmax writes its exponentials before it knows their sum, unless what it writes to is read again.
TEST(LoopKernel, OperandsReadAfterASumAreStillThere) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t columns : {3, 16, 100}) {
      Body body;
      const ValueId x = body.input(full_type(dtype, 4, columns));
      const ValueId power = body.op(Op::exp, {body.op(Op::sub, {x, body.reduce(Op::max, x)})});
      body.output(body.op(Op::mul, {body.op(Op::div, {power, body.reduce(Op::sum, power)}), x}));
      ASSERT_NO_FATAL_FAILURE(expect_fused_is_unfused(body.graph, {random_matrix(dtype, 4, columns, 1)},
                                                      "softmax times x in place", {{contiguous, contiguous}, 0}));
    }
}

// Where all sizes are 1 the caller may call elements rows or columns.
TEST(LoopKernel, SizeOneBodiesRunOverColumns) {
  Body body;
  const ValueId x = body.input({DType::f32, {1}});
  body.output(body.op(Op::add, {x, body.scalar(0.25)}));
  Matrix in = random_matrix(DType::f32, 1, 37, 1), out(DType::f32, 1, 37);
  for (std::size_t set = 0; set < instruction_sets().size(); ++set) {
    const ColumnAccess access[] = {contiguous, contiguous};
    const LoopOperand operands[] = {{in.bytes.data(), {}, 1}, {out.bytes.data(), {}, 1}};
    const LoopArguments arguments{37, {1, 1, 1}, operands};
    compiler(set).compile(body.graph, access, "flat").function(&arguments, 0, 1);
    for (int i = 0; i < 37; ++i) ASSERT_EQ(out.real(i), in.real(i) + 0.25f);
  }
}

TEST(LoopKernel, ScalarsAreExact) {
  Body body;
  const ValueId x = body.input(full_type(DType::f32, 1, 2));
  for (const double value : {0.1, 1e-45, -0.0, 16777217.0}) body.output(body.op(Op::maximum, {x, body.scalar(value)}));
  body.output(body.op(Op::cast, CastAttrs{DType::i64}, {body.scalar(9007199254740991.0, DType::i64)}, DType::i64));
  Matrix lowest(DType::f32, 1, 2);
  for (int i = 0; i < 2; ++i) lowest.set_real(i, -INFINITY);
  const auto y = run(0, body.graph, {lowest});
  const float expected[] = {0.1f, 0x1p-149f, -0.0f, 16777216.0f};
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(std::bit_cast<std::uint32_t>(y[i].real(1)), std::bit_cast<std::uint32_t>(expected[i])) << i;
  EXPECT_EQ(y[4].integer(0), 9007199254740991);
}

TEST(LoopKernel, KernelsAreCached) {
  LoopCompiler fresh(Isa::scalar);
  const ColumnAccess access[] = {contiguous, contiguous, contiguous};
  const LoopKernel& first = fresh.compile(rms_norm_body(DType::f32, 4, 640).graph, access, "rms_norm");
  EXPECT_EQ(&first, &fresh.compile(rms_norm_body(DType::f32, 9, 1152).graph, access, "other"));  // sizes are arguments
  EXPECT_EQ(first.name.substr(0, 9), "rms_norm_");
  EXPECT_NE(&first, &fresh.compile(rms_norm_body(DType::bf16, 4, 640).graph, access, "rms_norm"));
  const ColumnAccess other[] = {contiguous, contiguous, strided};
  EXPECT_NE(&first, &fresh.compile(rms_norm_body(DType::f32, 4, 640).graph, other, "rms_norm"));
  EXPECT_EQ(fresh.compiled(), 3);
}

Number with_slot(double value, int slot) {
  Number number = value;
  number.slot = slot;
  return number;
}

// As if they were literals in the code.
TEST(LoopKernel, NumbersOfARun) {
  const auto body_of = [](DType dtype, const Number& first, const Number& second) {
    Body body;
    const ValueId x = body.input(full_type(dtype, 3, 2));
    const auto number = [&](const Number& value) {
      return body.add(Op::scalar, ScalarAttrs{value, dtype}, {}, {dtype, {}});
    };
    const ValueId a = number(first), b = number(second);
    body.output(body.op(Op::equal, {x, a}));
    body.output(dtype == DType::bool_ ? body.op(Op::logical_or, {x, b})
                                      : body.op(Op::add, {body.op(Op::mul, {x, a}), b}));
    return body.graph;
  };
  for (std::size_t set = 0; set < instruction_sets().size(); ++set)
    for (const DType dtype : plain_dtypes) {
      const Matrix x = random_matrix(dtype, 3, 37, 5);
      for (const double value : {2.5, 0.1, -0.0, -7.0, 65520.0, 1e30, 1e-45, 9007199254740991.0, HUGE_VAL}) {
        const auto expected = run(set, body_of(dtype, value, 0.3), {x});
        const auto found = run(set, body_of(dtype, with_slot(value, 7), with_slot(0.3, 2)), {x});
        for (std::size_t o = 0; o < 2; ++o)
          ASSERT_NO_FATAL_FAILURE(
              expect_same_bits(found[o], expected[o], fmt::format("{} {}", to_string(dtype), value)));
      }
    }
}

TEST(LoopKernel, OneKernelForAllNumbers) {
  LoopCompiler fresh(Isa::scalar);
  const ColumnAccess access[] = {contiguous, contiguous};
  const auto kernel_of = [&](const Number& cap) {
    Body body;
    body.output(body.op(Op::softcap, SoftcapAttrs{cap}, {body.input(full_type(DType::f32, 1, 16))}, DType::f32));
    return &fresh.compile(body.graph, access, "softcap");
  };
  EXPECT_EQ(kernel_of(with_slot(30, 0)), kernel_of(with_slot(50, 3)));
  EXPECT_NE(kernel_of(with_slot(30, 0)), kernel_of(30));
  EXPECT_EQ(fresh.compiled(), 2);
}

TEST(LoopKernel, LiteralCapsAreOfTheKernel) {
  LoopCompiler fresh(Isa::scalar);
  const ColumnAccess access[] = {contiguous, contiguous};
  const auto kernel_of = [&](double cap) {
    Body body;
    body.output(body.op(Op::softcap, SoftcapAttrs{cap}, {body.input(full_type(DType::f32, 1, 16))}, DType::f32));
    return &fresh.compile(body.graph, access, "softcap");
  };
  EXPECT_NE(kernel_of(30), kernel_of(50));
  EXPECT_EQ(kernel_of(30), kernel_of(30));
  EXPECT_EQ(fresh.compiled(), 2);
}

// Another value of the field, whatever it is.
void change(bool& value) { value = !value; }
void change(std::int64_t& value) { ++value; }
void change(Number& number) { number.value += 0.5; }
void change(DType& value) { value = value == DType::f32 ? DType::i32 : DType::f32; }
void change(std::string& value) { value += "x"; }
void change(Dims& value) { value.push_back(1); }
void change(BodyRef& value) { value = BodyRef(Graph{}); }

TEST(LoopKernel, EveryAttributeOfAnElementwiseOpIsOfTheKey) {
  const auto key_of = [](const OpInfo& op, const Attrs& attrs) {
    Body body;
    std::vector<ValueId> operands;
    std::vector<ColumnAccess> access(static_cast<std::size_t>(op.min_operands) + 1, contiguous);
    for (int i = 0; i < op.min_operands; ++i) operands.push_back(body.input(full_type(DType::f32, 1, 16)));
    const std::vector<Type> types(operands.size(), full_type(DType::f32, 1, 16));
    body.output(body.add(op.op, attrs, operands, infer_types(op.op, attrs, types)[0]));
    return jit::analyse(body.graph, access).key;
  };
  int fields = 0;
  for (const OpInfo& op : all_ops()) {
    if (!op.has(op_flags::elementwise) || !fits(op.op, DType::f32)) continue;
    Attrs changed = op.default_attrs;
    const std::string key = key_of(op, changed);
    std::visit(
        [&](auto& attrs) {
          attrs.visit(attrs, [&](const char* name, auto& value) {
            const auto before = value;
            change(value);
            EXPECT_NE(key_of(op, changed), key) << op.name << " {" << name << "}";
            value = before;
            ++fields;
          });
        },
        changed);
    EXPECT_EQ(key_of(op, changed), key) << op.name;
  }
  EXPECT_GE(fields, 2);  // cast and softcap
}

TEST(LoopKernel, ThreadsShareTheCache) {
  LoopCompiler fresh(Isa::scalar);
  const ColumnAccess access[] = {contiguous, contiguous};
  std::vector<const LoopKernel*> kernels(4);
  std::vector<std::thread> threads;
  for (const LoopKernel*& kernel : kernels)
    threads.emplace_back([&] { kernel = &fresh.compile(softmax_body(DType::f32, 2, 64).graph, access, "softmax"); });
  for (std::thread& thread : threads) thread.join();
  for (const LoopKernel* kernel : kernels) EXPECT_EQ(kernel, kernels[0]);
  EXPECT_EQ(fresh.compiled(), 1);
}

// An entry may be whole and yet no kernel: it is made anew, and takes the place of what was there.
TEST(LoopKernel, EntriesOnDiskThatAreNoKernelsAreMadeAnew) {
  std::string folder = (std::filesystem::temp_directory_path() / "lazuli_loop_kernel_test.XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const ColumnAccess access[] = {contiguous, contiguous};
  const Body body = softmax_body(DType::f32, 2, 64);
  const auto compiled = [&] {
    LoopCompiler fresh(Isa::scalar, folder);
    fresh.compile(body.graph, access, "softmax");
    return fresh.compiled();
  };
  EXPECT_EQ(compiled(), 1);
  EXPECT_EQ(compiled(), 0);
  {
    const std::string symbol = LoopCompiler(Isa::scalar).compile(body.graph, access, "softmax").name;
    const std::string key = fmt::format("{}\n{}\n{}\n{}", jit::build_id(), to_string(Isa::scalar), symbol,
                                        jit::analyse(body.graph, access).key);
    DiskCache cache(folder, "kernels", 1 << 20);
    ASSERT_NE(cache.find(key), nullptr);
    cache.store(key, std::as_bytes(std::span("no object")));
  }
  EXPECT_EQ(compiled(), 1);
  EXPECT_EQ(compiled(), 0);
  std::filesystem::remove_all(folder);
}

TEST(LoopKernel, RefusesWhatCannotStandInABody) {
  Body body;
  const ValueId x = body.input(full_type(DType::f32, 4, 8));
  body.output(body.add(Op::softmax, AxisAttrs{1}, {x}, full_type(DType::f32, 4, 8)));
  const ColumnAccess access[] = {contiguous, contiguous};
  try {
    LoopCompiler(Isa::scalar).compile(body.graph, access, "x");
    FAIL();
  } catch (const CompileError& error) {
    EXPECT_NE(std::string(error.what()).find("softmax"), std::string::npos) << error.what();
  }
  EXPECT_THROW(LoopCompiler(Isa::scalar).compile(rms_norm_body(DType::f32, 1, 8).graph, access, "x"), CompileError);
  const Type matrix{DType::f32, {4, 8}}, quantised{DType::q4_0, {4, 32}};
  EXPECT_FALSE(LoopCompiler::can_contain(Op::sum, ReduceAttrs{{0}, true}, {&matrix, 1}, {DType::f32, {1, 8}}));
  EXPECT_FALSE(LoopCompiler::can_contain(Op::sum, ReduceAttrs{{1}, false}, {&matrix, 1}, {DType::f32, {4}}));
  EXPECT_TRUE(LoopCompiler::can_contain(Op::sum, ReduceAttrs{{1}, true}, {&matrix, 1}, {DType::f32, {4, 1}}));
  EXPECT_FALSE(LoopCompiler::can_contain(Op::cast, CastAttrs{}, {&quantised, 1}, {DType::f32, {4, 32}}));
}

}  // namespace
}  // namespace lazuli::cpu
