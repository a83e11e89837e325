// SPDX-License-Identifier: MIT
// Every op on cases worked out by hand.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/philox.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>

#include <limits>
#include <numbers>

namespace lazuli {
namespace {

using Numbers = std::vector<double>;
using test::buffer_of;
using test::error_of;
using test::random_buffer;
using test::values_of;

constexpr double infinity = std::numeric_limits<double>::infinity();

Array array(DType dtype, Shape shape, const Numbers& values) {
  const Type type{dtype, std::move(shape)};
  return Array::from(buffer_of(type, values), type);
}
Array reals(Shape shape, const Numbers& values) { return array(DType::f32, std::move(shape), values); }
Array vector(const Numbers& values, DType dtype = DType::f32) {
  return array(dtype, {static_cast<std::int64_t>(values.size())}, values);
}
Array indices(const Numbers& values) { return vector(values, DType::i32); }
Array number(double value, DType dtype = DType::i32) { return array(dtype, {}, {value}); }

std::vector<Numbers> run(std::initializer_list<Array> outputs) {
  std::vector<Array> leaves;
  const Graph graph = snapshot(std::span(outputs.begin(), outputs.size()), &leaves);
  std::vector<BufferRef> inputs;
  for (const Array& leaf : leaves) inputs.push_back(leaf.node()->results()[0].buffer);
  const std::vector<BufferRef> buffers = test::run_reference(graph, std::move(inputs));
  std::vector<Numbers> results;
  for (std::size_t i = 0; i < buffers.size(); ++i)
    results.push_back(values_of(graph.type(graph.outputs[i]), *buffers[i]));
  return results;
}
Numbers run(const Array& output) { return run({output})[0]; }

void expect_near(const Array& output, const Numbers& expected, double tolerance = 1e-6) {
  const Numbers actual = run(output);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], tolerance) << "element " << i;
}

TEST(Philox, KnownAnswers) {  // of the authors' library Random123
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(random_word(0, 2), 0xbc57ac4cu);
}

TEST(Reference, Leaves) {
  EXPECT_EQ(run(scalar(-3, DType::i8)), Numbers({-3}));
  EXPECT_EQ(run(scalar(0.1)), Numbers({static_cast<double>(0.1f)}));
  EXPECT_EQ(run(full({2, 2}, 1.5)), Numbers(4, 1.5));
  EXPECT_EQ(run(iota(4)), Numbers({0, 1, 2, 3}));
  EXPECT_EQ(run(iota(3, DType::bf16)), Numbers({0, 1, 2}));
  EXPECT_EQ(run(iota(0)), Numbers());
  const Array constant = Array::constant(buffer_of({DType::f32, {2}}, {5, 6}), {DType::f32, {2}});
  EXPECT_EQ(run(constant), Numbers({5, 6}));
}

TEST(Reference, RandomDependsOnKeyAndPositionAlone) {
  const Numbers wide = run(random::uniform({64, 64}, DType::f32, 7));
  const Numbers narrow = run(random::uniform({10}, DType::f32, 7));
  EXPECT_TRUE(std::equal(narrow.begin(), narrow.end(), wide.begin()));
  EXPECT_EQ(wide[5], (random_word(7, 5) >> 8) * 0x1p-24);
  EXPECT_NE(run(random::uniform({10}, DType::f32, 8)), narrow);
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Numbers values = run(random::uniform({20000}, dtype, 1));
    EXPECT_GE(*std::min_element(values.begin(), values.end()), 0.0);
    EXPECT_LT(*std::max_element(values.begin(), values.end()), 1.0) << to_string(dtype);
  }
}

TEST(Reference, RandomNormalHasUnitVariance) {
  const Numbers values = run(random::normal({40001}, DType::f32, 3));
  double sum = 0, squares = 0;
  for (double value : values) sum += value, squares += value * value;
  EXPECT_NEAR(sum / 40001, 0.0, 0.02);
  EXPECT_NEAR(squares / 40001, 1.0, 0.03);
}

