// SPDX-License-Identifier: MIT
// attention.h against loops in double.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/attention.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>

#include <cmath>
#include <functional>
#include <limits>

#include "../support/error_of.h"

namespace lazuli {
namespace {

using Values = std::vector<double>;

Array random_array(Shape shape, std::int64_t key) { return random::normal(std::move(shape), DType::f32, key); }

Values values_of(const Array& x) {
  const std::span<const float> data = x.data<float>();
  return {data.begin(), data.end()};
}

struct Sizes {
  std::int64_t batch, heads, kv_heads, queries, keys, width, value_width;
};

// What a score becomes: given its place and the score after scaling. -inf hides the key.
using Change = std::function<double(std::int64_t b, std::int64_t n, std::int64_t t, std::int64_t s, double score)>;

Values by_loops(const Sizes& z, const Values& q, const Values& k, const Values& v, double scale, const Change& change,
                const Values& sinks = {}) {
  Values result;
  const auto at = [](const Values& x, std::int64_t i) { return x[static_cast<std::size_t>(i)]; };
  for (std::int64_t b = 0; b < z.batch; ++b)
    for (std::int64_t n = 0; n < z.heads; ++n)
      for (std::int64_t t = 0; t < z.queries; ++t) {
        const std::int64_t m = n / (z.heads / z.kv_heads);
        Values terms, mixed(static_cast<std::size_t>(z.value_width), 0.0);
        for (std::int64_t s = 0; s < z.keys; ++s) {
          double score = 0;
          for (std::int64_t d = 0; d < z.width; ++d)
            score += at(q, ((b * z.heads + n) * z.queries + t) * z.width + d) *
                     at(k, ((b * z.kv_heads + m) * z.keys + s) * z.width + d);
          terms.push_back(std::exp(change(b, n, t, s, score * scale)));
        }
        double total = sinks.empty() ? 0 : std::exp(at(sinks, n));
        for (const double term : terms) total += term;
        for (std::int64_t s = 0; s < z.keys && total > 0; ++s)
          for (std::int64_t e = 0; e < z.value_width; ++e)
            mixed[static_cast<std::size_t>(e)] +=
                at(terms, s) / total * at(v, ((b * z.kv_heads + m) * z.keys + s) * z.value_width + e);
        result.insert(result.end(), mixed.begin(), mixed.end());
      }
  return result;
}

void expect_near(const Array& actual, const Values& expected, double tolerance = 2e-5) {
  const Values values = values_of(actual);
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], tolerance) << "element " << i;
}

class Attention : public testing::Test {
 protected:
  static SessionOptions exact() {
    SessionOptions options;
    options.precision = Precision::f32;
    options.threads = 2;
    return options;
  }

  void check(const Sizes& z, const AttentionOptions& options, const Change& change, double scale = 0) {
    const Array q = random_array({z.batch, z.heads, z.queries, z.width}, 1);
    const Array k = random_array({z.batch, z.kv_heads, z.keys, z.width}, 2);
    const Array v = random_array({z.batch, z.kv_heads, z.keys, z.value_width}, 3);
    const Values sinks = options.sinks.defined() ? values_of(options.sinks) : Values{};
    expect_near(scaled_dot_product_attention(q, k, v, options),
                by_loops(z, values_of(q), values_of(k), values_of(v),
                         scale == 0 ? 1 / std::sqrt(static_cast<double>(z.width)) : scale, change, sinks));
  }

  Session session_{exact()};
};

constexpr double hidden = -std::numeric_limits<double>::infinity();
constexpr Sizes small{2, 6, 2, 5, 9, 8, 8};
const Change nothing = [](auto, auto, auto, auto, double score) { return score; };

TEST_F(Attention, Bidirectional) {
  for (const Sizes& z : {small, Sizes{1, 1, 1, 1, 1, 1, 1}, Sizes{3, 4, 4, 7, 7, 5, 11}, Sizes{1, 3, 1, 33, 17, 16, 3}})
    check(z, {}, nothing);
  check(small, {.scale = 0.25}, nothing, 0.25);
}

TEST_F(Attention, Causal) {
  for (const auto& [queries, keys] : {std::pair{5, 9}, {9, 9}, {9, 5}, {1, 6}}) {
    Sizes z = small;
    z.queries = queries, z.keys = keys;
    check(z, {.causal = true}, [z](auto, auto, std::int64_t t, std::int64_t s, double score) {
      return s <= t + z.keys - z.queries ? score : hidden;  // of more queries than keys the first see nothing
    });
  }
}

TEST_F(Attention, MasksThatAreBoolOrAdded) {
  // Keys from 4 on are padding in the first sequence; all keys are in the second: its queries see nothing.
  const Array lengths = Array::from({4, 0}, {2, 1, 1, 1});
  const Change padded = [](std::int64_t b, auto, auto, std::int64_t s, double score) {
    return s < (b == 0 ? 4 : 0) ? score : hidden;
  };
  check(small, {.mask = less(iota(small.keys), lengths)}, padded);
  check(small, {.causal = true, .mask = less(iota(small.keys), lengths)},
        [&](std::int64_t b, std::int64_t n, std::int64_t t, std::int64_t s, double score) {
          return s <= t + small.keys - small.queries ? padded(b, n, t, s, score) : hidden;
        });
  const Array bias = random_array({small.heads, small.queries, small.keys}, 7);
  const Values added = values_of(bias);
  check(small, {.mask = bias}, [&](auto, std::int64_t n, std::int64_t t, std::int64_t s, double score) {
    return score + added[static_cast<std::size_t>((n * small.queries + t) * small.keys + s)];
  });
}

