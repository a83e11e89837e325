// SPDX-License-Identifier: MIT
// The attention kernels of every instruction set this host has, rope and argmax, against definitions in double.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/kernels/attention/attention.h>
#include <lazuli/backends/cpu/kernels/rows/argmax.h>
#include <lazuli/backends/cpu/kernels/rows/rope.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();

std::vector<float> normal(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

struct Shape {
  std::int64_t heads = 4;
  std::int64_t kv_heads = 1;
  std::int64_t width = 64;
  std::int64_t length = 0;    // positions written
  std::int64_t capacity = 0;  // 0: the length
  std::int64_t window = 0;
  AttentionCache cache = AttentionCache::f32;
};

DType dtype_of(AttentionCache type) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0})
    if (attention_cache(dtype) == type) return dtype;
  return DType::f32;
}

// What a cache of this type makes of values, which are whole blocks.
std::vector<float> rounded(AttentionCache type, std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> stored(byte_size(dtype_of(type), count));
  quantise(dtype_of(type), values.data(), count, stored.data());
  dequantise(dtype_of(type), stored.data(), count, values.data());
  return values;
}

// Queries for some positions, and the keys and values of all positions written, by position and in their cache.
// Rows of the cache that were never written hold NaN, which shows in any result that reads them.
struct Problem {
  Shape shape;
  std::vector<std::int32_t> positions;
  float scale;
  std::vector<float> q, k, v;
  std::vector<std::uint8_t> k_cache, v_cache;

  Problem(const Shape& wanted, std::vector<std::int32_t> rows) : shape(wanted), positions(std::move(rows)) {
    if (shape.capacity == 0) shape.capacity = shape.length;
    scale = 1.0f / std::sqrt(static_cast<float>(shape.width));
    const std::size_t row = shape.kv_heads * shape.width;
    k = normal(shape.length * row, 11);
    v = normal(shape.length * row, 12);
    for (std::vector<float>* values : {&k, &v}) *values = rounded(shape.cache, std::move(*values));
    for (const std::int32_t position : positions) {  // a query depends on its position, not on its row
      const std::vector<float> values = normal(shape.heads * shape.width, 1000 + position);
      q.insert(q.end(), values.begin(), values.end());
    }
    fill_caches();
  }

  void fill_caches() {
    k_cache = in_cache(k);
    v_cache = in_cache(v);
  }

  std::vector<std::uint8_t> in_cache(const std::vector<float>& values) const {
    const DType dtype = dtype_of(shape.cache);
    const std::int64_t row = shape.kv_heads * shape.width, row_bytes = byte_size(dtype, row);
    std::vector<std::uint8_t> cache(shape.capacity * row_bytes, 0xff);  // all ones is a NaN in each type
    for (std::int64_t p = 0; p < shape.length; ++p) {
      quantise(dtype, values.data() + p * row, row,
               reinterpret_cast<std::byte*>(cache.data() + p % shape.capacity * row_bytes));
    }
    return cache;
  }

  AttentionArguments arguments(float* out) const {
    const std::int64_t q_row = shape.heads * shape.width, kv_row = shape.kv_heads * shape.width;
    AttentionArguments a{};
    a.q = q.data();
    a.k = k_cache.data();
    a.v = v_cache.data();
    a.out = out;
    a.positions = positions.data();
    a.rows = static_cast<std::int64_t>(positions.size());
    a.heads = shape.heads;
    a.kv_heads = shape.kv_heads;
    a.width = shape.width;
    a.capacity = shape.capacity;
    a.length = shape.length;
    a.window = shape.window;
    a.q_stride = a.out_stride = q_row;
    a.k_stride = a.v_stride = kv_row;
    a.scale = scale;
    a.cache = shape.cache;
    return a;
  }

  std::vector<float> run(const AttentionKernel& kernel, std::int64_t parts = 1) const {
    std::vector<float> out(q.size(), nan);
    const AttentionArguments a = arguments(out.data());
    const std::int64_t units = attention_units(kernel, a);
    for (std::int64_t part = 0; part < parts; ++part) {
      std::vector<float> scratch(attention_scratch_floats(kernel, a), nan);
      kernel.run(a, units * part / parts, units * (part + 1) / parts, scratch.data());
    }
    return out;
  }

