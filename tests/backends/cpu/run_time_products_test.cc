// SPDX-License-Identifier: MIT
// Products whose right operand is no constant: right at odd sizes, strides and batches, and the same bits whatever the
// threads, the rows at hand, and fusion; at every level of this host.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <cstring>
#include <functional>

namespace lazuli {
namespace {

using Bytes = std::vector<std::byte>;
using Build = std::function<Array()>;

Array input(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed, -1, 1), type);
}

const Buffer& buffer_of(const Array& array) { return *array.result().buffer; }

SessionOptions with(int threads, const std::string& fusion = "all", Precision precision = Precision::fast,
                    const std::string& backend = "cpu") {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  options.precision = precision;
  options.backend = backend;
  return options;
}

Bytes bytes_of(const Array& array) {
  const std::byte* data = array.bytes();
  return {data, data + array.type().bytes()};
}

Bytes run(const SessionOptions& options, const Build& build) {
  Session session(options);
  Array result = build();
  eval({result});
  return bytes_of(result);
}

// One thread without fusion is compared with the reference, and everything else with one thread.
void expect_right_and_one_result(const std::string& what, const Build& build, double tolerance) {
  Array expected;
  {
    Session session(with(1, "all", Precision::f32, "reference"));
    expected = build();
    eval({expected});
  }
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Bytes one;
    {
      Session session(with(1, "none"));
      const Array result = build();
      eval({result});
      EXPECT_LE(test::max_difference(expected.type(), buffer_of(expected), buffer_of(result)), tolerance)
          << what << " at " << to_string(isa);
      one = bytes_of(result);
    }
    for (const int threads : {2, 3, 8})
      EXPECT_TRUE(one == run(with(threads), build)) << what << " at " << to_string(isa) << ", " << threads;
    EXPECT_TRUE(one == run(with(1), build)) << what << " at " << to_string(isa) << ", fused";
  }
}

struct Sizes {
  std::int64_t rows, outputs, cols;
};

constexpr Sizes odd_sizes[] = {{1, 1, 1},     {1, 17, 5},   {2, 16, 64},   {3, 130, 33},   {4, 300, 18},
                               {5, 31, 7},    {7, 40, 1},   {65, 130, 70}, {97, 257, 300}, {200, 5, 259},
                               {1, 700, 600}, {4, 9, 1025}, {300, 16, 16}, {101, 48, 513}};

std::string describe(const Sizes& sizes) {
  return fmt::format("[{},{}] x [{}]", sizes.rows, sizes.cols, sizes.outputs);
}

double tolerance_of(const Sizes& sizes) { return 2e-7 * static_cast<double>(sizes.cols) + 1e-6; }

TEST(RunTimeProducts, LinearOfOddSizes) {
  for (const Sizes& sizes : odd_sizes)
    expect_right_and_one_result(
        "linear " + describe(sizes),
        [&] { return linear(input({sizes.rows, sizes.cols}, 1), input({sizes.outputs, sizes.cols}, 2)); },
        tolerance_of(sizes));
}

TEST(RunTimeProducts, MatmulOfOddSizes) {
  for (const Sizes& sizes : odd_sizes)
    expect_right_and_one_result(
        "matmul " + describe(sizes),
        [&] { return matmul(input({sizes.rows, sizes.cols}, 1), input({sizes.cols, sizes.outputs}, 2)); },
        tolerance_of(sizes));
}

