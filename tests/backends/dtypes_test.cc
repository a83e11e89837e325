// SPDX-License-Identifier: MIT
// What a comparison with the reference in ops_agree_test.cc leaves open: digits of f64, and the ends of the ranges of
// 64-bit integers.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <bit>
#include <cmath>
#include <limits>

namespace lazuli {
namespace {

using Doubles = std::vector<double>;
using Wide = std::vector<std::uint64_t>;
using Signed = std::vector<std::int64_t>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::uint64_t all_bits = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max(),
                       smallest = std::numeric_limits<std::int64_t>::min();

SessionOptions options(int threads = 2, const char* fusion = "all") {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  options.disk_cache = false;
  return options;
}

template <class T>
std::vector<T> values(const Array& x) {
  const auto data = x.data<T>();
  return {data.begin(), data.end()};
}

template <class T>
Array vector(const std::vector<T>& values) {
  return Array::from(values, {static_cast<std::int64_t>(values.size())});
}

// Units in the last place between two doubles of one sign.
std::int64_t ulps(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  if (std::signbit(a) != std::signbit(b) || std::isnan(a) || std::isnan(b)) return largest;
  return std::abs(std::bit_cast<std::int64_t>(a) - std::bit_cast<std::int64_t>(b));
}

struct Function {
  const char* name;
  Array (*of_arrays)(const Array&);
  double (*of_numbers)(double);
  double low, high;
};

const Function functions[] = {
    {"exp", exp, std::exp, -700, 700},       {"exp2", exp2, std::exp2, -1000, 1000},
    {"expm1", expm1, std::expm1, -30, 30},   {"log", log, std::log, 1e-300, 1e5},
    {"log2", log2, std::log2, 1e-9, 1e5},    {"log10", log10, std::log10, 1e-9, 1e5},
    {"log1p", log1p, std::log1p, -0.9, 50},  {"sqrt", sqrt, std::sqrt, 0, 1e5},
    {"tanh", tanh, std::tanh, -20, 20},      {"erf", erf, std::erf, -5, 5},
    {"sin", sin, std::sin, -1e6, 1e6},       {"cos", cos, std::cos, -1e6, 1e6},
    {"tan", tan, std::tan, -1e3, 1e3},       {"asin", asin, std::asin, -1, 1},
    {"acos", acos, std::acos, -1, 1},        {"atan", atan, std::atan, -99, 99},
    {"sinh", sinh, std::sinh, -99, 99},      {"cosh", cosh, std::cosh, -99, 99},
    {"asinh", asinh, std::asinh, -99, 99},   {"acosh", acosh, std::acosh, 1, 99},
    {"atanh", atanh, std::atanh, -1, 1},     {"floor", floor, std::floor, -99, 99},
    {"ceil", ceil, std::ceil, -99, 99},      {"trunc", trunc, std::trunc, -99, 99},
    {"round", round, std::nearbyint, -9, 9},
};

TEST(F64, FunctionsHaveTheirDigits) {
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session(options());
    for (const Function& function : functions) {
      Doubles x{0.0, -0.0, 0.5, 1.0, -1.0, 2.5, 1e-310, infinity, -infinity, std::nan("")};
      const Type type{f64, {1003}};
      const auto random = test::values_of(type, *test::random_buffer(type, 3, function.low, function.high));
      x.insert(x.end(), random.begin(), random.end());
      const Doubles found = values<double>(function.of_arrays(vector(x)));
      for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_LE(ulps(found[i], function.of_numbers(x[i])), 4)
            << function.name << '(' << x[i] << ") at " << to_string(isa) << ": " << found[i];
    }
  }
}

TEST(F64, RoundedIsEvenAtHalves) {
  Session session(options());
  const Array x = vector(Doubles{0.5, 1.5, 2.5, -0.5, -2.5, 0x1p52 + 1, 4503599627370495.5});
  EXPECT_EQ(values<double>(round(x)), (Doubles{0, 2, 2, -0.0, -2, 0x1p52 + 1, 0x1p52}));
}

TEST(F64, SumsKeepItsDigits) {
  Session session(options());
  const Array x = vector(Doubles(1001, 0x1p-40)) + 1.0;
  EXPECT_EQ(sum(x, {0}).item<double>(), 1001 * (1 + 0x1p-40));
  EXPECT_EQ(mean(x, {0}).item<double>(), 1 + 0x1p-40);
  EXPECT_EQ((vector(Doubles{1}) + 0.1).item<double>(), 1.1);
  EXPECT_EQ(matmul(Array::from({1.0, 0x1p-50}, {1, 2}), Array::from({1.0, 1.0}, {2, 1})).item<double>(), 1 + 0x1p-50);
}

TEST(F64, OpsAlongAxesKeepItsDigits) {
  Session session(options());
  const Array x = vector(Doubles{1, 0x1p-50, 2});
  EXPECT_EQ(values<double>(cumsum(x, 0)), (Doubles{1, 1 + 0x1p-50, 3 + 0x1p-50}));
  EXPECT_EQ(values<double>(sort(vector(Doubles{1 + 0x1p-50, 1, -infinity, std::nan("")})))[1], 1.0);
  EXPECT_EQ(argmin(vector(Doubles{1 + 0x1p-50, 1, 2})).item<int>(), 1);
  const Array line = reshape(vector(Doubles{1 + 0x1p-40, 1, 0.1}), {1, 3, 1});
  EXPECT_EQ(values<double>(mean_pool(line, {.kernel = {2}, .stride = {1}}))[0], 1 + 0x1p-41);
  EXPECT_EQ(values<double>(max_pool(line, {.kernel = {2}, .stride = {1}})), (Doubles{1 + 0x1p-40, 1}));
  EXPECT_EQ(values<double>(interpolate(reshape(vector(Doubles{0, 0.1}), {1, 2, 1}), {4}, Interpolation::linear)),
            (Doubles{0, 0.1 * 0.25, 0.1 * 0.75, 0.1}));
  EXPECT_EQ(values<double>(nan_to_num(vector(Doubles{infinity, -infinity, std::nan("")}))),
            (Doubles{std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(), 0}));
  const Doubles logs = values<double>(log_softmax(vector(Doubles{1, 2, 3})));
  EXPECT_NEAR(logs[2], -std::log(1 + std::exp(-1.0) + std::exp(-2.0)), 1e-15);
  const Doubles normalised = values<double>(layer_norm(vector(Doubles{1, 2, 6}), 0.5));
  EXPECT_NEAR(normalised[2], 3 / std::sqrt(14.0 / 3 + 0.5), 1e-15);
  EXPECT_EQ(
      scatter(x, vector(std::vector<std::int32_t>{0}), vector(Doubles{0x1p-50}), 0, Scatter::add).data<double>()[0],
      1 + 0x1p-50);
}

TEST(F64, ThreadsAndFusionsChangeNoBit) {
  const Type type{f64, {37, 1003}};
  const Array x = Array::from(test::random_buffer(type, 1), type);
  const auto build = [&] {
    const Array norm = rms_norm(x, 1e-6) * softcap(x, 3) + cast(cast(x, f32), f64);
    return softmax(norm) + matmul(matmul(x, transpose(x, {1, 0})), gelu(x)) * 1e-3;
  };
  std::vector<Doubles> found;
  for (const char* fusion : {"all", "none"})
    for (const int threads : {1, 3}) {
      Session session(options(threads, fusion));
      found.push_back(values<double>(build()));
    }
  for (const Doubles& other : found) EXPECT_EQ(found[0], other);
}

TEST(U64, Order) {
  Session session(options());
  const Array x = vector(Wide{all_bits, 1, std::uint64_t{1} << 63, 0}), y = vector(Wide{1, all_bits, 1, 0});
  EXPECT_EQ(values<std::uint64_t>(maximum(x, y)), (Wide{all_bits, all_bits, std::uint64_t{1} << 63, 0}));
  EXPECT_EQ(values<std::uint64_t>(x / y), (Wide{all_bits, 0, std::uint64_t{1} << 63, 0}));
  EXPECT_EQ(values<std::uint64_t>(remainder(x, 10)), (Wide{5, 1, 8, 0}));
  EXPECT_EQ(values<std::uint64_t>(right_shift(x, 60)), (Wide{15, 0, 8, 0}));
  EXPECT_EQ(max(x, {0}).item<std::uint64_t>(), all_bits);
  EXPECT_EQ(argmax(y).item<int>(), 1);
  const TopK best = top_k(vector(Wide{all_bits - 2, all_bits, all_bits - 1}), 2);
  EXPECT_EQ(values<std::uint64_t>(best.values), (Wide{all_bits, all_bits - 1}));
  EXPECT_EQ(values<std::int32_t>(best.indices), (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(values<std::int64_t>(top_k(vector(Signed{smallest, largest, largest - 1}), 3).values),
            (Signed{largest, largest - 1, smallest}));
}

TEST(U64, OrderAlongAxes) {
  constexpr std::uint64_t high = std::uint64_t{1} << 63;
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions chosen = options();
    chosen.backend = backend;
    Session session(chosen);
    const Array x = vector(Wide{3, all_bits, high, 0, all_bits - 1});
    EXPECT_EQ(values<std::uint64_t>(sort(x)), (Wide{0, 3, high, all_bits - 1, all_bits})) << backend;
    EXPECT_EQ(values<std::int32_t>(argsort(x)), (std::vector<std::int32_t>{3, 0, 2, 4, 1})) << backend;
    EXPECT_EQ(argmin(x).item<int>(), 3) << backend;
    EXPECT_EQ(values<std::uint64_t>(cummax(x, 0)), (Wide{3, all_bits, all_bits, all_bits, all_bits})) << backend;
    EXPECT_EQ(values<std::uint64_t>(cummin(x, 0, false, false)), (Wide{all_bits, 3, 3, 3, 0})) << backend;
    EXPECT_EQ(values<std::uint64_t>(max_pool(reshape(x, {1, 5, 1}), {.kernel = {2}, .stride = {1}})),
              (Wide{all_bits, all_bits, high, all_bits - 1}))
        << backend;
    const Array base = vector(Wide{1, high}), at = vector(std::vector<std::int32_t>{0, 1}),
                updates = vector(Wide{all_bits, 2});
    EXPECT_EQ(values<std::uint64_t>(scatter(base, at, updates, 0, Scatter::max)), (Wide{all_bits, high})) << backend;
    EXPECT_EQ(values<std::uint64_t>(scatter(base, at, updates, 0, Scatter::min)), (Wide{1, 2})) << backend;
    EXPECT_EQ(values<std::uint64_t>(scatter(base, at, updates, 0, Scatter::add)), (Wide{0, high + 2})) << backend;
    EXPECT_EQ(values<std::uint64_t>(arange(0x1p63, 0x1p63 + 8192, 4096, u64)), (Wide{high, high + 4096})) << backend;
  }
}

TEST(U64, Casts) {
  Session session(options());
  const Array x = vector(Wide{all_bits, std::uint64_t{1} << 63, 3});
  EXPECT_EQ(values<double>(cast(x, f64)), (Doubles{0x1p64, 0x1p63, 3}));
  EXPECT_EQ(values<float>(cast(x, f32)), (std::vector<float>{0x1p64f, 0x1p63f, 3}));
  EXPECT_EQ(values<std::int64_t>(cast(x, i64)), (Signed{-1, smallest, 3}));
  EXPECT_EQ(values<std::uint64_t>(cast(vector(Doubles{-1, 1e30, 0x1p63, std::nan("")}), u64)),
            (Wide{0, all_bits, std::uint64_t{1} << 63, 0}));
  EXPECT_EQ(values<std::int64_t>(cast(vector(Doubles{-1e30, 1e30, 9007199254740993.0}), i64)),
            (Signed{smallest, largest, 9007199254740992}));
}

TEST(I16, WrapsAround) {
  Session session(options());
  const Array x = vector(std::vector<std::int16_t>{32767, -32768, -7});
  EXPECT_EQ(values<std::int16_t>(x + 1), (std::vector<std::int16_t>{-32768, -32767, -6}));
  EXPECT_EQ(values<std::int16_t>(x / -1), (std::vector<std::int16_t>{-32767, -32768, 7}));
  EXPECT_EQ(values<std::int16_t>(x / 2), (std::vector<std::int16_t>{16383, -16384, -4}));
  EXPECT_EQ(values<std::uint16_t>(cast(x, u16)), (std::vector<std::uint16_t>{32767, 32768, 65529}));
  EXPECT_EQ(values<std::uint16_t>(cast(vector(Doubles{-5, 70000, 65535.9}), u16)),
            (std::vector<std::uint16_t>{0, 65535, 65535}));
}

}  // namespace
}  // namespace lazuli