  std::vector<float> run_by_parts(const AttentionKernel& kernel, std::int64_t workers = 1) const {
    std::vector<float> out(q.size(), nan);
    const AttentionArguments a = arguments(out.data());
    std::vector<float> partials(static_cast<std::size_t>(attention_partial_floats(a)), nan);
    const std::int64_t units = attention_part_units(a), queries = a.rows * a.heads;
    for (std::int64_t w = 0; w < workers; ++w) {
      std::vector<float> scratch(attention_scratch_floats(kernel, a), nan);
      kernel.run_parts(a, units * w / workers, units * (w + 1) / workers, partials.data(), scratch.data());
    }
    for (std::int64_t w = 0; w < workers; ++w) {
      kernel.combine(a, queries * w / workers, queries * (w + 1) / workers, partials.data());
    }
    return out;
  }

  std::vector<double> oracle() const {
    const std::int64_t group = shape.heads / shape.kv_heads, row = shape.kv_heads * shape.width;
    std::vector<double> out(q.size(), 0.0);
    for (std::size_t r = 0; r < positions.size(); ++r) {
      for (std::int64_t head = 0; head < shape.heads; ++head) {
        const std::int64_t oldest = std::max<std::int64_t>(shape.length - shape.capacity, 0);
        const std::int64_t first = shape.window > 0 ? std::max(positions[r] - shape.window + 1, oldest) : oldest;
        const std::int64_t end = std::min<std::int64_t>(positions[r] + 1, shape.length);
        const std::int64_t at = (r * shape.heads + head) * shape.width, kv = head / group * shape.width;
        std::vector<double> weights;
        for (std::int64_t p = first; p < end; ++p) {
          double dot = 0;
          for (std::int64_t i = 0; i < shape.width; ++i) dot += static_cast<double>(q[at + i]) * k[p * row + kv + i];
          weights.push_back(dot * scale);
        }
        if (weights.empty()) continue;
        const double top = *std::max_element(weights.begin(), weights.end());
        double total = 0;
        for (double& weight : weights) total += weight = std::exp(weight - top);
        for (std::int64_t p = first; p < end; ++p) {
          const double weight = weights[p - first] / total;
          for (std::int64_t i = 0; i < shape.width; ++i) out[at + i] += weight * v[p * row + kv + i];
        }
      }
    }
    return out;
  }
};

std::vector<std::int32_t> range(std::int32_t begin, std::int32_t end) {
  std::vector<std::int32_t> positions(end - begin);
  std::iota(positions.begin(), positions.end(), begin);
  return positions;
}

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

class Attentions : public testing::TestWithParam<AttentionKernel> {
 protected:
  void SetUp() override {
    if (!supported(kernel.isa)) GTEST_SKIP() << "this host lacks " << to_string(kernel.isa);
  }

  // f32 sums of up to 512 products give scores to some 1e-6, and weights as relatively; the values are near 1. Rounded
  // to bf16, the factors of a score and of a weighted value are off by up to 2^-8 each.
  double tolerance() const { return kernel.use == AttentionUse::any ? 1e-5 : 3e-2; }

  void expect_near_oracle(const Problem& problem) { expect_near_oracle(problem, problem.run(kernel)); }
  void expect_near_oracle(const Problem& problem, const std::vector<float>& found) {
    const std::vector<double> expected = problem.oracle();
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_FALSE(std::isnan(found[i])) << "element " << i;
      worst = std::max(worst, std::abs(found[i] - expected[i]) / std::max(1.0, std::abs(expected[i])));
    }
    EXPECT_LT(worst, tolerance());
  }

  const AttentionKernel& kernel = GetParam();
};

