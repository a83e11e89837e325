// SPDX-License-Identifier: MIT
// Reductions made of other ops, against naive loops in double.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/along_axes.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/launches.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <functional>

namespace lazuli {
namespace {

using test::error_of;
using Reduce = std::function<Array(const Array&, const Dims&, bool)>;
using Naive = std::function<double(const std::vector<double>&)>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// One rounding of the dtype, and f32 sums of some dozens of terms.
double tolerance(DType dtype) { return dtype == DType::bf16 ? 0x1p-7 : dtype == DType::f16 ? 0x1p-10 : 2e-6; }

std::vector<double> values_of(const Array& x) {
  eval({x});
  x.bytes();
  return test::values_of(x.type(), *x.node()->results()[0].buffer);
}

void expect_reduces(const Reduce& reduce, const Naive& naive, const std::vector<DType>& dtypes) {
  Session session;
  for (const DType dtype : dtypes) {
    const Type type{dtype, {3, 5, 17}};
    const BufferRef buffer = test::random_buffer(type, 7, -3, 3);
    const Array x = Array::from(buffer, type);
    for (const Dims& axes : std::vector<Dims>{{0}, {1}, {-1}, {0, 2}, {-2, 0}, {0, 1, 2}})
      for (const bool keep_dims : {false, true}) {
        const Array result = reduce(x, axes, keep_dims);
        const auto lists = test::values_along(type.shape, axes, test::values_of(type, *buffer));
        ASSERT_EQ(result.shape(), sum(cast(x, DType::f32), axes, keep_dims).shape());
        const std::vector<double> found = values_of(result);
        ASSERT_EQ(found.size(), lists.size());
        for (std::size_t i = 0; i < lists.size(); ++i) {
          const double expected = naive(lists[i]);
          EXPECT_NEAR(found[i], expected, tolerance(dtype) * std::max(1.0, std::fabs(expected)))
              << to_string(type) << " over " << to_string(axes) << ", element " << i;
        }
      }
  }
}

const std::vector<DType> reals = {DType::f32, DType::f16, DType::bf16};

double variance(const std::vector<double>& values, double ddof) {
  double mean = 0, squares = 0;
  for (double value : values) mean += value / static_cast<double>(values.size());
  for (double value : values) squares += (value - mean) * (value - mean);
  return squares / (static_cast<double>(values.size()) - ddof);
}

TEST(Reductions, Variance) {
  for (const std::int64_t ddof : {0, 1}) {
    const auto freedom = static_cast<double>(ddof);
    expect_reduces([=](const Array& x, const Dims& axes, bool keep_dims) { return var(x, axes, keep_dims, ddof); },
                   [=](const std::vector<double>& values) { return variance(values, freedom); }, reals);
    expect_reduces([=](const Array& x, const Dims& axes, bool keep_dims) { return stddev(x, axes, keep_dims, ddof); },
                   [=](const std::vector<double>& values) { return std::sqrt(variance(values, freedom)); }, reals);
  }
}

TEST(Reductions, VarianceKeepsItsDigitsBesideALargeMean) {
  Session session;
  const Array x = Array::from<float>({4096, 4097, 4098, 4099}, {4});
  EXPECT_EQ(var(x, {0}).item<float>(), 1.25f);
  EXPECT_EQ(var(x, {0}, false, 1).item<float>(), 5.0f / 3.0f);
}

TEST(Reductions, VarianceWithoutFreedomIsNoNumber) {
  Session session;
  const Array x = Array::from<float>({1, 2}, {2});
  EXPECT_EQ(var(x, {0}, false, 2).item<float>(), infinity);
  EXPECT_TRUE(std::isnan(var(reshape(x, {2, 1}), {1}, false, 1).data<float>()[0]));
}

TEST(Reductions, LogSumExp) {
  expect_reduces([](const Array& x, const Dims& axes, bool keep_dims) { return logsumexp(x, axes, keep_dims); },
                 [](const std::vector<double>& values) {
                   double total = 0;
                   for (double value : values) total += std::exp(value);
                   return std::log(total);
                 },
                 reals);
}

TEST(Reductions, LogSumExpOfLargeValuesAndInfinities) {
  Session session;
  const Array x = Array::from<float>({1000, 1000, -infinity, -infinity, 5, infinity, nan, 0, -infinity, -1000}, {5, 2});
  const Array result = logsumexp(x, {1});
  const std::span<const float> found = result.data<float>();
  EXPECT_NEAR(found[0], 1000 + std::log(2.0f), 1e-3);
  EXPECT_EQ(found[1], -infinity);
  EXPECT_EQ(found[2], infinity);
  EXPECT_TRUE(std::isnan(found[3]));
  EXPECT_EQ(found[4], -1000);
}

TEST(Reductions, Norms) {
  using linalg::norm;
  const auto of_order = [](double order) {
    return [=](const Array& x, const Dims& axes, bool keep_dims) { return norm(x, axes, keep_dims, order); };
  };
  expect_reduces(
      of_order(1),
      [](const std::vector<double>& values) {
        double total = 0;
        for (double value : values) total += std::fabs(value);
        return total;
      },
      reals);
  expect_reduces(
      of_order(2),
      [](const std::vector<double>& values) {
        double total = 0;
        for (double value : values) total += value * value;
        return std::sqrt(total);
      },
      reals);
  expect_reduces(
      of_order(std::numeric_limits<double>::infinity()),
      [](const std::vector<double>& values) {
        double largest = 0;
        for (double value : values) largest = std::max(largest, std::fabs(value));
        return largest;
      },
      reals);
  Session session;
  EXPECT_EQ(norm(Array::from<float>({1, -2, 2, 4}, {2, 2})).item<float>(), 5);
}

TEST(Reductions, CountNonzero) {
  expect_reduces(
      [](const Array& x, const Dims& axes, bool keep_dims) { return count_nonzero(x, axes, keep_dims); },
      [](const std::vector<double>& values) {
        return static_cast<double>(std::count_if(values.begin(), values.end(), [](double x) { return x != 0; }));
      },
      {DType::f32, DType::i8, DType::i64, DType::bool_});
  Session session;
  const Array x = Array::from<float>({0, -0.0f, nan, 1e-45f}, {4});
  EXPECT_EQ(count_nonzero(x).dtype(), DType::i32);
  EXPECT_EQ(count_nonzero(x).item<int>(), 2);
  EXPECT_TRUE(any(x).item<bool>());
  EXPECT_FALSE(all(x).item<bool>());
}

TEST(Reductions, OfAllElements) {
  Session session;
  const Array x = Array::from<float>({1, 2, 3, 4, 5, 6}, {2, 3}), number = reshape(Array::from<float>({-2}, {1}), {});
  EXPECT_EQ(sum(x).item<float>(), 21);
  EXPECT_EQ(mean(x).item<float>(), 3.5f);
  EXPECT_EQ(max(x).item<float>(), 6);
  EXPECT_EQ(min(x).item<float>(), 1);
  EXPECT_EQ(prod(x).item<float>(), 720);
  EXPECT_EQ(count_nonzero(x).item<int>(), 6);
  EXPECT_FLOAT_EQ(var(x).item<float>(), 35.0f / 12);
  EXPECT_FLOAT_EQ(stddev(x).item<float>(), std::sqrt(35.0f / 12));
  EXPECT_TRUE(all(x).item<bool>());
  for (const Array& result : {sum(x), mean(x), max(x), min(x), prod(x), any(x), all(x), var(x), logsumexp(x)})
    EXPECT_EQ(result.shape(), Shape{});
  EXPECT_EQ(sum(number).item<float>(), -2);
  EXPECT_EQ(prod(number).item<float>(), -2);
  EXPECT_EQ(logsumexp(number).item<float>(), -2);
  EXPECT_EQ(sum(number).shape(), Shape{});
}

TEST(Reductions, OfTheLastAxisAreOneKernel) {
  Session session;
  const Array x = Array::from(test::random_buffer({DType::f32, {5, 33}}, 1), {DType::f32, {5, 33}});
  for (const bool keep_dims : {false, true}) {
    EXPECT_EQ(test::launches(session, {var(x, {-1}, keep_dims)}).size(), 1u);
    EXPECT_EQ(test::launches(session, {logsumexp(x, {-1}, keep_dims)}).size(), 1u);
    EXPECT_EQ(test::launches(session, {any(x, {-1}, keep_dims)}).size(), 1u);
    EXPECT_EQ(test::launches(session, {linalg::norm(x, {-1}, keep_dims)}).size(), 1u);
    EXPECT_EQ(test::launches(session, {count_nonzero(x, {-1}, keep_dims)}).size(), 1u);
  }
}

TEST(Reductions, OfNothing) {
  for (const char* backend : {"cpu", "reference"})
    for (const char* fusion : {"all", "none", "primitive"}) {
      SessionOptions options;
      options.backend = backend;
      options.fusion = fusion;
      Session session(options);
      const Array x = Array::from(std::vector<float>(), {2, 0}) + 1.0f, none = zeros({0, 0}) * 2.0f;
      const std::pair<Array, float> cases[] = {
          {sum(x, {1}), 0},
          {prod(x, {1}), 1},
          {mean(x, {1}), nan},
          {var(x, {1}), nan},
          {stddev(x, {1}), nan},
          {var(x, {1}, true, 1), nan},
          {logsumexp(x, {1}), -infinity},
          {linalg::norm(x, {1}), 0},
          {sum(x, {0, 1}), 0},
          {mean(x), nan},
          {sum(none), 0},
          {sum(x * 2.0f, {1}, true), 0},
          {cast(any(x, {1}), DType::f32), 0},
          {cast(all(x, {1}), DType::f32), 1},
          {cast(count_nonzero(x, {1}), DType::f32), 0},
      };
      for (const auto& [result, expected] : cases) {
        const std::vector<double> found = values_of(result);
        ASSERT_FALSE(found.empty());
        for (const double value : found)
          EXPECT_TRUE(value == static_cast<double>(expected) || (std::isnan(value) && std::isnan(expected)))
              << value << ", expected " << expected << ", " << backend << " " << fusion;
      }
      EXPECT_EQ(sum(x, {1}, true).shape(), (Shape{2, 1}));
      EXPECT_EQ(sum(x, {0}).shape(), (Shape{0}));
      EXPECT_EQ(values_of(sum(x, {0})).size(), 0u);
      EXPECT_EQ(cast(prod(zeros({3, 0}, DType::i32), {-1}), DType::f32).data<float>()[2], 1.0f);
      for (const Array& same :
           {softmax(x), log_softmax(x), rms_norm(x, 1e-6), rms_norm(x, zeros({0}), 1e-6), softmax(x, 0)}) {
        EXPECT_EQ(same.shape(), x.shape());
        EXPECT_EQ(values_of(same * 2.0f).size(), 0u);
      }
    }
}

TEST(Reductions, SayWhatTheyExpect) {
  const Array x = placeholder({DType::f32, {2, 3}}), integers = placeholder({DType::i32, {2, 3}}),
              bools = placeholder({DType::bool_, {2, 3}}), empty = placeholder({DType::f32, {2, 0}});
  EXPECT_EQ(error_of([&] { prod(bools, {0}); }), "prod: operand 0 is bool[2,3], expected numbers");
  EXPECT_EQ(error_of([&] { make_array(Op::any, ReduceAttrs{{0}, false}, {x}); }),
            "any: operand 0 is f32[2,3], expected bool");
  EXPECT_EQ(error_of([&] { all(x, {2}); }), "all: axis 2 is out of range for an array of rank 2");
  EXPECT_EQ(error_of([&] { prod(x, {}); }), "prod: no axes given");
  EXPECT_EQ(error_of([&] { max(empty, {1}); }), "max: axis 1 of f32[2,0] is empty");
  EXPECT_EQ(error_of([&] { min(empty); }), "min: axis 1 of f32[2,0] is empty");
  EXPECT_TRUE(
      error_of([&] { mean(zeros({0}, DType::i32)); }).starts_with("mean: operand 0 is i32[1], expected a real"));
  EXPECT_TRUE(error_of([&] { var(integers, {0}); }).starts_with("mean: operand 0 is i32[2,3], expected a real dtype"));
  EXPECT_EQ(error_of([&] { argmin(empty, 1); }), "argmin: axis 1 of f32[2,0] is empty");
  EXPECT_EQ(error_of([&] { linalg::norm(x, {0}, false, 3); }), "norm: order is 3, expected 1, 2 or infinity");
}

}  // namespace
}  // namespace lazuli
