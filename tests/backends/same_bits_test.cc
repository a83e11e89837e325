// SPDX-License-Identifier: MIT
// Looks for violations of the promise that neither threads, nor the rows beside, nor fusion change a bit: products of
// random sizes, weights that are no constants of every dtype, attention with queries of every dtype, convolutions.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>
#include <lazuli/tests/support/weight_blocks.h>

#include <cstring>
#include <functional>
#include <random>

namespace lazuli {
namespace {

using Bytes = std::vector<std::byte>;

struct Way {
  int threads;
  const char* fusion;
};
constexpr Way ways[] = {{1, "none"}, {1, "all"}, {2, "all"}, {3, "none"}, {3, "all"}};

SessionOptions options(const Way& way, Isa isa, Precision precision) {
  SessionOptions result;
  result.threads = way.threads;
  result.fusion = way.fusion;
  result.isa = isa;
  result.precision = precision;
  return result;
}

Bytes bytes_of(const Array& x) { return {x.bytes(), x.bytes() + x.type().bytes()}; }

Array input(DType dtype, Shape shape, std::uint32_t seed) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed, -1, 1), type);
}

// A random weight of any dtype that a product takes, which is no constant.
Array weight_of(DType dtype, std::int64_t outputs, std::int64_t cols, std::uint32_t seed) {
  const Type type{dtype, {outputs, cols}};
  if (!is_quantised(dtype)) return input(dtype, type.shape, seed);
  const std::vector<std::byte> blocks = test::random_blocks(dtype, type.elements(), seed);
  const BufferRef data = Buffer::allocate(blocks.size());
  std::memcpy(data->data(), blocks.data(), blocks.size());
  return Array::from(data, type);
}

struct Case {
  std::string what;
  std::function<std::vector<Array>()> build;
};

void expect_one_result(const std::vector<Case>& cases, Precision precision = Precision::fast) {
  for (const Isa isa : test::usable_isas()) {
    std::vector<Bytes> expected;
    for (const Way& way : ways) {
      Session session(options(way, isa, precision));
      std::size_t at = 0;
      for (const Case& each : cases) {
        const std::vector<Array> results = each.build();
        session.eval(results);
        for (std::size_t i = 0; i < results.size(); ++i, ++at) {
          const Bytes found = bytes_of(results[i]);
          if (&way == ways)
            expected.push_back(found);
          else
            EXPECT_TRUE(found == expected[at]) << each.what << ", result " << i << ", " << to_string(isa) << ", "
                                               << way.threads << " threads, fusion " << way.fusion;
        }
      }
    }
  }
}

// The rows of `x` that each call computes: all at once, and some by themselves.
void expect_rows_alone(const std::string& what, const Array& x,
                       const std::function<Array(const Array& rows)>& product) {
  const std::int64_t rows = x.size(0);
  for (const Isa isa : test::usable_isas()) {
    Session session(options({2, "all"}, isa, Precision::fast));
    const Bytes whole = bytes_of(product(x));
    const std::size_t row_bytes = whole.size() / static_cast<std::size_t>(rows);
    for (const std::int64_t count : {1, 3, 9})
      for (std::int64_t begin = 0; begin + count <= rows; begin += std::max<std::int64_t>(rows / 2, 1)) {
        const Array part = product(slice_axis(x, 0, begin, begin + count));
        const auto at = whole.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(begin) * row_bytes);
        const Bytes found = bytes_of(part);
        EXPECT_TRUE(std::equal(found.begin(), found.end(), at))
            << what << ", rows " << begin << " to " << begin + count << ", " << to_string(isa);
      }
  }
}

TEST(SameBits, ProductsOfRandomSizes) {
  std::mt19937 random(11);
  const auto size = [&](std::uint32_t most) { return static_cast<std::int64_t>(1 + random() % most); };
  std::vector<Case> cases;
  for (int i = 0; i < 40; ++i) {
    const std::int64_t rows = size(i % 3 == 0 ? 4 : 140), cols = size(300), outputs = size(140);
    const DType dtype = i % 4 == 3 ? DType::bf16 : i % 4 == 2 ? DType::f16 : DType::f32;
    cases.push_back({fmt::format("[{},{}] x [{}] {}", rows, cols, outputs, to_string(dtype)), [=] {
                       return std::vector{
                           matmul(input(dtype, {rows, cols}, 1), input(dtype, {cols, outputs}, 2)),
                           linear(input(dtype, {rows, cols}, 1), input(dtype, {outputs, cols}, 3)),
                           matmul(input(dtype, {2, rows, cols}, 4), input(dtype, {2, cols, outputs}, 5))};
                     }});
  }
  expect_one_result(cases);
  for (std::size_t i = 0; i < 12; ++i) {
    const std::int64_t cols = size(300), outputs = size(140);
    const DType dtype = i % 2 == 0 ? DType::f32 : DType::bf16;
    const Array weight = input(dtype, {outputs, cols}, 7);
    expect_rows_alone(fmt::format("[{}] x [{}]", cols, outputs), input(dtype, {60, cols}, 8),
                      [&](const Array& rows) { return linear(rows, weight); });
    expect_rows_alone(fmt::format("matmul [{}] x [{}]", cols, outputs), input(dtype, {60, cols}, 8),
                      [&](const Array& rows) { return matmul(rows, transpose(weight, {1, 0})); });
  }
}