TEST(RunTimeProducts, OperandsThatAreViews) {
  const std::pair<const char*, Build> cases[] = {
      {"transposed right operand", [] { return matmul(input({37, 50}, 1), transpose(input({70, 50}, 2), {1, 0})); }},
      {"transposed left operand", [] { return matmul(transpose(input({50, 37}, 1), {1, 0}), input({50, 70}, 2)); }},
      {"heads side by side",
       [] {
         const Array queries = transpose(input({29, 4, 24}, 1), {1, 0, 2}),
                     keys = transpose(input({33, 4, 24}, 2), {1, 2, 0});
         return matmul(queries, keys);
       }},
      {"heads of one row",
       [] {
         const Array queries = transpose(input({1, 4, 24}, 1), {1, 0, 2}),
                     keys = transpose(input({33, 4, 24}, 2), {1, 2, 0});
         return matmul(queries, keys);
       }},
      {"values of one row", [] { return matmul(input({4, 1, 33}, 1), transpose(input({33, 4, 24}, 2), {1, 0, 2})); }},
      {"every other row and column",
       [] {
         return matmul(slice(input({21, 80}, 1), {1, 2}, {20, 80}, {2, 3}),
                       slice(input({52, 90}, 2), {0, 1}, {52, 90}, {2, 2}));
       }},
      {"every other row and column, few rows",
       [] {
         return matmul(slice(input({3, 80}, 1), {1, 2}, {3, 80}, {1, 3}),
                       slice(input({52, 90}, 2), {0, 1}, {52, 90}, {2, 2}));
       }},
      {"one right operand for a batch", [] { return matmul(input({3, 5, 20}, 1), input({20, 34}, 2)); }},
      {"one left operand for a batch", [] { return matmul(input({6, 20}, 1), input({3, 20, 34}, 2)); }},
      {"batches of both, broadcast", [] { return matmul(input({3, 1, 9, 20}, 1), input({2, 20, 34}, 2)); }},
      {"one row for a batch, broadcast", [] { return matmul(input({3, 1, 1, 20}, 1), input({2, 20, 34}, 2)); }},
      {"a broadcast right operand",
       [] { return matmul(input({4, 9, 20}, 1), broadcast_to(input({1, 20, 34}, 2), {4, 20, 34})); }},
      {"linear of a transposed weight",
       [] { return linear(input({2, 9, 20}, 1), transpose(input({20, 34}, 2), {1, 0})); }},
      {"linear of a slice of rows",
       [] { return linear(slice(input({2, 9, 40}, 1), {0, 1, 3}, {2, 8, 23}), input({34, 20}, 2)); }},
      {"linear of a vector", [] { return linear(input({20}, 1), input({34, 20}, 2)); }},
  };
  for (const auto& [what, build] : cases) expect_right_and_one_result(what, build, 2e-5);
}

TEST(RunTimeProducts, HalfOperands) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const std::int64_t rows : {1, 3, 40}) {
      const double tolerance = dtype == DType::f16 ? 0.02 : 0.13;
      expect_right_and_one_result(
          "linear", [&] { return linear(input({rows, 70}, 1, dtype), input({35, 70}, 2, dtype)); }, tolerance);
      expect_right_and_one_result(
          "matmul", [&] { return matmul(input({2, rows, 71}, 1, dtype), input({2, 71, 37}, 2, dtype)); }, tolerance);
      expect_right_and_one_result(
          "f32 by half", [&] { return linear(input({rows, 70}, 1), input({35, 70}, 2, dtype)); }, 2e-5);
    }
  }
}

TEST(RunTimeProducts, NothingToAddUp) {
  Session session(with(2));
  for (const Array& zeros : {matmul(input({3, 0}, 1), input({0, 20}, 2)), linear(input({3, 0}, 1), input({20, 0}, 2)),
                             matmul(input({70, 0}, 1), input({0, 20}, 2))}) {
    for (const float value : zeros.data<float>()) EXPECT_EQ(value, 0.0f);
    EXPECT_EQ(zeros.size(1), 20);
  }
  EXPECT_EQ(matmul(input({0, 4}, 1), input({4, 5}, 2)).data<float>().size(), 0u);
  EXPECT_EQ(matmul(input({2, 4}, 1), input({4, 0}, 2)).data<float>().size(), 0u);
  EXPECT_EQ(linear(input({0, 4}, 1), input({5, 4}, 2)).data<float>().size(), 0u);
}

// Rows by themselves, in small chunks and all at once.
TEST(RunTimeProducts, RowsAtHandDoNotChangeBits) {
  constexpr std::int64_t rows = 110, cols = 300, outputs = 75;
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    for (const bool along_columns : {true, false}) {
      const auto product = [&](std::int64_t begin, std::int64_t end) {
        const Array x = slice(input({rows, cols}, 1), {begin, 0}, {end, cols});
        return along_columns ? linear(x, input({outputs, cols}, 2)) : matmul(x, input({cols, outputs}, 2));
      };
      const Bytes whole = run(with(1), [&] { return product(0, rows); });
      for (const int threads : {1, 2, 3, 8}) {
        for (const std::int64_t chunk : {1, 2, 4, 5, 7, 33, 96}) {
          Session session(with(threads, threads == 2 ? "none" : "all"));
          Bytes chunks;
          for (std::int64_t begin = 0; begin < rows; begin += chunk) {
            const Array part = product(begin, std::min(rows, begin + chunk));
            eval({part});
            const Bytes bytes = bytes_of(part);
            chunks.insert(chunks.end(), bytes.begin(), bytes.end());
          }
          EXPECT_TRUE(whole == chunks) << to_string(isa) << ", " << threads << " threads, chunks of " << chunk;
        }
      }
    }
  }
}

