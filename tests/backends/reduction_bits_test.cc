// SPDX-License-Identifier: MIT
// Reductions, norms, cumulative ops and sorting give the same bits whatever the threads, fused or not, and
// at every instruction-set level.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <limits>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;

Array input(DType dtype, Shape shape, std::uint32_t seed) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

// Large enough to divide, and of odd sizes.
Arrays ordering(DType dtype) {
  const Array x = input(dtype, {301, 517}, 1), stack = input(dtype, {5, 211, 130}, 2), row = input(dtype, {70001}, 3);
  Arrays results;
  for (const Array& operand : {x, stack, row})
    for (int axis = 0; axis < operand.rank(); ++axis) {
      results.insert(results.end(), {sort(operand, axis), argsort(operand, axis), argmin(operand, axis)});
      if (dtype == DType::bool_) continue;
      results.insert(results.end(), {cumsum(operand, axis), cumprod(operand, axis, true), cummax(operand, axis),
                                     cummin(operand, axis, true, false)});
    }
  return results;
}

Arrays reductions(DType dtype) {
  const Array x = input(dtype, {301, 517}, 1);
  Arrays results;
  for (const std::int64_t axis : {0, 1}) {
    results.insert(results.end(), {any(x, {axis}), all(x, {axis}, true), count_nonzero(x, {axis})});
    if (dtype == DType::bool_) continue;
    const Array total = prod(x, {axis}, true);
    results.insert(results.end(), {total, x + total, select(all(equal(x, x), {axis}, true), x, x * 2)});
  }
  return results;
}

Arrays norms(DType dtype) {
  const Array x = input(dtype, {301, 517}, 1), y = input(dtype, {301, 517}, 2), weight = input(dtype, {517}, 3),
              bias = input(dtype, {517}, 4), image = input(dtype, {3, 41, 48}, 5);
  const Array residual = x + y;
  return {layer_norm(x, 1e-5),
          residual,
          gelu_tanh(layer_norm(residual, weight, bias, 1e-5)),
          log_softmax(softcap(x, 5)) * 0.5,
          log_softmax(x, 0),
          logsumexp(x, {1}),
          logsumexp(x, {0, 1}, true) + x,
          var(x, {-1}, true, 1) * x,
          stddev(x, {0}),
          linalg::norm(x, {1}, true, std::numeric_limits<double>::infinity()),
          linalg::norm(x, {0, 1}),
          group_norm(image, input(dtype, {48}, 6), input(dtype, {48}, 7), 6, 1e-5),
          instance_norm(image, 1e-5)};
}

struct Way {
  int threads;
  const char* fusion;
  Isa isa;
};

Arrays evaluate(Arrays (*build)(DType), DType dtype, const Way& way) {
  SessionOptions options;
  options.threads = way.threads;
  options.fusion = way.fusion;
  options.isa = way.isa;
  options.verify = true;
  Session session(options);
  Arrays results = build(dtype);
  session.eval(results);
  for (const Array& result : results) result.bytes();
  return results;
}

void expect_same_bits(Arrays (*build)(DType), const std::vector<DType>& dtypes) {
  const std::vector<Isa> isas = test::usable_isas();
  std::vector<Way> ways = {{2, "none", isas.back()}, {3, "all", isas.back()}, {1, "all", isas.back()}};
  for (const Isa isa : isas) ways.push_back({2, "all", isa});
  for (const DType dtype : dtypes) {
    const Arrays expected = evaluate(build, dtype, {1, "none", isas.back()});
    for (const Way& way : ways) {
      const Arrays results = evaluate(build, dtype, way);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(
            std::memcmp(expected[i].bytes(), results[i].bytes(), static_cast<std::size_t>(results[i].type().bytes())),
            0)
            << to_string(dtype) << ", result " << i << ", " << way.threads << " threads, fusion " << way.fusion << ", "
            << to_string(way.isa);
    }
  }
}

TEST(ReductionBits, Ordering) {
  expect_same_bits(ordering, {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i8, DType::u16, DType::u32,
                              DType::i64, DType::u64, DType::bool_});
}
TEST(ReductionBits, Reductions) {
  expect_same_bits(reductions, {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i8, DType::u16, DType::u32,
                                DType::i64, DType::u64, DType::bool_});
}
TEST(ReductionBits, Norms) { expect_same_bits(norms, {DType::f32, DType::bf16, DType::f16, DType::f64}); }

}  // namespace
}  // namespace lazuli