TEST(Reference, RealUnaryOps) {
  EXPECT_EQ(run(-vector({1, -2})), Numbers({-1, 2}));
  EXPECT_EQ(run(abs(vector({1, -2}))), Numbers({1, 2}));
  EXPECT_EQ(run(square(vector({3, -0.5}))), Numbers({9, 0.25}));
  EXPECT_EQ(run(sqrt(vector({4, 2.25}))), Numbers({2, 1.5}));
  EXPECT_EQ(run(rsqrt(vector({4, 0.25, 0}))), Numbers({0.5, 2, infinity}));
  EXPECT_EQ(run(reciprocal(vector({4, -0.5}))), Numbers({0.25, -2}));
  EXPECT_EQ(run(floor(vector({1.5, -1.5, 2}))), Numbers({1, -2, 2}));
  expect_near(exp(vector({0, 1, -1})), {1, 2.718281828, 0.367879441});
  expect_near(log(vector({1, 10})), {0, 2.302585093});
  expect_near(tanh(vector({0, 1, -20})), {0, 0.761594156, -1});
  expect_near(sigmoid(vector({0, 1, -100})), {0.5, 0.731058579, 0});
  expect_near(erf(vector({0, 0.5})), {0, 0.520499878});
  expect_near(sin(vector({0, 1})), {0, 0.841470985});
  expect_near(cos(vector({0, 1})), {1, 0.540302306});
  expect_near(tan(vector({0, 1})), {0, 1.557407725});
  expect_near(asin(vector({0.5, -1})), {0.523598776, -1.570796327});
  expect_near(acos(vector({0.5, -1})), {1.047197551, 3.141592654});
  expect_near(atan(vector({1, -1e9})), {0.785398163, -1.570796326});
  expect_near(sinh(vector({1})), {1.175201194});
  expect_near(cosh(vector({1})), {1.543080635});
  expect_near(asinh(vector({1})), {0.881373587});
  expect_near(acosh(vector({2})), {1.316957897});
  expect_near(atanh(vector({0.5})), {0.549306144});
  EXPECT_EQ(run(exp2(vector({3, -1}))), Numbers({8, 0.5}));
  expect_near(expm1(vector({1})), {1.718281828});
  EXPECT_EQ(run(log2(vector({8, 0.25}))), Numbers({3, -2}));
  EXPECT_EQ(run(log10(vector({1000}))), Numbers({3}));
  expect_near(log1p(vector({1})), {0.693147181});
  EXPECT_EQ(run(ceil(vector({1.5, -1.5}))), Numbers({2, -1}));
  EXPECT_EQ(run(trunc(vector({1.5, -1.5}))), Numbers({1, -1}));
  EXPECT_EQ(run(round(vector({0.5, 1.5, 2.5, -2.5}))), Numbers({0, 2, 2, -2}));
  EXPECT_EQ(run(sign(vector({-3, 0, 0.5}))), Numbers({-1, 0, 1}));
}

TEST(Reference, Activations) {
  expect_near(relu(vector({-2, 3})), {0, 3});
  expect_near(leaky_relu(vector({-2, 3}), 0.25), {-0.5, 3});
  expect_near(elu(vector({-1, 3}), 2), {-1.264241118, 3});
  expect_near(gelu(vector({-1, 1})), {-0.158655254, 0.841344746});
  expect_near(silu(vector({-1, 1})), {-0.268941421, 0.731058579});
  expect_near(softplus(vector({-1, 0})), {0.313261688, 0.693147181});
  expect_near(mish(vector({-1, 1})), {-0.303401453, 0.865098388});
  expect_near(hard_swish(vector({-4, -1, 1, 4})), {0, -0.333333333, 0.666666667, 4});
}

TEST(Reference, DivisionsLeaveTheDocumentedSigns) {
  const Array a = vector({7, -7, 7, -7}), b = vector({3, 3, -3, -3});
  EXPECT_EQ(run(remainder(a, b)), Numbers({1, 2, -2, -1}));
  EXPECT_EQ(run(fmod(a, b)), Numbers({1, -1, 1, -1}));
  expect_near(atan2(vector({1, -1}), vector({-1, 1})), {2.356194490, -0.785398163});
}

