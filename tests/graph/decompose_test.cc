// SPDX-License-Identifier: MIT
// Composites against their decompositions, both on the reference backend.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tests/support/run_reference.h>

namespace lazuli {
namespace {

using test::buffer_of;
using test::max_difference;
using test::random_buffer;

constexpr DType real_dtypes[] = {DType::f32, DType::f16, DType::bf16};

// 16-bit results round once in both, but from values that differ in f32: two neighbours of bf16 are 2^-8 apart.
double tolerance(DType dtype) { return dtype == DType::f32 ? 1e-5 : 5e-3; }

Graph single_op(Op op, const Attrs& attrs, const std::vector<Type>& operands) {
  Graph graph;
  GraphNode node{op, attrs, {}, infer_types(op, attrs, operands)};
  for (std::size_t i = 0; i < operands.size(); ++i)
    node.inputs.push_back(graph.add({Op::input, InputAttrs{static_cast<std::int64_t>(i)}, {}, {operands[i]}}));
  graph.outputs = {graph.add(std::move(node))};
  return graph;
}

// Runs both and returns the composite's result.
BufferRef expect_equivalent(Op op, const Attrs& attrs, const std::vector<Type>& operands,
                            const std::vector<BufferRef>& values) {
  const Graph composite = single_op(op, attrs, operands), parts = decomposition(op, attrs, operands);
  SCOPED_TRACE(fmt::format("{}{} of {}", to_string(op), to_string(attrs), to_string(operands[0])));
  verify(parts);
  const std::vector<ValueId> inputs = parts.inputs();
  EXPECT_EQ(inputs.size(), operands.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(parts.type(inputs[i]), operands[i]) << "input " << i;
  for (const GraphNode& node : parts.nodes) EXPECT_FALSE(is_composite(node.op));
  const Type& type = composite.type(composite.outputs[0]);
  EXPECT_EQ(parts.type(parts.outputs.at(0)), type);
  const BufferRef expected = test::run_reference(composite, values)[0], actual = test::run_reference(parts, values)[0];
  EXPECT_LE(max_difference(type, *expected, *actual), tolerance(type.dtype));
  return expected;
}

void expect_equivalent_on_random(Op op, const Attrs& attrs, const std::vector<Type>& operands) {
  std::vector<BufferRef> values;
  for (const Type& type : operands)
    values.push_back(random_buffer(type, static_cast<std::uint32_t>(values.size() + 1)));
  expect_equivalent(op, attrs, operands, values);
}

TEST(Decompose, Elementwise) {
  for (DType dtype : real_dtypes)
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 5}, Shape{0, 4}}) {
      for (const Op op : {Op::gelu, Op::gelu_tanh, Op::silu, Op::softplus, Op::mish})
        expect_equivalent_on_random(op, NoAttrs{}, {{dtype, shape}});
      expect_equivalent_on_random(Op::softcap, SoftcapAttrs{1.5}, {{dtype, shape}});
    }
  const Type wide{DType::f32, {400}};
  for (const Op op : {Op::gelu, Op::gelu_tanh, Op::silu, Op::softplus, Op::mish})
    expect_equivalent(op, NoAttrs{}, {wide}, {random_buffer(wide, 1, -30, 30)});
  expect_equivalent(Op::softcap, SoftcapAttrs{30}, {wide}, {random_buffer(wide, 1, -200, 200)});
}

TEST(Decompose, Softmax) {
  for (DType dtype : real_dtypes)
    for (std::int64_t axis = 0; axis < 3; ++axis)
      expect_equivalent_on_random(Op::softmax, AxisAttrs{axis}, {{dtype, {3, 4, 5}}});
  const Type large{DType::f32, {2, 9}};
  expect_equivalent(Op::softmax, AxisAttrs{1}, {large}, {random_buffer(large, 1, -500, 500)});
}

TEST(Decompose, RmsNorm) {
  for (DType dtype : real_dtypes)
    for (const Shape& shape : {Shape{8}, Shape{3, 16}, Shape{2, 3, 5}}) {
      expect_equivalent_on_random(Op::rms_norm, RmsNormAttrs{1e-6}, {{dtype, shape}});
      expect_equivalent_on_random(Op::rms_norm, RmsNormAttrs{0.1}, {{dtype, shape}, {dtype, {shape.back()}}});
    }
}

TEST(Decompose, Rope) {
  const Type positions{DType::i32, {5}};
  const BufferRef at = buffer_of(positions, {0, 1, 7, 30, 2});
  for (DType dtype : real_dtypes)
    for (const RopeAttrs& attrs : {RopeAttrs{}, RopeAttrs{100, 0.125, 0}, RopeAttrs{1e6, 1, 3}, RopeAttrs{50, 1, 4}}) {
      const Type x{dtype, {5, 2, 8}}, factors{DType::f32, {4}};
      const BufferRef values = random_buffer(x, 3);
      expect_equivalent(Op::rope, attrs, {x, positions}, {values, at});
      expect_equivalent(Op::rope, attrs, {x, positions, factors}, {values, at, buffer_of(factors, {1, 2, 0.5, 1e30})});
    }
}

struct AttentionCase {
  const char* name;
  std::int64_t heads, kv_heads, capacity, window;
  std::vector<double> positions;
  double length;
};

