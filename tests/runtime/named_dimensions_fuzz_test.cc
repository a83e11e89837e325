// SPDX-License-Identifier: MIT
// Random functions of ops that take named axes: compiled once for every length they give the bits of functions compiled
// for each, fused as they come.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/guarded_memory.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace lazuli {
namespace {

constexpr std::int64_t bound = 40;
constexpr std::int64_t lengths[] = {1, 3, 17, 32, bound};

Array random_array(Shape shape, unsigned seed, const AllocatorRef& allocator = nullptr) {
  const Type type{DType::f32, std::move(shape)};
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()), allocator);
  for (std::int64_t i = 0; i < type.elements(); ++i) buffer->as<float>()[i] = values(generator);
  return Array::from(std::move(buffer), type);
}

// The same ops for the same seed, whatever the number of rows.
class RandomFunction {
 public:
  explicit RandomFunction(unsigned seed) : seed_(seed) {}

  std::vector<Array> operator()(const std::vector<Array>& arguments) const {
    std::mt19937 choose(seed_);
    const auto below = [&](std::size_t count) { return static_cast<std::size_t>(choose() % count); };
    std::vector<Array> rows = {arguments[0], arguments[0] * 0.5};  // [T, 32]
    std::vector<Array> plain = {arguments[1]};                     // [32]
    for (int step = 0; step < 14; ++step) {
      const Array x = rows[below(rows.size())], y = rows[below(rows.size())], p = plain[below(plain.size())];
      const std::size_t op = below(22);
      const unsigned weight = static_cast<unsigned>(below(3));
      if (op == 21)
        plain.push_back(mean(x, {0}) + p);
      else if (op == 20)
        plain.push_back(max(tanh(x), {0}) * 0.5);
      else
        rows.push_back(rows_of(op, weight, x, y, p));
    }
    return {rows.back(), rows[rows.size() / 2] + plain.back(), plain.back(), sum(rows.back(), {1})};
  }

 private:
  static Array rows_of(std::size_t op, unsigned weight, const Array& x, const Array& y, const Array& p) {
    const Array heads = reshape(x, {x.size(0), 4, 8});
    const auto square = [&] { return constant(random_array({32, 32}, weight), "w"); };
    switch (op) {
      case 0:
        return x + y;
      case 1:
        return x * y - p;
      case 2:
        return gelu(x) * y;
      case 3:
        return tanh(x * p);
      case 4:
        return softmax(x) + y;
      case 5:
        return layer_norm(x, p, p, 1e-5);
      case 6:
        return rms_norm(x + y, p, 1e-5);
      case 7:
        return linear(x, square()) * 0.2;
      case 8:
        return gelu(linear(x, square())) + x;
      case 9:
        return silu(linear(x, square())) * linear(x, constant(random_array({32, 32}, weight + 7), "v"));
      case 10:
        return matmul(x, reshape(p * p, {32, 1}) * reshape(p, {1, 32})) * 0.1;
      case 11:
        return reshape(transpose(heads, {0, 2, 1}), {x.size(0), 32});
      case 12:
        return concatenate({slice_axis(x, 1, 16, 32), slice_axis(y, 1, 0, 16)}, 1);
      case 13:
        return reshape(softmax(heads, 1), {x.size(0), 32});
      case 14:
        return x - max(y, {1}, true);
      case 15:
        return x * reshape(sum(reshape(y, {y.size(0), 4, 8}), {1, 2}), {y.size(0), 1}) * 0.05;
      case 16:
        return select(x > y, x, p);
      case 17:
        return sort(x, 1);
      case 18:
        return cumsum(x, 1) * 0.1;
      default:
        return cast(cast(x, DType::f16) + cast(y, DType::f16), DType::f32);
    }
  }

  unsigned seed_;
};

std::vector<Array> arguments(std::int64_t length, const AllocatorRef& allocator) {
  return {random_array({length, 32}, 1, allocator), random_array({32}, 2, allocator)};
}

void expect_same(const std::vector<Array>& found, const std::vector<Array>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].type(), expected[i].type());
    const auto bytes = static_cast<std::size_t>(found[i].type().bytes());
    EXPECT_EQ(std::memcmp(found[i].bytes(), expected[i].bytes(), bytes), 0) << "result " << i;
  }
}

void expect_one_program(unsigned first_seed, const std::string& fusion, int threads) {
  constexpr unsigned functions = 12;
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  options.verify = true;
  const auto guarded = std::make_shared<test::GuardedMemory>();
  Session anew(options);
  options.allocator = guarded;
  Session once(options);
  for (unsigned seed = first_seed; seed < first_seed + functions; ++seed) {
    const RandomFunction function(seed);
    const CompiledFunction sized = compile(function, {.dimensions = {{0, 0, {"rows", bound}}}});
    const CompiledFunction plain = compile(function);
    for (const std::int64_t length : lengths) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", length " + std::to_string(length));
      expect_same(once.call(sized, arguments(length, guarded)), anew.call(plain, arguments(length, nullptr)));
    }
    EXPECT_EQ(sized.signatures(), 1);
  }
  EXPECT_LE(once.statistics().programs, std::int64_t{functions});
}

TEST(NamedDimensionsFuzz, Fused) { expect_one_program(0, "all", 3); }
TEST(NamedDimensionsFuzz, OneThread) { expect_one_program(100, "all", 1); }
TEST(NamedDimensionsFuzz, NotFused) { expect_one_program(200, "none", 3); }
TEST(NamedDimensionsFuzz, SpelledOut) { expect_one_program(300, "primitive", 3); }

}  // namespace
}  // namespace lazuli
