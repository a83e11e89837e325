// SPDX-License-Identifier: MIT
// What a session keeps: within a bound, and no longer than somebody needs it.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>

#include <algorithm>
#include <vector>

namespace lazuli {
namespace {

Array weight(std::int64_t rows, float value) {
  const Type type{DType::f32, {rows, 256}};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::fill_n(buffer->as<float>(), type.elements(), value);
  return Array::constant(std::move(buffer), type, "w");
}

float product_with(const Array& w) { return sum(linear(full({2, 256}, 1), w), {0, 1}).item<float>(); }

TEST(Memory, ProgramsStayWithinTheLimit) {
  SessionOptions options;
  options.memory_limit = 200'000;
  const Session session(options);
  for (std::int64_t size = 1; size <= 100; ++size)
    EXPECT_EQ(sum(full({size}, 2) + 1.0, {0}).item<float>(), static_cast<float>(3 * size));
  EXPECT_LT(session.statistics().programs, 20);
  EXPECT_LE(session.statistics().program_bytes, options.memory_limit);
  EXPECT_EQ(sum(full({1}, 2) + 1.0, {0}).item<float>(), 3);  // its program is made again
}

TEST(Memory, ConstantsEndWithTheirLastHolder) {
  SessionOptions options;
  options.memory_limit = 8 << 20;
  Session session(options);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(product_with(weight(512, 1)), 2 * 256 * 512);
  EXPECT_LT(session.statistics().weight_bytes, 20 * 512 * 1024);
  // The program used last stays, with its constant.
  EXPECT_LE(session.statistics().program_bytes, options.memory_limit + 512 * 1024);
}

TEST(Memory, ConstantsThatAreHeldCountForNothing) {
  SessionOptions options;
  options.memory_limit = 1 << 20;
  Session session(options);
  const Array large = weight(4096, 1);  // four times the limit
  EXPECT_EQ(product_with(large), 2 * 256 * 4096);
  EXPECT_EQ(sum(linear(full({3, 256}, 1), large), {0, 1}).item<float>(), 3 * 256 * 4096);
  EXPECT_EQ(session.statistics().programs, 2);
  EXPECT_EQ(session.statistics().laid_out_weights, 1);
  EXPECT_LT(session.statistics().program_bytes, options.memory_limit);
}

TEST(Memory, ClearDropsWhatNobodyHolds) {
  Session session;
  product_with(weight(512, 1));
  const CompiledFunction function = compile([](const std::vector<Array>& x) { return std::vector{x[0] * 2.0}; });
  const Array x = full({4}, 3) + 0.0;
  function(x);
  session.clear();
  EXPECT_EQ(session.statistics().programs, 0);
  EXPECT_EQ(session.statistics().weight_bytes, 0);
  EXPECT_EQ(session.statistics().arena_bytes, 0);
  EXPECT_EQ(function(x)[0].data<float>()[3], 6);
  EXPECT_EQ(session.statistics().programs, 0);  // the function had kept its own
  EXPECT_EQ(product_with(weight(512, 1)), 2 * 256 * 512);
}

TEST(Memory, NeedsAreKnownBeforeTheRun) {
  Session session;
  const Array x = full({256, 256}, 1) + 0.0;
  const Array y = matmul(matmul(x, x), x);
  const MemoryNeeds needs = session.memory_needs({y});
  EXPECT_FALSE(y.evaluated());
  EXPECT_EQ(needs.result_bytes, 256 * 256 * 4);
  EXPECT_GE(needs.intermediate_bytes, 256 * 256 * 4);
  session.eval(y);
  EXPECT_EQ(session.statistics().arena_bytes, needs.intermediate_bytes);
}

}  // namespace
}  // namespace lazuli