// Kernels that divide a row's positions, as decode steps do.
class AttentionParts : public Attentions {
 public:
  static std::vector<AttentionKernel> kernels() {
    std::vector<AttentionKernel> dividing;
    for (const AttentionKernel& kernel : attention_kernels())
      if (kernel.run_parts != nullptr) dividing.push_back(kernel);
    return dividing;
  }
};

std::string level_name(const testing::TestParamInfo<AttentionKernel>& info) {
  return std::string(info.param.name).substr(std::strlen("attention_"));
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionParts, testing::ValuesIn(AttentionParts::kernels()), level_name);
INSTANTIATE_TEST_SUITE_P(Levels, Attentions, testing::ValuesIn(attention_kernels().begin(), attention_kernels().end()),
                         level_name);

TEST_P(Attentions, MatchTheDefinition) {
  const std::pair<std::int64_t, std::int64_t> heads[] = {{4, 1}, {4, 4}, {6, 2}};
  int round = 0;
  for (const std::int64_t width : {16, 24, 64, 80, 256, 512}) {
    for (const std::int32_t rows : {1, 2, 7, 33, 130}) {
      const auto large = static_cast<AttentionCache>(round % 3);
      for (const AttentionCache cache : {AttentionCache::f32, AttentionCache::f16, AttentionCache::bf16}) {
        if (rows == 130 && cache != large) continue;  // one of them: the oracle is slow
        Shape shape;
        std::tie(shape.heads, shape.kv_heads) = heads[round % 3];
        shape.width = width;
        shape.cache = cache;
        const std::int32_t start = round * 37 % 150;
        shape.length = start + rows;
        shape.window = round % 2 == 0 ? 0 : 50;
        SCOPED_TRACE(testing::Message() << "width " << width << ", rows " << rows << ", start " << start << ", window "
                                        << shape.window << ", heads " << shape.heads << "/" << shape.kv_heads);
        expect_near_oracle(Problem(shape, range(start, start + rows)));
        ++round;
      }
    }
  }
}

// Blocks of 8 bits stand for values that f32 holds exactly: the arithmetic is the same.
TEST_P(Attentions, BlocksGiveTheBitsOfTheirValues) {
  for (const std::int64_t width : {32, 64, 96, 256, 512}) {
    for (const std::int32_t rows : {1, 3, 40}) {
      for (const std::int64_t kv_heads : {1, 2, 6}) {
        Shape shape{.heads = 6, .kv_heads = kv_heads, .width = width, .length = 300, .cache = AttentionCache::q8_0};
        if (rows == 3) shape.capacity = 192, shape.window = 150;
        const Problem blocks(shape, range(300 - rows, 300));
        Problem values = blocks;
        values.shape.cache = AttentionCache::f32;
        values.fill_caches();
        SCOPED_TRACE(testing::Message() << "width " << width << ", rows " << rows << ", kv heads " << kv_heads);
        const std::vector<float> found = blocks.run(kernel);
        expect_same_bits(found, values.run(kernel));
        if (rows == 3) expect_near_oracle(blocks, found);
        if (kernel.run_parts != nullptr) expect_same_bits(blocks.run_by_parts(kernel, 2), values.run_by_parts(kernel));
      }
    }
  }
}

TEST_P(Attentions, AnyNumberOfHeadsSharesKeys) {
  for (const std::int64_t group : {1, 2, 3, 5, 8}) {
    for (const std::int64_t width : {128, 320}) {
      const Shape shape{.heads = 2 * group,
                        .kv_heads = 2,
                        .width = width,
                        .length = 300,
                        .window = group == 3 ? 130 : 0,
                        .cache = AttentionCache::f16};
      expect_near_oracle(Problem(shape, range(263, 300)));
    }
  }
}

TEST_P(Attentions, RingsWrap) {
  for (const std::int32_t length : {100, 192, 300, 1000}) {
    const Shape shape{.width = 64, .length = length, .capacity = 192, .window = 100, .cache = AttentionCache::f16};
    expect_near_oracle(Problem(shape, range(length - 93, length)));
  }
}