TEST(Reference, RsqrtRoundsTwice) {
  for (float x : {3.0f, 7.0f, 0.1f, 123.456f})
    EXPECT_EQ(run(rsqrt(vector({x})))[0], static_cast<double>(1.0f / std::sqrt(x))) << x;
}

TEST(Reference, ResultsRoundToTheirType) {
  EXPECT_EQ(run(vector({1}, DType::bf16) + vector({0x1p-9}, DType::bf16)), Numbers({1}));
  EXPECT_EQ(run(vector({1}, DType::f16) + vector({0x1p-10}, DType::f16)), Numbers({1 + 0x1p-10}));
  EXPECT_EQ(run(vector({60000}, DType::f16) + vector({60000}, DType::f16)), Numbers({infinity}));
  EXPECT_EQ(run(vector({1}) + vector({0x1p-24})), Numbers({1}));
}

TEST(Reference, BinaryOpsBroadcast) {
  const Array row = vector({1, 2, 3}), column = reals({2, 1}, {10, 20});
  EXPECT_EQ(run(column + row), Numbers({11, 12, 13, 21, 22, 23}));
  EXPECT_EQ(run(column - row), Numbers({9, 8, 7, 19, 18, 17}));
  EXPECT_EQ(run(row * column), Numbers({10, 20, 30, 20, 40, 60}));
  EXPECT_EQ(run(column / row), Numbers({10, 5, static_cast<float>(10.0 / 3), 20, 10, static_cast<float>(20.0 / 3)}));
  EXPECT_EQ(run(pow(row, vector({2, 3, 0}))), Numbers({1, 8, 1}));
  EXPECT_EQ(run(2.0f - row), Numbers({1, 0, -1}));
  EXPECT_EQ(run(reals({0, 3}, {}) + row), Numbers());
}

TEST(Reference, MaximumAndMinimumKeepNan) {
  const Array a = vector({1, 5, NAN, 2}), b = vector({3, 4, 1, NAN});
  const Numbers largest = run(maximum(a, b)), smallest = run(minimum(a, b));
  EXPECT_EQ(largest[0], 3);
  EXPECT_EQ(largest[1], 5);
  EXPECT_EQ(smallest[0], 1);
  EXPECT_EQ(smallest[1], 4);
  for (std::size_t i : {2, 3}) EXPECT_TRUE(std::isnan(largest[i]) && std::isnan(smallest[i])) << i;
  EXPECT_EQ(run(maximum(vector({-3, 4}, DType::i8), vector({-5, 6}, DType::i8))), Numbers({-3, 6}));
  EXPECT_EQ(run(minimum(vector({-3, 4}, DType::i8), vector({-5, 6}, DType::i8))), Numbers({-5, 4}));
  EXPECT_EQ(run(clip(vector({-7, 0.5, 7}), -1, 1)), Numbers({-1, 0.5, 1}));
}

TEST(Reference, IntegersWrapAround) {
  const Array bytes = vector({127, -128}, DType::i8);
  EXPECT_EQ(run(bytes + vector({1, -1}, DType::i8)), Numbers({-128, 127}));
  EXPECT_EQ(run(bytes - vector({-1, 1}, DType::i8)), Numbers({-128, 127}));
  EXPECT_EQ(run(bytes * vector({2, 2}, DType::i8)), Numbers({-2, 0}));
  EXPECT_EQ(run(-bytes), Numbers({-127, -128}));
  EXPECT_EQ(run(abs(bytes)), Numbers({127, -128}));
  EXPECT_EQ(run(square(vector({16, 15}, DType::u8))), Numbers({0, 225}));
  EXPECT_EQ(run(vector({1}, DType::u32) - vector({2}, DType::u32)), Numbers({4294967295}));
  const Array large = vector({0x1p62}, DType::i64);
  EXPECT_EQ(run(large + large), Numbers({-0x1p63}));
}

