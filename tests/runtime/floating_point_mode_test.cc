// SPDX-License-Identifier: MIT
// The floating-point mode of the thread that asks for a result changes no bit of it, and is the caller's afterwards.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/run_reference.h>
#include <xmmintrin.h>

#include <cmath>
#include <cstring>

namespace lazuli {
namespace {

constexpr unsigned as_started = 0x1f80, zero_results = 0x8000, zero_operands = 0x0040, rounding = 0x2000;
constexpr unsigned flags = 0x3f, division_by_zero = 0x04;

class CallersMode {
 public:
  explicit CallersMode(unsigned mode) : before_(_mm_getcsr()) { _mm_setcsr(mode); }
  ~CallersMode() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

struct Way {
  int threads;
  const char *backend, *fusion;
};

using Bytes = std::vector<std::byte>;

struct Operand {
  Type type;
  BufferRef data;

  Operand(DType dtype, Shape shape, std::uint32_t seed)
      : type{dtype, std::move(shape)}, data(test::random_buffer(type, seed)) {}
  Array given() const { return Array::from(data, type); }
  Array constant() const { return Array::constant(data, type, "w"); }
};

// Made before a mode is set, which would round their elements.
struct Operands {
  Operand x{DType::f32, {300, 512}, 1}, weight{DType::f32, {64, 512}, 2}, halves{DType::f16, {64, 512}, 3},
      blocks{DType::q4_0, {64, 512}, 4}, other{DType::f32, {40, 512}, 5};
};

// Denormals among operands, results and weights; sums; constants that are folded and numbers that are rounded; enough
// elements for every thread.
std::vector<Array> graph_of_interest(const Operands& operands) {
  const Array x = operands.x.given(), weight = operands.weight.constant(), tiny = x * 1e-39;
  return {tiny,
          tiny * 0.3 + 1e-41,
          sum(tiny, {1}),
          sum(tiny, {0}),
          softmax(x / 3.0),
          rms_norm(x, 1e-6),
          cumsum(tiny, 1),
          linear(x, weight * 1e-38),
          linear(x, operands.halves.constant()),
          linear(x, quantise(weight, DType::q8_0)),
          linear(x, operands.blocks.constant()),
          matmul(x, transpose(operands.other.given(), {1, 0})),
          cast(tiny, DType::bf16),
          cast(x * 1e-6, DType::f16),
          exp(x * 40.0) * 1e-38,
          cast(x, DType::f64) * 1e-310,
          cast(weight / 3.0, DType::f16) + full({64, 512}, 0.1, DType::f16)};
}

std::vector<Bytes> run(const Way& way, unsigned mode) {
  const Operands operands;
  const CallersMode callers(mode);
  SessionOptions options;
  options.threads = way.threads;
  options.backend = way.backend;
  options.fusion = way.fusion;
  options.disk_cache = false;
  Session session(options);
  const std::vector<Array> results = graph_of_interest(operands);
  session.eval(results);
  std::vector<Bytes> bytes;
  for (const Array& result : results) bytes.emplace_back(result.bytes(), result.bytes() + result.type().bytes());
  EXPECT_EQ(_mm_getcsr() & ~flags, mode & ~flags);
  return bytes;
}

TEST(FloatingPointMode, OfTheCallerChangesNoBit) {
  for (const Way& way : {Way{1, "cpu", "all"}, Way{2, "cpu", "all"}, Way{2, "cpu", "none"}, Way{1, "cpu", "primitive"},
                         Way{1, "reference", "all"}}) {
    const std::vector<Bytes> expected = run(way, as_started);
    for (const unsigned mode :
         {as_started | zero_results, as_started | zero_operands, as_started | zero_results | zero_operands,
          as_started | rounding, as_started | 2 * rounding, as_started | 3 * rounding}) {
      const std::vector<Bytes> found = run(way, mode);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(found[i] == expected[i]) << "result " << i << ", mode " << std::hex << mode << ", " << way.threads
                                             << " threads, " << way.backend << ", fusion " << way.fusion;
    }
  }
}

// Denormals are there to be lost.
TEST(FloatingPointMode, TheGraphHoldsWhatAModeCouldLose) {
  const std::vector<Bytes> bytes = run({1, "cpu", "all"}, as_started);
  std::size_t denormals = 0;
  for (std::size_t i = 0; i < bytes[0].size(); i += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, &bytes[0][i], sizeof value);
    denormals += std::fpclassify(value) == FP_SUBNORMAL;
  }
  EXPECT_GT(denormals, bytes[0].size() / sizeof(float) / 2);
}

// What a run raises is not seen by the caller, who may have traps.
TEST(FloatingPointMode, ExceptionFlagsAreTheCallers) {
  Session session;
  const Array x = Array::from<float>({1, 0}, {2});
  const CallersMode callers(as_started);
  const Array quotient = x / 0.0f;
  eval({quotient});
  EXPECT_EQ(_mm_getcsr() & division_by_zero, 0u);
}

TEST(FloatingPointMode, OfAStreamIsItsOwn) {
  Session session;
  const CallersMode callers(as_started | zero_results | zero_operands);
  const Array tiny = Array::from<float>({1, 2}, {2}) * 1e-40f;
  async_eval({tiny});
  EXPECT_GT(std::memcmp(tiny.bytes(), std::vector<std::byte>(4).data(), 4), 0);
}

}  // namespace
}  // namespace lazuli