// Without a window, or with one wider than the ring, a row sees what the ring still holds.
TEST_P(Attentions, OverwrittenPositionsAreNotSeen) {
  for (const std::int64_t window : {0, 400}) {
    for (const std::int32_t length : {257, 1000, 10000}) {
      const Shape shape{.length = length, .capacity = 256, .window = window, .cache = AttentionCache::f16};
      const Problem problem(shape, {length - 1, length - 200, length - 256, length - 257, -1});
      const std::vector<float> found = problem.run(kernel);
      expect_near_oracle(problem, found);
      EXPECT_TRUE(std::all_of(found.begin() + 3 * 4 * 64, found.end(), [](float value) { return value == 0.0f; }));
      if (kernel.run_parts == nullptr) continue;
      for (const std::int64_t workers : {1, 3}) expect_near_oracle(problem, problem.run_by_parts(kernel, workers));
    }
  }
}

TEST_P(Attentions, PositionsInAnyOrderWithPadding) {
  std::vector<std::int32_t> positions = range(0, 300);
  std::shuffle(positions.begin(), positions.end(), std::mt19937(5));
  positions.resize(40);
  for (const int row : {0, 7, 8, 39}) positions[row] = -1;
  positions[20] = positions[21] = 299;
  for (const std::int64_t window : {0, 20}) {
    const Problem problem({.heads = 6, .kv_heads = 2, .width = 80, .length = 300, .window = window}, positions);
    expect_near_oracle(problem);
    const std::vector<float> found = problem.run(kernel);
    for (std::int64_t i = 0; i < 6 * 80; ++i) EXPECT_EQ(std::bit_cast<std::uint32_t>(found[7 * 6 * 80 + i]), 0u);
  }
}

TEST_P(Attentions, RowsThatSeeNothingAreZero) {
  Problem problem({.width = 48, .length = 10, .window = 4}, {12, 13, 100});
  for (const std::size_t row : {1, 2}) {
    const std::vector<float> found = problem.run(kernel);
    EXPECT_TRUE(std::all_of(found.begin() + row * 4 * 48, found.begin() + (row + 1) * 4 * 48,
                            [](float value) { return value == 0.0f; }));
  }
  expect_near_oracle(problem);
}

TEST_P(Attentions, StridesAreHonoured) {
  const Problem plain({.heads = 2, .kv_heads = 1, .width = 32, .length = 70}, range(60, 70));
  std::vector<float> q(10 * 100, nan), kv(70 * 200, nan), out(10 * 90, -1.0f);
  for (int row = 0; row < 10; ++row) std::copy_n(plain.q.begin() + row * 64, 64, q.begin() + row * 100);
  for (int row = 0; row < 70; ++row) {
    std::copy_n(plain.k.begin() + row * 32, 32, kv.begin() + row * 200);
    std::copy_n(plain.v.begin() + row * 32, 32, kv.begin() + row * 200 + 77);
  }
  AttentionArguments a = plain.arguments(out.data());
  a.q = q.data();
  a.k = kv.data();
  a.v = kv.data() + 77;
  a.q_stride = 100;
  a.k_stride = a.v_stride = 200;
  a.out_stride = 90;
  std::vector<float> scratch(attention_scratch_floats(kernel, a), nan);
  kernel.run(a, 0, attention_units(kernel, a), scratch.data());
  const std::vector<float> expected = plain.run(kernel);
  for (int row = 0; row < 10; ++row) {
    EXPECT_EQ(std::memcmp(&out[row * 90], &expected[row * 64], 64 * sizeof(float)), 0);
    EXPECT_TRUE(std::all_of(&out[row * 90 + 64], &out[row * 90] + 90, [](float value) { return value == -1.0f; }));
  }
}

