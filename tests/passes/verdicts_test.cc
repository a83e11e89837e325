// SPDX-License-Identifier: MIT
// What fusions say of themselves: rules, loops, and the choices of the CPU backend, fired or not, and why.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/run_reference.h>

#include <functional>
#include <random>
#include <vector>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;

Array weight(std::int64_t outputs, std::int64_t columns, std::uint32_t seed) {
  const Type type{DType::q8_0, {outputs, columns}};
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-0.2f, 0.2f);
  std::vector<float> values(static_cast<std::size_t>(outputs * columns));
  for (float& value : values) value = uniform(random);
  const BufferRef blocks = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  quantise(DType::q8_0, values.data(), outputs * columns, blocks->data());
  return Array::constant(blocks, type, "w");
}

struct Told {
  std::vector<Verdict> verdicts;

  // "fired", or the reasons given; "" where the fusion said nothing.
  std::string of(std::string_view fusion) const {
    std::string said;
    for (const Verdict& verdict : verdicts)
      if (verdict.rule == fusion) said += (said.empty() ? "" : "; ") + (verdict.fired ? "fired" : verdict.reason);
    return said;
  }
};

Told compile(const std::function<Arrays(const Array& x)>& build, std::int64_t rows, const std::string& fusion = "all") {
  Told told;
  SessionOptions options;
  options.threads = 2;
  options.fusion = fusion;
  options.on_verdict = [&](Verdict verdict) { told.verdicts.push_back(std::move(verdict)); };
  options.why_off = [](std::string_view name) { return fmt::format("{} is not wanted", name); };
  Session session(options);
  const Scope scope("block");
  const Type type{DType::f32, {rows, 64}};
  const Array x = Array::from(test::random_buffer(type, 1), type);
  session.plan(build(x));
  return told;
}

Arrays gated(const Array& x) {
  return {linear(gelu_tanh(linear(x, weight(160, 64, 1))) * linear(x, weight(160, 64, 2)), weight(64, 160, 3))};
}
Arrays siblings(const Array& x) { return {linear(x, weight(96, 64, 1)), linear(x, weight(48, 64, 2))}; }

TEST(Verdicts, RulesThatFired) {
  const Told told = compile(gated, 4);
  EXPECT_EQ(told.of("gelu_mul"), "fired");
  for (const Verdict& verdict : told.verdicts)
    if (verdict.rule == "gelu_mul") {
      ASSERT_TRUE(verdict.scope);
      EXPECT_EQ(*verdict.scope, "block");
      EXPECT_FALSE(verdict.from.empty());
    }
}

TEST(Verdicts, RulesThatAreOffSayWhyWhereTheyWouldHaveFired) {
  EXPECT_EQ(compile(gated, 4, "all,-gelu_mul").of("gelu_mul"), "gelu_mul is not wanted");
  EXPECT_EQ(compile(siblings, 4, "all,-gelu_mul").of("gelu_mul"), "");
  EXPECT_EQ(compile(gated, 4, "none").of("fuse_loops"), "fuse_loops is not wanted");
}

TEST(Verdicts, SecondReaders) {
  const auto build = [](const Array& x) -> Arrays {
    const Array activated = gelu_tanh(x);
    return {activated * exp(x), activated};
  };
  EXPECT_NE(compile(build, 4).of("gelu_mul").find("has a second reader"), std::string::npos);
}

TEST(Verdicts, MergedLinear) {
  EXPECT_EQ(compile(siblings, 1).of("merged_linear"), "fired");
  EXPECT_EQ(compile(siblings, 1, "all,-merged_linear").of("merged_linear"), "merged_linear is not wanted");
  const auto one_in_an_epilogue = [](const Array& x) -> Arrays {
    return {tanh(linear(x, weight(96, 64, 1))), linear(x, weight(48, 64, 2))};
  };
  EXPECT_NE(compile(one_in_an_epilogue, 4).of("merged_linear").find("epilogues"), std::string::npos);
}

TEST(Verdicts, LinearEpilogue) {
  EXPECT_EQ(compile(gated, 4).of("linear_epilogue"), "fired");
  EXPECT_EQ(compile(gated, 4, "all,-linear_epilogue").of("linear_epilogue"), "linear_epilogue is not wanted");
  const auto read_twice = [](const Array& x) -> Arrays {
    const Array y = linear(x, weight(96, 64, 1));
    return {tanh(y), y};
  };
  EXPECT_EQ(compile(read_twice, 4).of("linear_epilogue"), "the linear has a second reader");
  const auto whole_rows = [](const Array& x) -> Arrays { return {softmax(linear(x, weight(96, 64, 1)), 1)}; };
  EXPECT_NE(compile(whole_rows, 4).of("linear_epilogue").find("is not elementwise over its columns"),
            std::string::npos);
}

TEST(Verdicts, RowChain) {
  const auto two_steps = [](const Array& x) -> Arrays { return {softmax(x * x, 1), linear(x, weight(96, 64, 1))}; };
  EXPECT_NE(compile(two_steps, 64).of("row_chain").find("fired"), std::string::npos);
  EXPECT_EQ(compile(two_steps, 64, "all,-row_chain").of("row_chain"), "row_chain is not wanted");
}

}  // namespace
}  // namespace lazuli