TEST(Reference, IntegerDivisionGoesTowardNegativeInfinity) {
  EXPECT_EQ(run(indices({7, -7, 7, -7, 6, -6, 5, 0}) / indices({2, 2, -2, -2, 3, 3, 0, 0})),
            Numbers({3, -4, -4, 3, 2, -2, 0, 0}));
  EXPECT_EQ(run(indices({-0x1p31}) / indices({-1})), Numbers({-0x1p31}));
  EXPECT_EQ(run(vector({-0x1p63}, DType::i64) / vector({-1}, DType::i64)), Numbers({-0x1p63}));
  EXPECT_EQ(run(vector({250}, DType::u8) / vector({100}, DType::u8)), Numbers({2}));
}

TEST(Reference, Casts) {
  const Array real = vector({1.9, -1.9, 300, -300, NAN, infinity, -infinity});
  EXPECT_EQ(run(cast(real, DType::i8)), Numbers({1, -1, 127, -128, 0, 127, -128}));
  EXPECT_EQ(run(cast(real, DType::u8)), Numbers({1, 0, 255, 0, 0, 255, 0}));
  EXPECT_EQ(run(cast(real, DType::i32)), Numbers({1, -1, 300, -300, 0, 2147483647, -0x1p31}));
  EXPECT_EQ(run(cast(real, DType::u32)), Numbers({1, 0, 300, 0, 0, 4294967295, 0}));
  EXPECT_EQ(run(cast(real, DType::i64)), Numbers({1, -1, 300, -300, 0, 0x1p63, -0x1p63}));
  EXPECT_EQ(run(cast(vector({0, 0.5, -0.0, NAN}), DType::bool_)), Numbers({0, 1, 0, 1}));
  EXPECT_EQ(run(cast(indices({300, -1, 0}), DType::u8)), Numbers({44, 255, 0}));
  EXPECT_EQ(run(cast(indices({300, -1, 0}), DType::bool_)), Numbers({1, 1, 0}));
  EXPECT_EQ(run(cast(vector({0, 1}, DType::bool_), DType::f32)), Numbers({0, 1}));
  EXPECT_EQ(run(cast(indices({16777217}), DType::f32)), Numbers({16777216}));
  EXPECT_EQ(run(cast(vector({1.00390625}), DType::bf16)), Numbers({1}));
}

TEST(Reference, ComparisonsAndLogic) {
  const Array a = vector({1, 2, 3, NAN}), b = vector({2, 2, 2, NAN});
  EXPECT_EQ(run(equal(a, b)), Numbers({0, 1, 0, 0}));
  EXPECT_EQ(run(not_equal(a, b)), Numbers({1, 0, 1, 1}));
  EXPECT_EQ(run(less(a, b)), Numbers({1, 0, 0, 0}));
  EXPECT_EQ(run(less_equal(a, b)), Numbers({1, 1, 0, 0}));
  EXPECT_EQ(run(greater(a, b)), Numbers({0, 0, 1, 0}));
  EXPECT_EQ(run(greater_equal(a, b)), Numbers({0, 1, 1, 0}));
  EXPECT_EQ(run(less(vector({-1}, DType::i64), vector({0}, DType::i64))), Numbers({1}));
  const Array p = vector({0, 0, 1, 1}, DType::bool_), q = vector({0, 1, 0, 1}, DType::bool_);
  EXPECT_EQ(run(logical_and(p, q)), Numbers({0, 0, 0, 1}));
  EXPECT_EQ(run(logical_or(p, q)), Numbers({0, 1, 1, 1}));
  EXPECT_EQ(run(logical_not(p)), Numbers({1, 1, 0, 0}));
  EXPECT_EQ(run(select(p, a, -1.0f)).at(0), -1);
  EXPECT_EQ(run(select(array(DType::bool_, {2, 1}, {1, 0}), vector({1, 2}), number(9, DType::f32))),
            Numbers({1, 2, 9, 9}));
}