TEST_P(Attentions, RowsAloneAndTogetherGiveTheSameBits) {
  for (const std::int64_t width : {24, 64, 256}) {
    for (const std::int64_t window : {0, 70}) {
      std::vector<std::int32_t> positions = range(90, 220);
      std::shuffle(positions.begin(), positions.begin() + 60, std::mt19937(6));
      const Shape shape{
          .heads = 6, .kv_heads = 2, .width = width, .length = 220, .window = window, .cache = AttentionCache::bf16};
      const std::vector<float> together = Problem(shape, positions).run(kernel);
      std::vector<float> alone;
      for (const std::int32_t position : positions) {
        const std::vector<float> row = Problem(shape, {position}).run(kernel);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      expect_same_bits(alone, together);
    }
  }
}

TEST_P(Attentions, AnyPartitionGivesTheSameBits) {
  for (const std::int32_t rows : {1, 5, 130, 300}) {
    const std::int64_t kv_heads = rows == 300 ? 1 : 2;
    const Problem problem({.heads = 8, .kv_heads = kv_heads, .width = 64, .length = 330, .cache = AttentionCache::f16},
                          range(330 - rows, 330));
    const std::vector<float> whole = problem.run(kernel);
    std::vector<float> out(whole.size());
    for (const std::int64_t parts : {2L, 3L, 5L, attention_units(kernel, problem.arguments(out.data()))}) {
      expect_same_bits(problem.run(kernel, parts), whole);
    }
  }
}

TEST_P(AttentionParts, PartsMatchTheDefinition) {
  for (const std::int32_t length : {1, 128, 129, 700}) {
    for (const std::int64_t window : {0, 150}) {
      for (const auto& [heads, kv_heads, width] : {std::tuple{4, 1, 256}, {8, 4, 64}, {6, 2, 80}, {40, 1, 24}}) {
        Shape shape{.heads = heads, .kv_heads = kv_heads, .width = width, .length = length, .window = window};
        shape.cache = window > 0 ? AttentionCache::f16 : AttentionCache::bf16;
        if (window > 0) shape.capacity = 192;
        const Problem problem(shape, {length - 1, length - 1, -1, std::max(length - 40, 0)});
        const std::vector<float> found = problem.run_by_parts(kernel);
        expect_near_oracle(problem, found);
        for (const std::int64_t workers : {2, 3, 16}) expect_same_bits(problem.run_by_parts(kernel, workers), found);
        // A row that sees one part; and one that stands alone.
        if (length <= 128) expect_same_bits(problem.run(kernel), found);
        const std::vector<float> alone = Problem(shape, {length - 1}).run_by_parts(kernel);
        expect_same_bits({found.begin(), found.begin() + heads * width}, alone);
      }
    }
  }
}

TEST_P(AttentionParts, PartsDependOnPositionsAlone) {
  Shape shape{.width = 64, .length = 1000, .window = 300, .cache = AttentionCache::f16};
  const std::vector<float> full = Problem(shape, {999}).run_by_parts(kernel);
  for (const std::int64_t capacity : {300, 301, 512, 4096}) {
    shape.capacity = capacity;
    expect_same_bits(Problem(shape, {999}).run_by_parts(kernel), full);
  }
}

TEST_P(Attentions, CapacityAndChunksChangeNoBit) {
  Shape shape{.width = 64, .length = 400, .window = 100, .cache = AttentionCache::f16};
  const std::vector<float> full = Problem(shape, range(300, 400)).run(kernel);
  shape.capacity = 1000;
  expect_same_bits(Problem(shape, range(300, 400)).run(kernel), full);
  shape.capacity = 256;
  expect_same_bits(Problem(shape, range(300, 400)).run(kernel), full);
  for (const std::int32_t chunk : {1, 7, 64}) {
    std::vector<float> joined;
    for (std::int32_t start = 300; start < 400; start += chunk) {
      const std::int32_t end = std::min(start + chunk, 400);
      Problem problem(shape, range(start, end));
      problem.shape.length = end;  // what is written later is not there yet
      problem.fill_caches();
      const std::vector<float> rows = problem.run(kernel);
      joined.insert(joined.end(), rows.begin(), rows.end());
    }
    expect_same_bits(joined, full);
  }
}

// A bad value in a key that only some rows see stays with those rows.
TEST_P(Attentions, UnseenInfinitiesDoNotSpread) {
  const Shape shape{.width = 64, .length = 140};
  const std::vector<float> clean = Problem(shape, range(100, 140)).run(kernel);
  Problem problem(shape, range(100, 140));
  std::fill_n(problem.v.begin() + 120 * 64, 64, inf);
  std::fill_n(problem.k.begin() + 130 * 64, 64, nan);
  problem.fill_caches();
  const std::vector<float> found = problem.run(kernel);
  const std::size_t seen = 20 * 4 * 64, poisoned = 30 * 4 * 64;
  EXPECT_EQ(std::memcmp(found.data(), clean.data(), seen * sizeof(float)), 0);
  EXPECT_TRUE(std::all_of(found.begin() + seen, found.begin() + poisoned, [](float value) { return value == inf; }));
  EXPECT_TRUE(std::all_of(found.begin() + poisoned, found.end(), [](float value) { return std::isnan(value); }));
}

// Two keys with the scores 0 and -x and the values 0 and 1: the result is e^-x / (1 + e^-x).
TEST_P(Attentions, ExponentialIsAccurateToItsLastBits) {
  double worst = 0;
  for (int step = 0; step < 4000; ++step) {
    Problem problem({.heads = 1, .kv_heads = 1, .width = 16, .length = 2}, {1});
    const float x = step * 0.0218f;  // up to 87.2: e^-x is a normal number
    std::fill(problem.q.begin(), problem.q.end(), 0.0f);
    std::fill(problem.k.begin(), problem.k.end(), 0.0f);
    std::fill(problem.v.begin(), problem.v.end(), 0.0f);
    problem.q[0] = 1.0f;
    problem.k[16] = -x;
    problem.v[16] = 1.0f;
    problem.scale = 1.0f;
    problem.fill_caches();
    const double e = std::exp(-static_cast<double>(x)), expected = e / (1 + e);
    // The exponential, the sum, its reciprocal and the product round; in bf16 both factors of the score do.
    const double allowed = kernel.use == AttentionUse::any ? 4 * 0x1p-24 : std::exp((2 * x + 1) * 0x1p-8) - 1;
    worst = std::max(worst, std::abs(problem.run(kernel)[0] / expected - 1) / allowed);
  }
  EXPECT_LT(worst, 1.0);
}

TEST_P(Attentions, HugeScoreDifferencesWeighExactlyNothing) {
  Problem problem({.heads = 1, .kv_heads = 1, .width = 16, .length = 130}, {129});
  std::fill(problem.q.begin(), problem.q.end(), 0.0f);
  problem.q[0] = 1.0f;
  problem.scale = 1.0f;
  for (int p = 0; p < 130; ++p) problem.k[p * 16] = p == 100 ? 200.0f : p == 3 ? -inf : -1e30f;
  problem.fill_caches();
  const std::vector<float> found = problem.run(kernel);
  const AttentionCache kept = kernel.use == AttentionUse::any ? AttentionCache::f32 : AttentionCache::bf16;
  const std::vector<float> expected = rounded(kept, {problem.v.begin() + 100 * 16, problem.v.begin() + 101 * 16});
  for (int i = 0; i < 16; ++i) EXPECT_EQ(found[i], expected[i]);
}

TEST(AttentionRegistry, BestFirstAndScalarLast) {
  EXPECT_EQ(find_attention_kernel(Isa::scalar)->isa, Isa::scalar);
  EXPECT_EQ(find_attention_kernel(Isa::avx2)->isa, Isa::avx2);
  EXPECT_EQ(find_attention_kernel(Isa::amx)->isa, Isa::avx512);
  EXPECT_STREQ(find_attention_kernel(Isa::avx512)->name, "attention_avx512");
  EXPECT_STREQ(find_attention_kernel(Isa::avx512, AttentionUse::prompt)->name, "attention_avx512");
  EXPECT_STREQ(find_attention_kernel(Isa::amx, AttentionUse::prompt)->name, "attention_prompt_amx");
  EXPECT_EQ(attention_cache(DType::bf16), AttentionCache::bf16);
  EXPECT_EQ(attention_cache(DType::q8_0), AttentionCache::q8_0);
  EXPECT_THROW(attention_cache(DType::q4_0), Error);
}

TEST(AttentionRegistry, OneRowStillSplitsByHead) {
  AttentionArguments a{};
  a.rows = 1;
  a.heads = 4;
  a.kv_heads = 1;
  const AttentionKernel& kernel = *find_attention_kernel(Isa::scalar);
  EXPECT_EQ(attention_units(kernel, a), 4);
  a.rows = 512;
  EXPECT_GE(attention_units(kernel, a), 64);
}

// AVX2 and AVX-512 do the same operations in the same order.
TEST(AttentionRegistry, VectorLevelsAgreeToTheBit) {
  if (!supported(Isa::avx512)) GTEST_SKIP() << "this host lacks avx512";
  for (const std::int64_t width : {24, 256}) {
    const Problem problem({.width = width, .length = 200, .cache = AttentionCache::f16}, range(130, 200));
    expect_same_bits(problem.run(*find_attention_kernel(Isa::avx2)), problem.run(*find_attention_kernel(Isa::avx512)));
  }
}

TEST(Rope, MatchesTheDefinitionAtAnyPosition) {
  const std::int64_t width = 320, heads = 3;  // 160 pairs: more than are turned at a time
  const std::vector<std::int32_t> positions = {0, 1, 131071, -1, 511, 2000000000};
  const std::vector<float> x = normal(positions.size() * heads * width, 1);
  const std::vector<float> frequencies = make_inverse_frequencies(width, 1e4, 1.0, 0);
  std::vector<float> out(x.size());
  const std::int64_t row = heads * width, rows = static_cast<std::int64_t>(positions.size());
  std::vector<float> turns(positions.size() * width);
  rope_turns(positions.data(), frequencies.data(), width / 2, turns.data(), 0, 2);
  rope_turns(positions.data(), frequencies.data(), width / 2, turns.data(), 2, rows);
  RopeArguments a{x.data(), out.data(), heads, width, row, row, turns.data(), width / 2};
  rope_rows(a, 0, 2);
  rope_rows(a, 2, rows);
  for (std::size_t i = 0; i < x.size(); i += width) {
    for (std::int64_t j = 0; j < width / 2; ++j) {
      const double angle = static_cast<double>(positions[i / width / heads]) * frequencies[j];
      const double low = x[i + j], high = x[i + j + width / 2];
      EXPECT_NEAR(out[i + j], low * std::cos(angle) - high * std::sin(angle), 2e-6);
      EXPECT_NEAR(out[i + j + width / 2], high * std::cos(angle) + low * std::sin(angle), 2e-6);
    }
  }
  std::vector<float> in_place = x;
  a.x = a.out = in_place.data();
  rope_rows(a, 0, rows);
  expect_same_bits(in_place, out);
}

TEST(Rope, SineAndCosineAreAccurate) {
  const std::vector<std::int32_t> positions = range(0, 20000);
  const float frequencies[] = {1.0f, 0.37f, 1e-3f};
  std::vector<float> x(positions.size() * 6), out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 6 < 3 ? 1.0f : 0.0f;  // becomes cosines, then sines
  std::vector<float> turns(positions.size() * 6);
  rope_turns(positions.data(), frequencies, 3, turns.data(), 0, 20000);
  rope_rows({x.data(), out.data(), 1, 6, 6, 6, turns.data(), 3}, 0, 20000);
  for (std::size_t i = 0; i < x.size(); i += 6) {
    for (int j = 0; j < 3; ++j) {
      const double angle = static_cast<double>(positions[i / 6]) * frequencies[j];
      ASSERT_NEAR(out[i + j], std::cos(angle), 1e-7);
      ASSERT_NEAR(out[i + j + 3], std::sin(angle), 1e-7);
    }
  }
}

TEST(Rope, FrequenciesFactorsAndUnturnedPairs) {
  const std::vector<float> plain = make_inverse_frequencies(8, 1e6, 1.0 / 8, 0);
  ASSERT_EQ(plain.size(), 4u);
  EXPECT_FLOAT_EQ(plain[0], 0.125f);
  EXPECT_FLOAT_EQ(plain[1], static_cast<float>(std::pow(1e6, -0.25) / 8));
  const float factors[] = {1.0f, 2.0f, 1e30f, 1e30f};
  EXPECT_FLOAT_EQ(make_inverse_frequencies(8, 1e6, 1.0, 0, factors)[1], static_cast<float>(std::pow(1e6, -0.25) / 2));
  const std::vector<float> few = make_inverse_frequencies(8, 1e6, 1.0, 2);
  ASSERT_EQ(few.size(), 2u);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> out(8);
  const std::int32_t position = 3;
  std::vector<float> turns(4);
  rope_turns(&position, few.data(), 2, turns.data(), 0, 1);
  rope_rows({x.data(), out.data(), 1, 8, 8, 8, turns.data(), 2}, 0, 1);
  for (const int untouched : {2, 3, 6, 7}) EXPECT_EQ(out[untouched], x[untouched]);
  EXPECT_NE(out[0], x[0]);
  EXPECT_THROW(make_inverse_frequencies(7, 1e4, 1, 0), Error);
  EXPECT_THROW(make_inverse_frequencies(8, 1e4, 1, 5), Error);
  EXPECT_THROW(make_inverse_frequencies(8, 0, 1, 0), Error);
}

// The first NaN, or the first of the largest.
std::int64_t plain_argmax(const std::vector<float>& row) {
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(row.size()); ++i) {
    if (std::isnan(row[i])) return i;
    if (row[i] > row[best]) best = i;
  }
  return best;
}

