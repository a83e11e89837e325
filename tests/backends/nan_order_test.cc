// SPDX-License-Identifier: MIT
// NaN among numbers is where numpy has it: it wins in max, min, argmax, argmin and the cumulative ones, the first of
// several; sorting puts it behind all numbers, and top_k, the other way round, in front.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lazuli {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
using Numbers = std::vector<double>;

// Small whole numbers, infinities, and NaN once in `rarity` elements or never.
Numbers row_of(std::int64_t count, std::uint32_t rarity, std::uint32_t seed) {
  std::mt19937 random(seed);
  Numbers values;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t drawn = random();
    values.push_back(rarity > 0 && drawn % rarity == 0 ? nan
                     : drawn % 101 == 7                ? infinity
                     : drawn % 103 == 7                ? -infinity
                                                       : static_cast<double>((drawn >> 8) & 63) - 32);
  }
  return values;
}

// Largest or smallest, NaN before all; of equals the first.
std::size_t place_of(const Numbers& row, bool largest) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) return i;
    if (largest ? row[i] > row[best] : row[i] < row[best]) best = i;
  }
  return best;
}

std::vector<std::size_t> sorted(const Numbers& row, bool descending) {
  std::vector<std::size_t> places(row.size());
  std::iota(places.begin(), places.end(), 0);
  const auto key = [&](std::size_t i) { return std::pair(std::isnan(row[i]), std::isnan(row[i]) ? 0 : row[i]); };
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return descending ? key(b) < key(a) : key(a) < key(b); });
  return places;
}

Numbers cumulative(const Numbers& row, bool largest) {
  Numbers result;
  for (const double value : row) {
    const double best = result.empty() ? value : result.back();
    const bool replaces = std::isnan(value) || (largest ? value > best : value < best);
    result.push_back(!std::isnan(best) && replaces ? value : best);
  }
  return result;
}

Numbers at(const Numbers& row, const std::vector<std::size_t>& places) {
  Numbers values;
  for (const std::size_t place : places) values.push_back(row[place]);
  return values;
}
Numbers numbers(const std::vector<std::size_t>& places) { return {places.begin(), places.end()}; }

Numbers found_in(const Array& array) {
  array.bytes();
  return test::values_of(array.type(), *array.node()->results()[static_cast<std::size_t>(array.output())].buffer);
}

void expect_same(const Numbers& expected, const Numbers& found, const std::string& where) {
  ASSERT_EQ(expected.size(), found.size()) << where;
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_TRUE(expected[i] == found[i] || (std::isnan(expected[i]) && std::isnan(found[i])))
        << where << ", element " << i << ": " << found[i] << ", expected " << expected[i];
}

void expect_numpys_order(DType dtype, std::int64_t count, std::uint32_t rarity, const std::string& where) {
  const Numbers row = row_of(count, rarity, static_cast<std::uint32_t>(count) + rarity);
  const Type type{dtype, {count}};
  const Array x = Array::from(test::buffer_of(type, row), type), column = reshape(x, {count, 1});
  const Array columns = broadcast_to(column, {count, 17}) + zeros({1, 17}, dtype);
  const std::int64_t k = std::min<std::int64_t>(count, 5);
  const TopK best = top_k(x, k);
  const std::size_t largest = place_of(row, true), smallest = place_of(row, false);
  const std::vector<std::size_t> ascending = sorted(row, false);
  std::vector<std::size_t> descending = sorted(row, true);
  descending.resize(static_cast<std::size_t>(k));
  const std::vector<std::pair<Array, Numbers>> cases = {
      {argmax(x), {static_cast<double>(largest)}},
      {argmin(x), {static_cast<double>(smallest)}},
      {argmax(columns, 0), Numbers(17, static_cast<double>(largest))},
      {argmin(columns, 0), Numbers(17, static_cast<double>(smallest))},
      {argmax(x * 2), {static_cast<double>(largest)}},
      {max(x, {0}), {row[largest]}},
      {min(x, {0}), {row[smallest]}},
      {max(columns, {0}), Numbers(17, row[largest])},
      {min(columns, {0}), Numbers(17, row[smallest])},
      {max(x + 1, {0}) - 1, {row[largest]}},
      {sort(x), at(row, ascending)},
      {argsort(x), numbers(ascending)},
      {best.values, at(row, descending)},
      {best.indices, numbers(descending)},
      {cummax(x, 0), cumulative(row, true)},
      {cummin(x, 0), cumulative(row, false)},
  };
  std::vector<Array> results;
  for (const auto& [result, expected] : cases) results.push_back(result);
  eval(results);
  for (std::size_t i = 0; i < cases.size(); ++i)
    expect_same(
        cases[i].second, found_in(cases[i].first),
        where + ", " + std::string(to_string(dtype)) + ", case " + std::to_string(i) + " of " + std::to_string(count));
}

constexpr DType reals[] = {DType::f32, DType::f16, DType::bf16, DType::f64};

TEST(NanOrder, IsNumpysOnEveryBackend) {
  for (const char* backend : {"cpu", "reference"})
    for (const char* fusion : {"all", "none"}) {
      SessionOptions options;
      options.backend = backend;
      options.fusion = fusion;
      options.threads = 3;
      Session session(options);
      for (const DType dtype : reals)
        for (const std::int64_t count : {1, 2, 15, 17, 601})
          for (const std::uint32_t rarity : {0u, 1u, 3u, 300u})
            expect_numpys_order(dtype, count, rarity, std::string(backend) + " " + fusion);
    }
}

TEST(NanOrder, IsNumpysAtEveryLevel) {
  for (const Isa isa : test::usable_isas())
    for (const int threads : {1, 2}) {
      SessionOptions options;
      options.isa = isa;
      options.threads = threads;
      Session session(options);
      for (const std::int64_t count : {16, 33, 4097, 200003})
        for (const std::uint32_t rarity : {0u, 2u, 100000u})
          expect_numpys_order(DType::f32, count, rarity, std::string(to_string(isa)));
    }
}

// As greedy decoding runs it: on tiles of columns that are still in cache.
TEST(NanOrder, BehindAProduct) {
  constexpr std::int64_t outputs = 5000, cols = 64;
  for (const std::int64_t place : {0, 17, 2048, 4999}) {
    const Type type{DType::f32, {outputs, cols}};
    Numbers values(static_cast<std::size_t>(type.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 97) - 40;
    values[static_cast<std::size_t>(place * cols + 3)] = nan;
    const Array weight = Array::constant(test::buffer_of(type, values), type, "head");
    for (const char* fusion : {"all", "none"})
      for (const int threads : {1, 2, 3}) {
        SessionOptions options;
        options.fusion = fusion;
        options.threads = threads;
        Session session(options);
        const Array x = Array::from(std::vector<float>(cols, 1.0f), {1, cols});
        EXPECT_EQ(argmax(softcap(linear(x, weight), 30.0)).item<int>(), place) << fusion << ", " << threads;
      }
  }
}

}  // namespace
}  // namespace lazuli
