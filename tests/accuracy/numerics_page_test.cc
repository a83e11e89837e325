// SPDX-License-Identifier: MIT
// docs/numerics.md states what is so: its functions are all there are, its errors those allowed, its special values
// those that come out.
#include <gtest/gtest.h>
#include <lazuli/graph/op.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/accuracy/measure.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/paths.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace lazuli {
namespace {

std::string page() {
  std::ifstream file(std::string(test::build_folder) + "/../../docs/numerics.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The cells of the row that begins with `name`, without the name.
std::vector<std::string> cells_of(const std::string& text, const std::string& name) {
  const std::size_t from = text.find("\n| " + name + " | ");
  if (from == std::string::npos) return {};
  std::stringstream row(text.substr(from + name.size() + 5, text.find('\n', from + 1) - from - name.size() - 5));
  std::vector<std::string> cells;
  for (std::string cell; std::getline(row, cell, '|');) {
    const std::size_t begin = cell.find_first_not_of(' '), end = cell.find_last_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
  }
  return cells;
}

TEST(Numerics, EveryElementwiseFunctionHasAnAllowedError) {
  std::set<std::string> named;
  for (const test::UnaryFunction& function : test::unary_functions()) named.insert(function.name);
  for (const test::BinaryFunction& function : test::binary_functions()) named.insert(function.name);
  // Their results are no real numbers, or one of their operands as it is.
  const std::set<std::string> others = {"logical_not", "logical_and", "logical_or", "bitwise_invert", "bitwise_and",
                                        "bitwise_or",  "bitwise_xor", "left_shift", "right_shift",    "equal",
                                        "not_equal",   "less",        "less_equal", "greater",        "greater_equal",
                                        "select",      "cast"};
  for (const OpInfo& op : all_ops())
    if (op.has(op_flags::elementwise)) {
      EXPECT_NE(named.contains(std::string(op.name)), others.contains(std::string(op.name))) << op.name;
    }
}

TEST(Numerics, ThePageStatesTheAllowedErrorsAndKeepsThem) {
  const std::string text = page();
  const auto expect_row = [&](const auto& function) {
    const std::vector<std::string> cells = cells_of(text, function.name);
    ASSERT_GE(cells.size(), 5u) << "no row in docs/numerics.md: " << function.name;
    EXPECT_EQ(std::stod(cells[0]), function.ulps) << function.name;
    EXPECT_LE(std::stod(cells[1]), function.ulps) << function.name;
    EXPECT_EQ(std::stod(cells[3]), function.ulps_f64) << function.name;
    EXPECT_LE(std::stod(cells[4]), function.ulps_f64) << function.name;
  };
  for (const test::UnaryFunction& function : test::unary_functions()) ASSERT_NO_FATAL_FAILURE(expect_row(function));
  for (const test::BinaryFunction& function : test::binary_functions()) ASSERT_NO_FATAL_FAILURE(expect_row(function));
}

TEST(Numerics, ThePageShowsTheSpecialValuesOfEveryLevel) {
  const std::string text = page();
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session;
    const std::string table = test::table_of_special_values();
    EXPECT_NE(text.find(table), std::string::npos) << "expected in docs/numerics.md:\n" << table;
  }
}

TEST(Numerics, F64AndTwoOperandsKeepTheirAllowedErrors) {
  Session session;
  for (const test::UnaryFunction& function : test::unary_functions()) {
    const test::LargestError error = test::largest_error(function, test::f64_values(99, 20000));
    EXPECT_LE(error.ulps, function.ulps_f64) << function.name << " of " << error.at;
  }
  for (const test::BinaryFunction& function : test::binary_functions()) {
    const test::LargestError f32 = test::largest_error(function, test::f32_random_values(5, 20000),
                                                       test::f32_random_values(6, 20000)),
                             f64 =
                                 test::largest_error(function, test::f64_values(7, 20000), test::f64_values(8, 20000));
    EXPECT_LE(f32.ulps, function.ulps) << function.name << " of f32 " << f32.at << " and " << f32.second;
    EXPECT_LE(f64.ulps, function.ulps_f64) << function.name << " of f64 " << f64.at << " and " << f64.second;
  }
}

TEST(Numerics, ZerosOfBothSignsAndNoNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    Session session;
    const auto first = [](const Array& x) { return cast(x, DType::f32).data<float>()[0]; };
    const auto of = [](std::initializer_list<float> values) {
      return Array::from(values, {static_cast<std::int64_t>(values.size())});
    };
    EXPECT_EQ(first(pow(of({nan}), of({0}))), 1);
    EXPECT_EQ(first(pow(of({1}), of({nan}))), 1);
    EXPECT_TRUE(std::isnan(first(remainder(of({infinite}), of({2})))));
    EXPECT_TRUE(std::isnan(first(remainder(of({1}), of({0})))));
    EXPECT_TRUE(std::signbit(first(remainder(of({4}), of({-2})))));
    EXPECT_TRUE(std::signbit(first(fmod(of({-4}), of({2})))));
    EXPECT_EQ(first(argmax(of({-0.0f, 0.0f}), 0)), 0);
    EXPECT_EQ(first(argmin(of({0.0f, -0.0f}), 0)), 0);
    EXPECT_TRUE(std::isnan(first(softmax(of({-infinite, -infinite})))));
    EXPECT_TRUE(std::isnan(first(softmax(of({infinite, 0})))));
    EXPECT_TRUE(std::isnan(first(softmax(of({nan, 0})))));
    const Array sorted = sort(of({0.0f, -nan, -0.0f, -1}), 0);
    EXPECT_EQ(sorted.data<float>()[0], -1);
    EXPECT_FALSE(std::signbit(sorted.data<float>()[1]));
    EXPECT_TRUE(std::signbit(sorted.data<float>()[2]));
    EXPECT_TRUE(std::isnan(sorted.data<float>()[3]));
  }
}

}  // namespace
}  // namespace lazuli
