// SPDX-License-Identifier: MIT
// Norms over channels against naive loops, and norms over rows as one kernel.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/launches.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>

namespace lazuli {
namespace {

using test::error_of;
using Names = std::vector<std::string>;

struct Operand {
  Array array;
  std::vector<double> values;
};

Operand operand(DType dtype, Shape shape, std::uint32_t seed, double low = -2, double high = 2) {
  const Type type{dtype, std::move(shape)};
  const BufferRef buffer = test::random_buffer(type, seed, low, high);
  return {Array::from(buffer, type), test::values_of(type, *buffer)};
}

double tolerance(DType dtype) { return dtype == DType::bf16 ? 0x1p-7 : dtype == DType::f16 ? 0x1p-10 : 5e-6; }

void expect_near(const Array& result, const std::vector<double>& expected) {
  eval({result});
  result.bytes();
  const std::vector<double> found = test::values_of(result.type(), *result.node()->results()[0].buffer);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], tolerance(result.dtype()) * std::max(1.0, std::fabs(expected[i])))
        << "element " << i;
}

// x [batch, positions, channels]
std::vector<double> naive_group_norm(const Operand& x, std::size_t batch, std::size_t positions, std::size_t channels,
                                     std::size_t groups, double epsilon) {
  const std::size_t size = channels / groups;
  std::vector<double> result(x.values.size());
  for (std::size_t n = 0; n < batch; ++n)
    for (std::size_t g = 0; g < groups; ++g) {
      std::vector<std::size_t> members;
      for (std::size_t p = 0; p < positions; ++p)
        for (std::size_t c = g * size; c < (g + 1) * size; ++c) members.push_back((n * positions + p) * channels + c);
      double mean = 0, variance = 0;
      for (std::size_t i : members) mean += x.values[i] / static_cast<double>(members.size());
      for (std::size_t i : members) variance += std::pow(x.values[i] - mean, 2) / static_cast<double>(members.size());
      for (std::size_t i : members) result[i] = (x.values[i] - mean) / std::sqrt(variance + epsilon);
    }
  return result;
}

std::vector<double> scaled(std::vector<double> values, const Operand& weight, const Operand& bias) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = i % weight.values.size();
    values[i] = values[i] * weight.values[channel] + bias.values[channel];
  }
  return values;
}

TEST(Norms, GroupsOfChannels) {
  Session session;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Operand x = operand(dtype, {3, 5, 2, 12}, 1), weight = operand(dtype, {12}, 2),
                  bias = operand(dtype, {12}, 3);
    for (const std::int64_t groups : {1, 3, 12}) {
      const std::vector<double> expected = naive_group_norm(x, 3, 10, 12, static_cast<std::size_t>(groups), 1e-3);
      expect_near(group_norm(x.array, groups, 1e-3), expected);
      expect_near(group_norm(x.array, weight.array, bias.array, groups, 1e-3), scaled(expected, weight, bias));
    }
    const std::vector<double> expected = naive_group_norm(x, 3, 10, 12, 12, 1e-3);
    expect_near(instance_norm(x.array, 1e-3), expected);
    expect_near(instance_norm(x.array, weight.array, bias.array, 1e-3), scaled(expected, weight, bias));
  }
}

TEST(Norms, OfABatchWithGivenStatistics) {
  Session session;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Operand x = operand(dtype, {3, 7, 5}, 1), mean = operand(dtype, {5}, 2),
                  variance = operand(dtype, {5}, 3, 0.1, 4), weight = operand(dtype, {5}, 4),
                  bias = operand(dtype, {5}, 5);
    std::vector<double> expected(x.values.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      expected[i] = (x.values[i] - mean.values[i % 5]) / std::sqrt(variance.values[i % 5] + 1e-3);
    expect_near(batch_norm(x.array, mean.array, variance.array, 1e-3), expected);
    expect_near(batch_norm(x.array, mean.array, variance.array, weight.array, bias.array, 1e-3),
                scaled(expected, weight, bias));
  }
}