TEST(SameBits, WeightsOfEveryDtypeThatAreNoConstants) {
  std::vector<Case> cases;
  for (const DType dtype : test::weight_types)
    for (const std::int64_t rows : {1, 2, 7, 33})
      for (const std::int64_t outputs : {16, 45})
        cases.push_back({fmt::format("{} rows of {}, {} outputs", rows, to_string(dtype), outputs), [=] {
                           return std::vector{
                               linear(input(DType::f32, {rows, 512}, 1), weight_of(dtype, outputs, 512, 2)),
                               linear(input(DType::bf16, {rows, 512}, 1), weight_of(dtype, outputs, 512, 2))};
                         }});
  expect_one_result(cases);
  for (const DType dtype : test::weight_types) {
    const Array weight = weight_of(dtype, 45, 512, 2);
    expect_rows_alone(std::string(to_string(dtype)), input(DType::f32, {40, 512}, 1),
                      [&](const Array& rows) { return linear(rows, weight); });
  }
}

TEST(SameBits, ExpertsOfAnyNumberOfOutputs) {
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_k})
    for (const std::int64_t outputs : {5, 16, 45})
      for (const bool constant : {true, false}) {
        if (!constant && is_quantised(dtype)) continue;
        cases.push_back({fmt::format("{} outputs of {}", outputs, to_string(dtype)), [=] {
                           const Type type{dtype, {3, outputs, 256}};
                           const Array flat = weight_of(dtype, 3 * outputs, 256, 3);
                           const BufferRef data = flat.node()->results()[0].buffer;
                           const Array stack = constant ? Array::constant(data, type, "w") : Array::from(data, type);
                           std::vector<Array> results;
                           for (const std::int64_t tokens : {1, 9}) {
                             std::vector<std::int32_t> chosen;
                             for (std::int64_t i = 0; i < 2 * tokens; ++i)
                               chosen.push_back(static_cast<std::int32_t>(i % 3));
                             results.push_back(expert_linear(input(DType::f32, {tokens, 1, 256}, 1), stack,
                                                             Array::from(chosen, {tokens, 2})));
                           }
                           return results;
                         }});
      }
  expect_one_result(cases);
}

TEST(SameBits, AttentionOfEveryDtype) {
  std::vector<Case> cases;
  for (const DType queries : {DType::f32, DType::f16, DType::bf16})
    for (const DType cache : {DType::f32, DType::f16, DType::bf16}) {
      if (queries != DType::f32 && cache != queries) continue;
      for (const std::int64_t rows : {1, 5, 40})
        cases.push_back({fmt::format("{} rows, q {}, cache {}", rows, to_string(queries), to_string(cache)), [=] {
                           const Array positions = iota(rows, DType::i32) + 20;
                           const Array length = Array::from<std::int32_t>({static_cast<std::int32_t>(20 + rows)}, {});
                           return std::vector{attention(input(queries, {rows, 4, 24}, 1), input(cache, {75, 2, 24}, 2),
                                                        input(cache, {75, 2, 24}, 3), positions, length, {0.2, 0})};
                         }});
    }
  expect_one_result(cases);
}

TEST(SameBits, Convolutions) {
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const bool constant : {true, false}) {
      const auto kernel = [=](Shape shape) {
        const Type type{dtype, std::move(shape)};
        const BufferRef data = test::random_buffer(type, 5, -1, 1);
        return constant ? Array::constant(data, type, "k") : Array::from(data, type);
      };
      cases.push_back({fmt::format("{}, {}", to_string(dtype), constant ? "constant" : "given"), [=] {
                         const Array image = input(dtype, {2, 19, 23, 12}, 1);
                         return std::vector{conv2d(image, kernel({21, 3, 3, 12}), {1}, {1}),
                                            conv2d(image, kernel({18, 3, 3, 4}), {2}, {1}, {1}, 3),
                                            conv2d(image, kernel({12, 3, 3, 1}), {1}, {1}, {1}, 12),
                                            conv2d(image, kernel({7, 1, 1, 12})),
                                            conv_transpose2d(image, kernel({9, 3, 3, 12}), {2}),
                                            conv1d(input(dtype, {2, 90, 12}, 2), kernel({17, 5, 12}), 3, 2, 2)};
                       }});
    }
  expect_one_result(cases);
}

TEST(SameBits, ThreadsAloneInF32Precision) {
  std::mt19937 random(17);
  std::vector<Case> cases;
  for (int i = 0; i < 25; ++i) {
    const auto size = [&](std::uint32_t most) { return static_cast<std::int64_t>(1 + random() % most); };
    const std::int64_t rows = size(i % 3 == 0 ? 3 : 140), cols = size(300), outputs = size(140);
    cases.push_back({fmt::format("[{},{}] x [{}]", rows, cols, outputs), [=] {
                       const Type type{DType::f32, {outputs, cols}};
                       const Array weight = Array::constant(test::random_buffer(type, 3, -1, 1), type, "w");
                       return std::vector{
                           matmul(input(DType::f32, {rows, cols}, 1), input(DType::f32, {cols, outputs}, 2)),
                           linear(input(DType::f32, {rows, cols}, 1), weight),
                           linear(input(DType::f32, {rows, cols}, 1), input(DType::f32, {outputs, cols}, 4))};
                     }});
  }
  expect_one_result(cases, Precision::f32);
}

}  // namespace
}  // namespace lazuli
