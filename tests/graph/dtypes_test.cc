// SPDX-License-Identifier: MIT
// The dtype rules of ops, the numbers they take, and the C++ types of elements.
#include <gtest/gtest.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/shape_rules/dtype_rules.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/paths.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

namespace lazuli {
namespace {

using test::error_of;

Array of(DType dtype, Shape shape = {2}) { return placeholder({dtype, std::move(shape)}); }

std::string names_of(const std::vector<DTypeClass>& classes) {
  std::string names;
  for (const DTypeClass dtypes : classes) names += (names.empty() ? "" : ", ") + std::string(to_string(dtypes));
  return names.empty() ? "-" : names;
}

// The table of docs/dtypes.md.
std::string table() {
  std::vector<const DTypeRule*> rules;
  std::map<const DTypeRule*, std::string> ops;
  for (const OpInfo& op : all_ops()) {
    const DTypeRule* rule = dtype_rule(op.op);
    if (rule == nullptr) continue;
    if (!ops.contains(rule)) rules.push_back(rule);
    ops[rule] += (ops[rule].empty() ? "" : ", ") + std::string(op.name);
  }
  std::sort(rules.begin(), rules.end());  // they lie in the order of the list
  std::string text = "| ops | operands | results |\n| --- | --- | --- |\n";
  for (const DTypeRule* rule : rules)
    text += "| " + ops[rule] + " | " + names_of(rule->operands) + " | " + names_of(rule->results) + " |\n";
  return text;
}

TEST(DTypeRules, EveryOpHasOne) {
  for (const OpInfo& op : all_ops()) {
    const bool is_declared = op.op == Op::input || op.op == Op::constant || op.op == Op::fused || op.op == Op::custom ||
                             is_control_flow(op.op);
    EXPECT_EQ(dtype_rule(op.op) == nullptr, is_declared) << op.name;
  }
}

TEST(DTypeRules, TheDocumentShowsTheList) {
  std::ifstream file(std::string(test::build_folder) + "/../../docs/dtypes.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(table()), std::string::npos) << "expected in docs/dtypes.md:\n" << table();
}

TEST(DTypeRules, ArraysOfTwoDtypesNeverMix) {
  EXPECT_EQ(error_of([] { of(f32) + of(f64); }), "add: dtypes differ: f32[2] and f64[2]; cast one of them");
  EXPECT_EQ(error_of([] { of(i16) * of(u16); }), "mul: dtypes differ: i16[2] and u16[2]; cast one of them");
  EXPECT_EQ(error_of([] { equal(of(u64), of(i64)); }), "equal: dtypes differ: u64[2] and i64[2]; cast one of them");
  EXPECT_EQ(error_of([] { select(of(bool_), of(f64), of(f32)); }),
            "select: dtypes differ: f64[2] and f32[2]; cast one of them");
  EXPECT_EQ(error_of([] { concatenate({of(i8), of(u8)}, 0); }),
            "concatenate: dtypes differ: i8[2] and u8[2]; cast one of them");
}

TEST(DTypeRules, OperandsThatFit) {
  EXPECT_EQ(error_of([] { select(of(i32), of(f32), of(f32)); }), "select: operand 0 is i32[2], expected bool");
  EXPECT_EQ(error_of([] { sum(of(bool_), {0}); }), "sum: operand 0 is bool[2], expected numbers");
  EXPECT_EQ(error_of([] { exp(of(i16)); }), "exp: operand 0 is i16[2], expected a real dtype (f32, f16, bf16, f64)");
  EXPECT_EQ(error_of([] { left_shift(of(f64), of(f64)); }), "left_shift: operand 0 is f64[2], expected integers");
  EXPECT_EQ(error_of([] { take(of(f32), of(i64), 0); }), "take: operand 1 is i64[2], expected i32 indices");
  EXPECT_EQ(
      error_of([] { abs(of(q8_0, {32})); }),
      "abs: operand 0 is q8_0[32]; quantised arrays can only be read by linear, expert_linear, attention, take and "
      "dequantise");
}

TEST(DTypeRules, WeightsOfF64StandBesideF64) {
  const Shape matrix{3, 4};
  EXPECT_EQ(linear(of(f64, {4}), of(f64, matrix)).dtype(), f64);
  EXPECT_EQ(linear(of(f64, {4}), of(bf16, matrix)).dtype(), f64);
  EXPECT_EQ(error_of([&] { linear(of(f32, {4}), of(f64, matrix)); }),
            "linear: operand 1 is f64[3,4], expected a quantised dtype, or f32, f16, bf16");
  EXPECT_EQ(error_of([&] { expert_linear(of(f64, {1, 1, 4}), of(f32, {2, 3, 4}), of(i32, {1, 1})); }),
            "expert_linear: operand 0 is f64[1,1,4], expected a real dtype of at most 32 bits (f32, f16, bf16)");
}

TEST(DTypeRules, ConvolutionsHaveNoF64) {
  const Array x = of(f64, {1, 8, 8, 4});
  for (const Shape& kernel : {Shape{5, 3, 3, 4}, Shape{5, 1, 1, 4}})
    EXPECT_EQ(error_of([&] { conv2d(x, of(f64, kernel)); }),
              "convolution: operand 0 is f64[1,8,8,4], expected a real dtype of at most 32 bits (f32, f16, bf16)");
  EXPECT_EQ(max_pool(x, {.kernel = {2}}).dtype(), f64);
  EXPECT_EQ(interpolate(x, {9}, Interpolation::linear).dtype(), f64);
}

TEST(NumbersOfDtypes, MustBeValues) {
  EXPECT_EQ(error_of([] { of(i32) * 2.5; }), "mul: found the number 2.5, expected a value of i32");
  EXPECT_EQ(error_of([] { of(u8) + 300; }), "add: found the number 300, expected a value of u8");
  EXPECT_EQ(error_of([] { -1 + of(u64); }), "add: found the number -1, expected a value of u64");
  EXPECT_EQ(error_of([] { equal(of(bool_), 2); }), "equal: found the number 2, expected a value of bool");
  EXPECT_EQ(error_of([] { of(f16) * 70000.0; }), "mul: found the number 70000, expected a value of f16");
  EXPECT_EQ(error_of([] { full({2}, 0.5, i16); }), "scalar: found the number 0.5, expected a value of i16");
  EXPECT_EQ(error_of([] { maximum(of(i64), std::numeric_limits<double>::infinity()); }),
            "maximum: found the number inf, expected a value of i64");
  EXPECT_EQ(error_of([] {
              const Scope scope("layers", 2);
              of(i8) - 128;
            }),
            "sub: found the number 128, expected a value of i8 (in layers.2)");
}

TEST(NumbersOfDtypes, TakeTheDtypeOfTheArray) {
  EXPECT_EQ((of(i32) * 2.0).dtype(), i32);
  EXPECT_EQ((of(f64) * 1e300).dtype(), f64);
  EXPECT_EQ((of(f16) * 0.1).dtype(), f16);
  EXPECT_EQ(equal(of(bool_), true).dtype(), bool_);
  EXPECT_EQ((of(u16) + 65535).dtype(), u16);
  EXPECT_EQ((of(i8) + std::size_t{3}).dtype(), i8);
  EXPECT_EQ((of(f32) + std::int64_t{3}).dtype(), f32);
}

TEST(NumbersOfDtypes, OfFunctionsThatTakeThem) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::int64_t wide = (std::int64_t{1} << 60) + 1;
  EXPECT_EQ(error_of([] { pad(of(i32), {{1, 1}}, PadMode::constant, 2.5); }),
            "pad: found the number 2.5, expected a value of i32");
  EXPECT_EQ(error_of([] { scatter(of(u8), of(i32), 300, 0); }),
            "scatter: found the number 300, expected a value of u8");
  EXPECT_EQ(error_of([] { full_like(of(u8), 300); }), "scalar: found the number 300, expected a value of u8");
  EXPECT_EQ(error_of([] { clip(of(i32), 0.5, 3); }), "maximum: found the number 0.5, expected a value of i32");
  EXPECT_EQ(error_of([] { einsum(",i->i", {2.5, of(i16)}); }), "einsum: found the number 2.5, expected a value of i16");
  EXPECT_EQ(pad(of(i64), {{1, 1}}, PadMode::constant, wide).dtype(), i64);
  EXPECT_EQ(clip(of(f32), -1.5, 1e30).dtype(), f32);
  EXPECT_EQ(clip(of(u64), 1, infinity).dtype(), u64);
  EXPECT_EQ(clip(of(i8), -infinity, infinity).dtype(), i8);
  for (const DType dtype : {f32, f16, bf16, f64}) {
    EXPECT_EQ(nan_to_num(of(dtype)).dtype(), dtype);
    EXPECT_EQ(isclose(of(dtype), of(dtype)).dtype(), bool_);
  }
}

TEST(NumbersOfDtypes, AloneHaveTheirOwn) {
  EXPECT_EQ(Array(1).dtype(), i32);
  EXPECT_EQ(Array(std::int64_t{1}).dtype(), i64);
  EXPECT_EQ(Array(1ull).dtype(), u64);
  EXPECT_EQ(Array(std::uint16_t{1}).dtype(), u16);
  EXPECT_EQ(Array(true).dtype(), bool_);
  EXPECT_EQ(Array(1.0).dtype(), f32);
  EXPECT_EQ(Array(1e300).dtype(), f64);
}

TEST(NumbersOfDtypes, BeyondDoubles) {
  const std::int64_t wide = (std::int64_t{1} << 60) + 1;
  EXPECT_EQ(error_of([&] { of(i32) + wide; }), "add: found the number 1152921504606846977, expected a value of i32");
  EXPECT_EQ(error_of([&] { of(u64) + -wide; }), "add: found the number -1152921504606846977, expected a value of u64");
  EXPECT_EQ(error_of([&] { of(i64) + std::numeric_limits<std::uint64_t>::max(); }),
            "add: found the number 18446744073709551615, expected a value of i64");
  EXPECT_EQ((of(u64) + wide).dtype(), u64);
  EXPECT_EQ((of(f32) + wide).dtype(), f32);
  EXPECT_EQ(error_of([] {
              parse_graph("%0 = input i64[2]\n%1 = add %0, 9007199254740993 : i64[2]\nreturn %1\n");
            }).find("no error"),
            std::string::npos);
}

TEST(NumbersOfDtypes, ValuesOfEachDtype) {
  EXPECT_TRUE(is_value_of(-0.0, u8));
  EXPECT_TRUE(is_value_of(0x1p63, u64));
  EXPECT_FALSE(is_value_of(0x1p64, u64));
  EXPECT_FALSE(is_value_of(0x1p63, i64));
  EXPECT_TRUE(is_value_of(-0x1p63, i64));
  EXPECT_FALSE(is_value_of(std::nan(""), i32));
  EXPECT_TRUE(is_value_of(std::nan(""), f16));
  EXPECT_FALSE(is_value_of(1e300, f32));
  EXPECT_FALSE(is_value_of(1, q8_0));
}

TEST(ElementTypes, OfEveryDtype) {
  EXPECT_EQ(Array::from({1.5, 2.5}, {2}).dtype(), f64);
  EXPECT_EQ(Array::from({1.5, 2.5}, {2}).data<double>()[1], 2.5);
  EXPECT_EQ(Array::from(std::vector<std::uint16_t>{7, 9}, {2}).dtype(), u16);
  EXPECT_EQ(Array::from(std::vector<std::int16_t>{-7, 9}, {2}).data<std::int16_t>()[0], -7);
  const Array wide = Array::from(std::vector<std::uint64_t>{std::numeric_limits<std::uint64_t>::max()}, {1});
  EXPECT_EQ(wide.dtype(), u64);
  EXPECT_EQ(wide.item<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(wide.item<double>(), 0x1p64);
}

TEST(ElementTypes, HalvesRoundToNearestEven) {
  const Array halves = Array::from(std::vector<float16>{float16(1.0f), float16(2049.0f), float16(1e9f)}, {3});
  EXPECT_EQ(halves.dtype(), f16);
  EXPECT_EQ(halves.data<float16>()[1], 2048.0f);
  EXPECT_TRUE(std::isinf(static_cast<float>(halves.data<float16>()[2])));
  EXPECT_EQ(halves.data<std::uint16_t>()[0], 0x3c00);
  const Array upper = Array::from(std::vector<bfloat16>{bfloat16(1.0f), bfloat16(257.0f)}, {2});
  EXPECT_EQ(upper.dtype(), bf16);
  EXPECT_EQ(upper.data<bfloat16>()[1], 256.0f);
  EXPECT_EQ(bfloat16::from_bits(0x3f80), 1.0f);
  EXPECT_EQ(error_of([&] { upper.data<float16>(); }), "data: the array is bf16[2], expected f16");
}

}  // namespace
}  // namespace lazuli