const AttentionCase attention_cases[] = {
    {"whole prompt", 2, 2, 6, 0, {0, 1, 2, 3, 4, 5}, 6},
    {"decode, room left", 4, 2, 16, 0, {8}, 9},
    {"one kv head for all", 4, 1, 8, 0, {5, 6}, 7},
    {"window", 4, 2, 8, 3, {0, 2, 5, 7}, 8},
    {"padding rows", 2, 1, 8, 0, {3, 4, -1, -1}, 5},
    {"padding rows in a window", 2, 1, 8, 2, {-1, 4, -1, 3}, 5},
    {"nothing cached", 2, 1, 4, 0, {0, 1}, 0},
    {"window past the length", 2, 1, 8, 2, {7, 3}, 4},
    {"ring not yet full", 4, 2, 8, 4, {3, 4}, 5},
    {"ring exactly full", 4, 2, 8, 4, {6, 7}, 8},
    {"ring wrapped once", 4, 2, 8, 4, {9, 10, 11}, 12},
    {"ring wrapped often, padding", 4, 2, 7, 4, {100, 101, -1}, 102},
    {"ring of exactly the window", 2, 2, 4, 4, {1000}, 1001},
};

TEST(Decompose, Attention) {
  for (const AttentionCase& item : attention_cases) {
    SCOPED_TRACE(item.name);
    const auto rows = static_cast<std::int64_t>(item.positions.size());
    for (DType dtype : real_dtypes)
      for (DType cache : {dtype, DType::f32, DType::f16, DType::q8_0}) {
        const std::int64_t head = cache == DType::q8_0 ? 32 : 8;
        const std::vector<Type> types = {{dtype, {rows, item.heads, head}},
                                         {cache, {item.capacity, item.kv_heads, head}},
                                         {cache, {item.capacity, item.kv_heads, head}},
                                         {DType::i32, {rows}},
                                         {DType::i32, {}}};
        const BufferRef result =
            expect_equivalent(Op::attention, AttentionAttrs{0.35, item.window}, types,
                              {random_buffer(types[0], 1), random_buffer(types[1], 2), random_buffer(types[2], 3),
                               buffer_of(types[3], item.positions), buffer_of(types[4], {item.length})});
        const std::vector<double> values = test::values_of(types[0], *result);
        for (std::size_t row = 0; row < item.positions.size(); ++row)
          if (item.positions[row] < 0) {
            const std::size_t width = static_cast<std::size_t>(item.heads * head);
            EXPECT_TRUE(std::all_of(values.begin() + row * width, values.begin() + (row + 1) * width,
                                    [](double value) { return value == 0; }));
          }
      }
  }
}

TEST(Decompose, AltUp) {
  for (DType dtype : real_dtypes)
    for (std::int64_t planes : {1, 2, 4})
      for (const Shape& rows : {Shape{}, Shape{3}, Shape{2, 3}}) {
        const auto with = [&](std::int64_t last, bool stacked) {
          Shape shape = rows;
          shape.push_back(last);
          if (stacked) shape.insert(shape.begin(), planes);
          return Type{dtype, shape};
        };
        expect_equivalent_on_random(Op::altup_predict, AltupAttrs{}, {with(6, true), with(planes * planes, false)});
        for (std::int64_t active = 0; active < planes; ++active)
          expect_equivalent_on_random(Op::altup_correct, AltupAttrs{active},
                                      {with(6, true), with(6, false), with(planes, false)});
      }
}

TEST(Decompose, GeluKeepsItsOrderOfOperations) {
  const std::vector<Type> operands{{DType::f32, {4}}};
  const Graph parts = decomposition(Op::gelu_tanh, NoAttrs{}, operands);
  std::vector<Op> ops;
  for (const GraphNode& node : parts.nodes)
    if (!is_leaf(node.op)) ops.push_back(node.op);
  std::vector<Op> expected{Op::mul, Op::mul, Op::mul, Op::mul, Op::add, Op::mul, Op::tanh, Op::add, Op::mul};
  EXPECT_EQ(ops, expected);
}

std::vector<Type> smallest_operands(Op op) {
  const Type row{DType::f32, {2}}, cube{DType::f32, {1, 1, 2}}, position{DType::i32, {1}}, length{DType::i32, {}};
  switch (op) {
    case Op::rope:
      return {cube, position};
    case Op::attention:
      return {cube, cube, cube, position, length};
    case Op::altup_predict:
      return {{DType::f32, {2, 2}}, {DType::f32, {4}}};
    case Op::altup_correct:
      return {{DType::f32, {2, 2}}, row, row};
    case Op::interpolate:
      return {cube};
    default:
      return {row};
  }
}

Attrs smallest_attrs(const OpInfo& op) {
  return op.op == Op::interpolate ? InterpolateAttrs{{3}, 1, {2}, {0}, {3}} : op.default_attrs;
}

TEST(Decompose, EveryCompositeHasOne) {
  for (const OpInfo& op : all_ops()) {
    if (!op.has(op_flags::composite)) continue;
    EXPECT_NO_THROW(verify(decomposition(op.op, smallest_attrs(op), smallest_operands(op.op)))) << op.name;
  }
  EXPECT_THROW(decomposition(Op::tanh, NoAttrs{}, smallest_operands(Op::tanh)), InternalError);
}

}  // namespace
}  // namespace lazuli
