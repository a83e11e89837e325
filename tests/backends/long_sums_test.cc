// SPDX-License-Identifier: MIT
// Sums of any length lose no accuracy, and every way of running them follows one rule: 16 lanes, of more than 1024
// elements in blocks of 512 that are added up in f64, the tree 16 > 8 > 4 > 2 > 1.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <cstring>

namespace lazuli {
namespace {

constexpr std::size_t lanes = 16, single = 1024, block = 512;

template <class T>
T tree(std::vector<T> lane_sums) {
  for (std::size_t half = lanes / 2; half > 0; half /= 2)
    for (std::size_t l = 0; l < half; ++l) lane_sums[l] += lane_sums[l + half];
  return lane_sums[0];
}

// Of values that are at least one lane each: the bits that every kernel gives.
float sum_by_the_rule(std::span<const float> values) {
  std::vector<float> sums(lanes, -0.0f);
  std::vector<double> totals(lanes, -0.0);
  const std::size_t whole = values.size() / lanes * lanes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (whole > single && i > 0 && i < whole && i % block == 0)
      for (std::size_t l = 0; l < lanes; ++l) {
        totals[l] += static_cast<double>(sums[l]);
        sums[l] = -0.0f;
      }
    sums[i % lanes] += values[i];
  }
  if (whole <= single) return tree(sums);
  for (std::size_t l = 0; l < lanes; ++l) totals[l] += static_cast<double>(sums[l]);
  return static_cast<float>(tree(totals));
}

enum class Values { tenths, uniform, falling };

std::vector<float> values_of(Values kind, std::int64_t count) {
  std::mt19937 random(static_cast<std::uint32_t>(count) + 3);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(kind == Values::tenths    ? 0.1f
                     : kind == Values::uniform ? static_cast<float>(random()) * 0x1p-32f
                                               : 1.0f / static_cast<float>(i + 1));
  return values;
}

double exact_sum(const std::vector<float>& values) {
  double total = 0;
  for (const float value : values) total += static_cast<double>(value);
  return total;
}

SessionOptions options(int threads, const char* fusion, Isa isa) {
  SessionOptions result;
  result.threads = threads;
  result.fusion = fusion;
  result.isa = isa;
  return result;
}

float first(const Array& x) { return x.data<float>()[0]; }

constexpr std::int64_t lengths[] = {1,    2,    15,   16,   17,   100,  511,  512,  513,  640,   1000,  1023,   1024,
                                    1025, 1039, 1040, 1041, 1535, 1536, 1551, 1552, 1553, 10000, 65536, 195000, 300007};

void expect_close(double found, double expected, const char* what, std::int64_t count) {
  EXPECT_NEAR(found / expected, 1, 1e-6) << what << " of " << count;
}

TEST(LongSums, AreExactToAMillionthAtEveryLength) {
  Session session(options(2, "all", test::usable_isas().back()));
  for (const Values kind : {Values::tenths, Values::uniform, Values::falling})
    for (const std::int64_t count : lengths) {
      const std::vector<float> values = values_of(kind, count);
      const double total = exact_sum(values), size = static_cast<double>(count);
      double squares = 0, exponentials = 0;
      for (const float value : values) {
        squares += static_cast<double>(value) * static_cast<double>(value);
        exponentials += std::exp(static_cast<double>(value));
      }
      const Array x = Array::from(values, {count}), columns = broadcast_to(reshape(x, {count, 1}), {count, 17});
      const Array rows = columns + zeros({1, 17});
      const std::vector<Array> results = {sum(x, {0}),      mean(x, {0}),    sum(x * 2.0, {0}), sum(rows, {0}),
                                          mean(rows, {0}),  softmax(x, 0),   rms_norm(x, 0.0),  logsumexp(x, {0}),
                                          softmax(rows, 0), linalg::norm(x), log_softmax(x, 0)};
      session.eval(results);
      const double start = static_cast<double>(values[0]);
      const double expected[] = {total,
                                 total / size,
                                 2 * total,
                                 total,
                                 total / size,
                                 std::exp(start) / exponentials,
                                 start / std::sqrt(squares / size),
                                 std::log(exponentials),
                                 std::exp(start) / exponentials,
                                 std::sqrt(squares),
                                 start - std::log(exponentials)};
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (std::fabs(expected[i]) < 1e-3 && i >= 7) continue;  // a difference of numbers that are nearly equal
        expect_close(first(results[i]), expected[i], std::to_string(i).c_str(), count);
      }
    }
}

TEST(LongSums, OfMoreElementsThanF32CanCount) {
  Session session;
  const std::int64_t count = std::int64_t{1} << 29;
  EXPECT_EQ(mean(full({count}, 1.0), {0}).item<float>(), 1.0f);
  EXPECT_EQ(sum(full({count}, 1.0), {0}).item<float>(), static_cast<float>(count));
}

TEST(LongSums, FollowOneRuleInEveryWay) {
  for (const Isa isa : test::usable_isas())
    for (const auto& [threads, fusion] : {std::pair(1, "none"), std::pair(2, "all"), std::pair(3, "all")}) {
      Session session(options(threads, fusion, isa));
      for (const std::int64_t count : lengths) {
        if (count > 65536 && isa != test::usable_isas().back()) continue;  // the same code, for longer
        const std::vector<float> values = values_of(Values::uniform, count);
        const float expected = sum_by_the_rule(values);
        const Array x = Array::from(values, {count});
        const Array scaled = x * 4.0;  // exact
        const Array wide = reshape(x, {count, 1}) * ones({1, 40});
        const std::vector<Array> results = {sum(x, {0}), sum(scaled, {0}) * 0.25, sum(wide, {0}),
                                            sum(slice(wide, {0, 0}, {count, 40}, {1, 3}), {0}),
                                            sum(transpose(wide, {1, 0}), {1})};
        session.eval(results);
        for (std::size_t i = 0; i < results.size(); ++i)
          for (const float found : results[i].data<float>())
            ASSERT_EQ(found, expected) << i << " of " << count << ", " << to_string(isa) << ", " << threads << ", "
                                       << fusion;
      }
    }
}

// Half precision rounds once, at the end, and f64 keeps its digits.
TEST(LongSums, OfOtherRealTypes) {
  Session session;
  const std::int64_t count = 100001;
  for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
    const Array x = full({count}, 0.25, dtype) + zeros({count}, dtype);
    EXPECT_EQ(cast(mean(x, {0}), DType::f32).item<float>(), 0.25f) << to_string(dtype);
    EXPECT_EQ(cast(mean(broadcast_to(reshape(x, {count, 1}), {count, 16}) + zeros({1, 16}, dtype), {0}), DType::f32)
                  .data<float>()[3],
              0.25f)
        << to_string(dtype);
  }
  const Array tenths = full({count}, 0.1, DType::f64) + zeros({count}, DType::f64);
  EXPECT_NEAR(sum(tenths, {0}).item<double>() / (0.1 * static_cast<double>(count)), 1, 1e-15);
}

TEST(LongSums, KeepInfinitiesAndNaN) {
  Session session;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t place : {0u, 700u, 4999u}) {
    std::vector<float> values(5000, 1.0f);
    values[place] = infinity;
    EXPECT_EQ(sum(Array::from(values, {5000}), {0}).item<float>(), infinity);
    values[17] = -infinity;
    EXPECT_TRUE(std::isnan(sum(Array::from(values, {5000}), {0}).item<float>()));
  }
  std::vector<float> zeros_below(5000, -0.0f);
  EXPECT_TRUE(std::signbit(sum(Array::from(zeros_below, {5000}), {0}).item<float>()));
}

}  // namespace
}  // namespace lazuli