TEST(Norms, OverRowsAreOneKernel) {
  Session session;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Array x = operand(dtype, {5, 33}, 1).array, y = operand(dtype, {5, 33}, 2).array,
                weight = operand(dtype, {33}, 3).array, bias = operand(dtype, {33}, 4).array;
    EXPECT_EQ(test::launches(session, {layer_norm(x, 1e-5)}), Names{"layer_norm"});
    EXPECT_EQ(test::launches(session, {layer_norm(x, weight, bias, 1e-5)}), Names{"layer_norm"});
    EXPECT_EQ(test::launches(session, {log_softmax(x)}), Names{"log_softmax"});
    EXPECT_EQ(test::launches(session, {log_softmax(x, 0)}), Names{"log_softmax"});
    // Fused with what is before and behind it, in one launch of one or two results.
    const Array residual = x + y;
    EXPECT_EQ(test::launches(session, {silu(layer_norm(residual, weight, bias, 1e-5))}), Names{"add_layer_norm_silu"});
    EXPECT_EQ(test::launches(session, {residual, layer_norm(residual, weight, 1e-5)}), Names{"add_layer_norm"});
    EXPECT_EQ(test::launches(session, {log_softmax(exp(x)) * 2.0}).size(), 1u);
  }
}

TEST(Norms, AnotherEpsilonCompilesNothing) {
  Session session;
  const Array x = operand(DType::f32, {5, 33}, 1).array;
  eval({layer_norm(x, 1e-5)});
  const SessionStatistics before = session.statistics();
  eval({layer_norm(x, 0.5)});
  EXPECT_EQ(session.statistics().programs, before.programs);
  EXPECT_EQ(session.statistics().loops, before.loops);
}

TEST(Norms, SayWhatTheyExpect) {
  const Array x = placeholder({DType::f32, {2, 3, 8}}), weight = placeholder({DType::f32, {8}}),
              short_weight = placeholder({DType::f32, {7}}), half = placeholder({DType::f16, {8}}),
              empty = placeholder({DType::f32, {2, 0}}), integers = placeholder({DType::i32, {2, 8}}),
              vector = placeholder({DType::f32, {8}});
  EXPECT_EQ(error_of([&] { layer_norm(x, short_weight, 1e-5); }),
            "layer_norm: weight is f32[7], x is f32[2,3,8]; expected f32[8]");
  EXPECT_EQ(error_of([&] { layer_norm(x, weight, half, 1e-5); }),
            "layer_norm: dtypes differ: f32[2,3,8] and f16[8]; cast one of them");
  EXPECT_EQ(error_of([&] { layer_norm(empty, 1e-5); }),
            "layer_norm: operand 0 is f32[2,0], expected a last axis of at least one element");
  EXPECT_TRUE(error_of([&] {
                log_softmax(integers);
              }).starts_with("log_softmax: operand 0 is i32[2,8], expected a real dtype"));
  EXPECT_EQ(
      error_of([&] { group_norm(x, 3, 1e-5); }),
      "group_norm: x is f32[2,3,8], groups are 3; expected x [N, ..., C] of at least one element and a divisor of C");
  EXPECT_EQ(
      error_of([&] { instance_norm(vector, 1e-5); }),
      "instance_norm: x is f32[8], groups are 8; expected x [N, ..., C] of at least one element and a divisor of C");
  EXPECT_EQ(error_of([&] { batch_norm(x, weight, half, 1e-5); }),
            "batch_norm: variance is f16[8], x is f32[2,3,8]; expected f32[8]");
  EXPECT_EQ(error_of([&] { batch_norm(integers, weight, weight, 1e-5); }),
            "batch_norm: x is i32[2,8], expected a real dtype and at least one axis");
}

}  // namespace
}  // namespace lazuli