// A constant and an operand of the same values give the same bits.
TEST(RunTimeProducts, ConstantsGiveTheSameBits) {
  const Type type{DType::f32, {90, 170}};
  const BufferRef data = test::random_buffer(type, 5, -1, 1);
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    for (const std::int64_t rows : {1, 4, 50}) {
      const Bytes constant =
          run(with(2), [&] { return linear(input({rows, 170}, 1), Array::constant(data, type, "w")); });
      EXPECT_TRUE(constant == run(with(2), [&] { return linear(input({rows, 170}, 1), Array::from(data, type)); }))
          << to_string(isa) << ", " << rows << " rows";
    }
  }
}

TEST(RunTimeProducts, ThreadsDoNotChangeBitsInF32Precision) {
  const Build cases[] = {
      [] { return linear(input({65, 700}, 1), input({330, 700}, 2)); },
      [] { return linear(input({330, 700}, 1), input({65, 700}, 2)); },
      [] { return matmul(input({65, 700}, 1), input({700, 130}, 2)); },
      [] { return matmul(input({3, 65, 70}, 1), input({3, 70, 130}, 2)); },
      [] { return matmul(input({1, 1000}, 1), input({1000, 1300}, 2)); },
  };
  for (const Build& build : cases) {
    const Bytes one = run(with(1, "all", Precision::f32), build);
    for (const int threads : {2, 3, 8}) EXPECT_TRUE(one == run(with(threads, "all", Precision::f32), build)) << threads;
  }
}

// Weights of experts, given or computed; outputs that are no multiple of a group of packed rows.
TEST(RunTimeProducts, ExpertsGiveTheBitsOfOrdinaryProducts) {
  constexpr std::int64_t experts = 5, chosen = 2, cols = 70;
  const std::vector<std::int32_t> choice{4, 0, 2, 2, 0, 4, 4, 2, 0, 2, 4, 4};
  for (const Precision precision : {Precision::fast, Precision::f32}) {
    for (const Isa isa : test::usable_isas()) {
      const test::ForcedIsa forced(isa);
      for (const std::int64_t outputs : {32, 75}) {
        for (const bool constant : {true, false}) {
          for (const std::int64_t tokens : {1, 6}) {
            const Type type{DType::f32, {experts, outputs, cols}};
            const BufferRef data = test::random_buffer(type, 3, -1, 1);
            const Array stack = constant ? Array::constant(data, type, "w") : Array::from(data, type);
            const auto experts_of = [&](int threads) {
              const BufferRef indices = Buffer::allocate(static_cast<std::size_t>(tokens * chosen) * 4);
              std::memcpy(indices->data(), choice.data(), indices->size());
              return run(with(threads, "all", precision), [&] {
                return expert_linear(input({tokens, 1, cols}, 1), stack,
                                     Array::from(indices, {DType::i32, {tokens, chosen}}));
              });
            };
            const Bytes one = experts_of(1);
            for (const int threads : {2, 3, 8}) EXPECT_TRUE(one == experts_of(threads)) << threads;
            if (precision == Precision::f32) continue;
            Bytes expected;
            for (std::int64_t pair = 0; pair < tokens * chosen; ++pair) {
              const Bytes row = run(with(1), [&] {
                const std::int64_t token = pair / chosen, expert = choice[static_cast<std::size_t>(pair)];
                const Array x = slice(input({tokens, cols}, 1), {token, 0}, {token + 1, cols});
                const Array all = Array::from(data, type);
                return linear(x, reshape(slice(all, {expert, 0, 0}, {expert + 1, outputs, cols}), {outputs, cols}));
              });
              expected.insert(expected.end(), row.begin(), row.end());
            }
            EXPECT_TRUE(expected == one) << to_string(isa) << ", " << outputs << " outputs, " << tokens << " tokens";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lazuli