TEST(Argmax, FirstOfEqualsHoweverTheRowIsSplit) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> row(1 + random() % 5000);
    const int levels = round % 3 == 0 ? 3 : 1000;
    for (float& value : row) value = static_cast<float>(random() % levels) - 500.0f;
    if (round % 4 == 1) std::fill(row.begin(), row.end(), -inf);
    if (round % 5 == 2) std::generate(row.begin(), row.end(), [&] { return random() % 2 == 0 ? 0.0f : -0.0f; });
    if (round % 2 == 0) {
      const unsigned rarity = round % 8 == 0 ? 3 : 3000;
      for (std::size_t i = 0; i < row.size(); ++i) row[i] = random() % rarity == 0 ? nan : row[i];
    }
    const auto size = static_cast<std::int64_t>(row.size()), cut = static_cast<std::int64_t>(random() % row.size());
    const std::int64_t expected = plain_argmax(row);
    EXPECT_EQ(argmax_range(row.data(), 0, size).index, expected);
    if (cut == 0) continue;
    const Best left = argmax_range(row.data(), 0, cut), right = argmax_range(row.data(), cut, size);
    EXPECT_EQ(larger_of(left, right).index, expected);
    EXPECT_EQ(larger_of(right, left).index, expected);
  }
}

TEST(Argmax, NotANumber) {
  const std::vector<float> none(3000, nan);
  EXPECT_EQ(argmax_range(none.data(), 0, 3000).index, 0);
  EXPECT_EQ(larger_of(argmax_range(none.data(), 1000, 3000), argmax_range(none.data(), 0, 1000)).index, 0);
  for (const std::int64_t place : {0, 3, 15, 1023, 1024, 2991, 2999}) {
    std::vector<float> one(3000, inf);
    one[static_cast<std::size_t>(place)] = nan;
    EXPECT_EQ(argmax_range(one.data(), 0, 3000).index, place);
    EXPECT_EQ(argmin_range(one.data(), 0, 3000).index, place);
    const Best found = argmax_range(one.data(), 0, 3000), best = argmax_range(none.data(), 2999, 3000);
    EXPECT_EQ(larger_of(best, found).index, place);
    EXPECT_EQ(smaller_of(found, {-inf, 0}).index, place);
  }
}

}  // namespace
}  // namespace lazuli