TEST(Reference, Reductions) {
  const Array x = reals({2, 3}, {1, 2, 3, 4, 5, -6});
  EXPECT_EQ(run(sum(x, {1})), Numbers({6, 3}));
  EXPECT_EQ(run(sum(x, {0}, true)), Numbers({5, 7, -3}));
  EXPECT_EQ(run(sum(x, {0, 1})), Numbers({9}));
  EXPECT_EQ(run(mean(x, {-1})), Numbers({2, 1}));
  EXPECT_EQ(run(max(x, {0})), Numbers({4, 5, 3}));
  EXPECT_EQ(run(min(x, {0, 1})), Numbers({-6}));
  EXPECT_EQ(run(sum(vector({100, 100}, DType::i8), {0})), Numbers({-56}));
  EXPECT_EQ(run(max(vector({-9, -2, -4}, DType::i8), {0})), Numbers({-2}));
  EXPECT_TRUE(std::isnan(run(max(vector({1, NAN, 2}), {0}))[0]));
  EXPECT_EQ(run(sum(reals({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), {0, 2})), Numbers({14, 22}));
}

TEST(Reference, ArgmaxAndTopKTakeTheFirstOfEquals) {
  const Array x = reals({2, 4}, {1, 7, 7, 3, 5, 5, 5, 5});
  EXPECT_EQ(run(argmax(x)), Numbers({1, 0}));
  EXPECT_EQ(run(argmax(x, 0)), Numbers({1, 0, 0, 1}));
  EXPECT_EQ(run(argmax(vector({NAN, -infinity, 2}))), Numbers({0}));
  const TopK best = top_k(x, 3);
  EXPECT_EQ(run({best.values, best.indices}), (std::vector<Numbers>{{7, 7, 3, 5, 5, 5}, {1, 2, 3, 0, 1, 2}}));
  const TopK whole = top_k(indices({-1, 4}), 2);
  EXPECT_EQ(run({whole.values, whole.indices}), (std::vector<Numbers>{{4, -1}, {1, 0}}));
}

TEST(Reference, Views) {
  const Array x = reals({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run(reshape(x, {3, -1})), Numbers({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(run(transpose(x, {1, 0})), Numbers({1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(run(transpose(reshape(x, {1, 2, 3}), {2, 0, 1})), Numbers({1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(run(slice(x, {0, 1}, {2, 3})), Numbers({2, 3, 5, 6}));
  EXPECT_EQ(run(slice(x, {1, 0}, {2, 3}, {1, 2})), Numbers({4, 6}));
  EXPECT_EQ(run(slice(x, {1, 1}, {1, 3})), Numbers());
  EXPECT_EQ(run(broadcast_to(vector({1, 2}), {2, 2})), Numbers({1, 2, 1, 2}));
  EXPECT_EQ(run(broadcast_to(reals({2, 1}, {1, 2}), {2, 2, 2})), Numbers({1, 1, 2, 2, 1, 1, 2, 2}));
}

TEST(Reference, Concatenate) {
  const Array x = reals({2, 2}, {1, 2, 3, 4}), y = reals({2, 1}, {5, 6});
  EXPECT_EQ(run(concatenate({x, y, x}, 1)), Numbers({1, 2, 5, 1, 2, 3, 4, 6, 3, 4}));
  EXPECT_EQ(run(concatenate({x, reals({0, 2}, {}), reals({1, 2}, {7, 8})}, 0)), Numbers({1, 2, 3, 4, 7, 8}));
  EXPECT_EQ(run(stack({x, x}, 1)), Numbers({1, 2, 1, 2, 3, 4, 3, 4}));
}

TEST(Reference, SliceUpdate) {
  const Array base = reals({4, 2}, {0, 0, 1, 1, 2, 2, 3, 3}), rows = reals({2, 2}, {7, 8, 9, 10});
  EXPECT_EQ(run(slice_update(base, rows, number(1), 0)), Numbers({0, 0, 7, 8, 9, 10, 3, 3}));
  EXPECT_EQ(run(slice_update(base, rows, number(3), 0)), Numbers({0, 0, 1, 1, 2, 2, 7, 8}));
  EXPECT_EQ(run(slice_update(base, rows, number(9), 0)), Numbers({0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(run(slice_update(base, rows, number(3), 0, /*ring=*/true)), Numbers({9, 10, 1, 1, 2, 2, 7, 8}));
  EXPECT_EQ(run(slice_update(base, rows, number(10), 0, /*ring=*/true)), Numbers({0, 0, 1, 1, 7, 8, 9, 10}));
  EXPECT_EQ(run(slice_update(base, reals({4, 1}, {4, 5, 6, 7}), number(1), 1)), Numbers({0, 4, 1, 5, 2, 6, 3, 7}));
}

TEST(Reference, TakeAndGather) {
  const Array x = reals({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run(take(x, indices({1, 0, 1}), 0)), Numbers({4, 5, 6, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(run(take(x, indices({2, 2}), 1)), Numbers({3, 3, 6, 6}));
  EXPECT_EQ(run(take(x, number(1), 1)), Numbers({2, 5}));
  EXPECT_EQ(run(gather(x, array(DType::i32, {2, 2}, {2, 0, 1, 1}), 1)), Numbers({3, 1, 5, 5}));
  EXPECT_EQ(run(gather(x, array(DType::i32, {1, 3}, {1, 0, 1}), 0)), Numbers({4, 2, 6}));
}

TEST(Reference, TakeDequantisesRows) {
  for (const DTypeInfo& dtype : all_dtypes()) {
    if (dtype.kind != DTypeKind::quantised) continue;
    const Type type{dtype.dtype, {3, 256}};
    const BufferRef table = random_buffer(type, 5);
    const Numbers all = values_of(type, *table);
    Numbers expected(all.begin() + 512, all.end());
    expected.insert(expected.end(), all.begin(), all.begin() + 256);
    EXPECT_EQ(run(take_rows(Array::constant(table, type), indices({2, 0}))), expected) << dtype.name;
  }
}

TEST(Reference, Matmul) {
  const Array a = reals({2, 3}, {1, 2, 3, 4, 5, 6}), b = reals({3, 2}, {1, 0, 0, 1, 1, 1});
  EXPECT_EQ(run(matmul(a, b)), Numbers({4, 5, 10, 11}));
  EXPECT_EQ(run(matmul(reals({2, 1, 2}, {1, 2, 3, 4}), reals({2, 1}, {10, 1}))), Numbers({12, 34}));
  EXPECT_EQ(run(matmul(reals({2, 0}, {}), reals({0, 1}, {}))), Numbers({0, 0}));
}

TEST(Reference, LinearReadsEveryWeightType) {
  const Array x = reals({2, 1, 256}, values_of({DType::f32, {512}}, *random_buffer({DType::f32, {512}}, 1)));
  const Numbers rows = run(x);
  for (const DTypeInfo& dtype : all_dtypes()) {
    if (dtype.kind != DTypeKind::quantised && (dtype.kind != DTypeKind::real || dtype.dtype == DType::f64)) continue;
    const Type type{dtype.dtype, {3, 256}};
    const BufferRef weight = random_buffer(type, 2);
    const Numbers weights = values_of(type, *weight);
    Numbers expected(6);
    for (std::size_t row = 0; row < 2; ++row)
      for (std::size_t column = 0; column < 3; ++column)
        for (std::size_t k = 0; k < 256; ++k)
          expected[row * 3 + column] += rows[row * 256 + k] * weights[column * 256 + k];
    expect_near(linear(x, Array::constant(weight, type)), expected, 1e-4);
  }
}

TEST(Reference, ElementwiseAndRowComposites) {
  expect_near(gelu_tanh(vector({0, 1, -1, 10})), {0, 0.841191991, -0.158808009, 10});
  expect_near(softcap(vector({0, 30, -3000}), 30), {0, 22.84782467, -30}, 2e-6);
  expect_near(softmax(reals({2, 2}, {0, std::numbers::ln2, 500, 500})), {1.0 / 3, 2.0 / 3, 0.5, 0.5});
  expect_near(softmax(reals({2, 2}, {0, 5, 0, 5}), 0), {0.5, 0.5, 0.5, 0.5});
  expect_near(rms_norm(reals({2, 2}, {3, 4, 0, 0}), 0.5), {3 / std::sqrt(13.0), 4 / std::sqrt(13.0), 0, 0});
  expect_near(rms_norm(reals({1, 2}, {1, 7}), vector({2, 10}), 0), {0.4, 14});
}

TEST(Reference, Rope) {
  // Two heads of width 4 at position 3, base 100: theta = 3, 0.3.
  const Array x = reals({1, 2, 4}, {1, 0, 0, 1, 0, 2, 0, 0}), at = indices({3});
  const double c0 = std::cos(3.0), s0 = std::sin(3.0), c1 = std::cos(0.3), s1 = std::sin(0.3);
  expect_near(rope(x, at, RopeAttrs{100, 1, 0}), {c0, -s1, s0, c1, 0, 2 * c1, 0, 2 * s1});
  expect_near(rope(x, at, RopeAttrs{100, 1, 1}), {c0, 0, s0, 1, 0, 2, 0, 0});
  expect_near(rope(x, indices({6}), RopeAttrs{100, 0.5, 0}), {c0, -s1, s0, c1, 0, 2 * c1, 0, 2 * s1});
  expect_near(rope(x, indices({30}), vector({10, 1e30}), RopeAttrs{100, 1, 0}), {c0, 0, s0, 1, 0, 2, 0, 0});
}

TEST(Reference, AltUp) {
  // Two planes of one row of width 2.
  const Array planes = reals({2, 1, 2}, {1, 2, 10, 20});
  EXPECT_EQ(run(altup_predict(planes, reals({1, 4}, {1, 0.5, -1, 2}))), Numbers({7, 14, 29, 58}));
  const Array activated = reals({1, 2}, {4, 4}), coefficients = reals({1, 2}, {0, 1});
  EXPECT_EQ(run(altup_correct(planes, activated, coefficients)), Numbers({4, 4, 16, 24}));
  EXPECT_EQ(run(altup_correct(planes, activated, coefficients, AltupAttrs{1})), Numbers({-5, -14, -2, -12}));
}

// One kv head of width 1, all keys alike, so that every visible key weighs the same and the result is a mean of values.
Numbers attend(const Numbers& positions, double length, const Numbers& values, std::int64_t window) {
  const auto rows = static_cast<std::int64_t>(positions.size()), capacity = static_cast<std::int64_t>(values.size());
  const Array ones = reals({rows, 1, 1}, Numbers(positions.size(), 1));
  const Array keys = reals({capacity, 1, 1}, Numbers(values.size(), 1));
  return run(attention(ones, keys, reals({capacity, 1, 1}, values), indices(positions), number(length),
                       AttentionAttrs{1, window}));
}

TEST(Reference, AttentionSeesTheRightKeys) {
  const Numbers values = {1, 2, 4, 8};
  EXPECT_EQ(attend({0, 1, 3}, 4, values, 0), Numbers({1, 1.5, 3.75}));  // causal
  EXPECT_EQ(attend({3, 3}, 2, values, 0), Numbers({1.5, 1.5}));         // rows past the length are not there
  EXPECT_EQ(attend({3, 0}, 4, values, 2), Numbers({6, 1}));             // a window counts the query's own position
  EXPECT_EQ(attend({-1, 2}, 4, values, 0), Numbers({0, (1 + 2 + 4) / 3.0f}));  // padding
  EXPECT_EQ(attend({9}, 4, values, 3), Numbers({0}));                          // nothing in the window
  // Ring: 6 positions were written, so that row 0 holds position 4 and row 1 position 5.
  EXPECT_EQ(attend({5, 4}, 6, values, 2), Numbers({1.5, 4.5}));
  EXPECT_EQ(attend({5}, 6, values, 4), Numbers({3.75}));
}

TEST(Reference, AttentionWeighsByScoresAndSharesKvHeads) {
  // Scores 0 and ln 3 · scale give the weights 1/4 and 3/4. Query heads 0, 1 read kv head 0; heads 2, 3 kv head 1.
  const double score = 2 * std::log(3.0);
  const Array q = reals({1, 4, 1}, {1, 0, 1, -1}), k = reals({2, 2, 1}, {0, 0, score, score});
  const Array v = reals({2, 2, 1}, {0, 100, 4, 200});
  expect_near(attention(q, k, v, indices({1}), number(2), AttentionAttrs{0.5, 0}), {3, 2, 175, 125}, 1e-4);
}

// Three rows of a table of 256, plus 1; the indices are the input.
Graph take_graph() {
  const Scope scope{"embed"};
  const Type table{DType::f32, {256, 2}};
  const Array rows = take_rows(Array::constant(random_buffer(table, 1), table), placeholder({DType::i32, {3}}));
  return graph_of({rows + 1.0f});
}

TEST(Reference, ErrorsNameTheNode) {
  const BufferRef bad = buffer_of({DType::i32, {3}}, {0, 1, 300});
  EXPECT_EQ(error_of<ExecutionError>([&] { test::run_reference(take_graph(), {bad}); }),
            "take: index 300 at position 2 is outside [0, 256) (node %2 in embed)");
  EXPECT_EQ(error_of<ExecutionError>([] { run(slice_update(vector({1, 2}), vector({3}), number(-1), 0)); }),
            "slice_update: start is -1, expected 0 or more (node %3)");
  EXPECT_EQ(error_of<ExecutionError>([] { test::run_reference(take_graph(), {}); }),
            "0 inputs given, the program has 1");
  EXPECT_EQ(error_of<ExecutionError>([] { test::run_reference(take_graph(), {Buffer::allocate(8)}); }),
            "input 0: 8 bytes given for i32[3], expected 12");
}

TEST(Reference, FusedRunsItsBody) {
  const Type type{DType::f32, {2}};
  const Array x = placeholder(type), y = placeholder(type);
  std::vector<Array> leaves{x, y};
  const std::vector<Array> results{tanh(x) * y, x + y};
  Graph graph;
  const ValueId a = graph.add({Op::input, InputAttrs{0}, {}, {type}});
  const ValueId b = graph.add({Op::input, InputAttrs{1}, {}, {type}});
  GraphNode fused{Op::fused, FusedAttrs{"tanh_mul"}, {b, a}, {type, type}};
  fused.body = std::make_shared<const Graph>(snapshot(results, &leaves));
  const std::int32_t node = graph.add(std::move(fused)).node;
  graph.outputs = {{node, 0}, {node, 1}};
  const std::vector<BufferRef> outputs =
      test::run_reference(graph, {buffer_of(type, {2, 3}), buffer_of(type, {0, 50})});
  EXPECT_EQ(values_of(type, *outputs[0]), Numbers({0, 3}));
  EXPECT_EQ(values_of(type, *outputs[1]), Numbers({2, 53}));
}

TEST(Reference, StepsAndProfileCoverEveryComputedNode) {
  const Graph graph = take_graph();
  const std::unique_ptr<Program> program = make_reference_backend()->compile(graph, {});
  ASSERT_EQ(program->steps().size(), 3u);  // take, scalar, add
  EXPECT_EQ(program->steps()[0].kernel, "reference_take");
  EXPECT_EQ(program->arena_bytes(), 24 + 4 + 24);
  const BufferRef input = buffer_of({DType::i32, {3}}, {0, 1, 2}), output = Buffer::allocate(24);
  RunRecorder recorder;
  program->execute(std::span(&input, 1), std::span(&output, 1), {}, &recorder);
  ASSERT_EQ(recorder.record().workers.size(), 1u);
  const std::vector<RunSpan>& spans = recorder.record().workers[0];
  ASSERT_EQ(spans.size(), 3u);
  for (int step = 0; step < 3; ++step) {
    const RunSpan& span = spans[static_cast<std::size_t>(step)];
    EXPECT_EQ(span.step, step);
    EXPECT_LE(span.begin_ns, span.end_ns);
  }
}

TEST(Reference, SupportsWhatIsWellTyped) {
  const std::unique_ptr<Backend> backend = make_reference_backend();
  const Type real{DType::f32, {2}}, integer{DType::i32, {2}};
  EXPECT_TRUE(backend->supports(Op::add, NoAttrs{}, std::vector{real, real}));
  EXPECT_FALSE(backend->supports(Op::add, NoAttrs{}, std::vector{real, integer}));
  EXPECT_TRUE(backend->supports(Op::fused, FusedAttrs{"loop"}, std::vector{real}));
}

TEST(Reference, LongChainsRun) {
  Array x = vector({0});
  for (int i = 0; i < 100000; ++i) x = x + 1.0f;
  EXPECT_EQ(run(x), Numbers({100000}));
}

}  // namespace
}  // namespace lazuli