TEST_F(Attention, AlibiSoftcapAndSinks) {
  const Array slopes = Array::from({0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f}, {small.heads});
  check(small, {.causal = true, .alibi_slopes = slopes},
        [](auto, std::int64_t n, std::int64_t t, std::int64_t s, double score) {
          const auto distance = static_cast<double>(s - (t + small.keys - small.queries));
          return distance <= 0 ? score + std::ldexp(distance, -1 - static_cast<int>(n)) : hidden;
        });
  check(small, {.softcap = 2}, [](auto, auto, auto, auto, double score) { return 2 * std::tanh(score / 2); });
  const Array sinks = random_array({small.heads}, 9);
  check(small, {.sinks = sinks}, nothing);
  // With a sink a query that sees nothing is no special case: all its weight is the sink's.
  check(small, {.mask = less(iota(small.keys), 0), .sinks = sinks}, [](auto...) { return hidden; });
}

TEST_F(Attention, QueriesThatSeeNothingInOtherDtypes) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
    const Array q = cast(random_array({1, 2, 3, 8}, 1), dtype), k = cast(random_array({1, 2, 5, 8}, 2), dtype);
    const Array mixed = scaled_dot_product_attention(q, k, k, {.mask = less(iota(5), 0)});
    EXPECT_EQ(mixed.dtype(), dtype);
    expect_near(cast(mixed, DType::f32), Values(48), 0);
  }
}

TEST_F(Attention, FusionAndThreadsChangeNoBit) {
  const auto compute = [](const char* fusion, int threads) {
    SessionOptions options = exact();
    options.fusion = fusion;
    options.threads = threads;
    const Session session(options);
    const Array q = random_array({2, 4, 33, 16}, 1), k = random_array({2, 2, 33, 16}, 2);
    return values_of(scaled_dot_product_attention(q, k, k, {.causal = true, .softcap = 5}));
  };
  const Values expected = compute("none", 1);
  EXPECT_EQ(compute("all", 1), expected);
  EXPECT_EQ(compute("all", 3), expected);
}

TEST_F(Attention, WrongOperands) {
  const Array q = random_array({1, 4, 3, 8}, 1), k = random_array({1, 2, 5, 8}, 2);
  EXPECT_EQ(test::error_of([&] { scaled_dot_product_attention(q, random_array({1, 3, 5, 8}, 2), k); }),
            "scaled_dot_product_attention: expected q [B, N, T, d], k [B, M, S, d], v [B, M, S, e], found q "
            "f32[1,4,3,8], k f32[1,3,5,8], v f32[1,2,5,8]");
  EXPECT_EQ(test::error_of([&] { scaled_dot_product_attention(q, k, k, {.mask = iota(5)}); }),
            "scaled_dot_product_attention: expected a mask of bool or f32, found i32[5]");
  EXPECT_EQ(test::error_of([&] { scaled_dot_product_attention(q, k, k, {.sinks = zeros({2})}); }),
            "scaled_dot_product_attention: sinks: expected [4], one for each head of q, found f32[2]");
}

// Pair j of a head turned by theta, [T, heads, d].
Values turned(const Array& x, const std::function<double(std::int64_t t, std::int64_t j)>& theta, std::int64_t pairs,
              bool interleaved) {
  Values result = values_of(x);
  const std::int64_t width = x.size(2);
  for (std::int64_t row = 0; row < x.size(0) * x.size(1); ++row)
    for (std::int64_t j = 0; j < pairs; ++j) {
      double& a = result[static_cast<std::size_t>(row * width + (interleaved ? 2 * j : j))];
      double& b = result[static_cast<std::size_t>(row * width + (interleaved ? 2 * j + 1 : j + width / 2))];
      const double angle = theta(row / x.size(1), j), low = a, high = b;
      a = low * std::cos(angle) - high * std::sin(angle);
      b = high * std::cos(angle) + low * std::sin(angle);
    }
  return result;
}

TEST_F(Attention, RopeOfNeighbours) {
  const Array x = random_array({4, 3, 10}, 5), positions = Array::from({0, 1, 7, 100}, {4});
  const double at[] = {0, 1, 7, 100};
  const auto theta = [&](std::int64_t t, std::int64_t j) {
    return at[t] * std::pow(500.0, -0.2 * static_cast<double>(j));
  };
  expect_near(rope_interleaved(x, positions, {.base = 500}), turned(x, theta, 5, true), 1e-4);
  expect_near(rope_interleaved(x, positions, {.base = 500, .rotated_pairs = 2}), turned(x, theta, 2, true), 1e-4);
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 2e-6}, {DType::f16, 2e-2}}) {
    const Array other = rope_interleaved(cast(x, dtype), positions, {.base = 500});
    EXPECT_EQ(other.dtype(), dtype);
    expect_near(cast(other, DType::f32), turned(x, theta, 5, true), tolerance);
  }
  EXPECT_EQ(test::error_of([&] { rope_interleaved(x, iota(3)); }),
            "rope_interleaved: expected positions [4], found [3]");
}

TEST_F(Attention, RopeOfSections) {
  const Array x = random_array({2, 3, 12}, 5), positions = Array::from({3, 4, 10, 20, 0, 1}, {3, 2});
  const double at[3][2] = {{3, 4}, {10, 20}, {0, 1}};
  const int section_of[] = {0, 1, 1, 2, 2, 2};
  const auto theta = [&](std::int64_t t, std::int64_t j) {
    return at[section_of[j]][t] * std::pow(10000.0, -static_cast<double>(j) / 6);
  };
  expect_near(rope_sections(x, positions, {1, 2, 3}), turned(x, theta, 6, false), 1e-4);
  EXPECT_EQ(test::error_of([&] { rope_sections(x, positions, {1, 2}); }),
            "rope_sections: expected positions and sections of 6 pairs in all, found 3 positions and 1 + 2");
}

}  // namespace
}  // namespace lazuli
