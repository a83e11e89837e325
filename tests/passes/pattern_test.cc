// SPDX-License-Identifier: MIT
// What patterns match, what they look through, and how they explain themselves.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/passes/rules/pattern.h>
#include <lazuli/passes/rules/rewrite.h>

namespace lazuli {
namespace {

using namespace pattern;

struct Outcome {
  std::optional<Match> match;
  std::string reason;
};

// Against the first result of the graph.
Outcome match_output(const Pattern& pattern, std::string_view text) {
  const Graph graph = parse_graph(text);
  Mismatch mismatch;
  NumberGuards numbers;
  Outcome outcome;
  outcome.match = match(pattern, graph, UseCounts(graph), graph.outputs[0], numbers, &mismatch);
  outcome.reason = mismatch.reason;
  return outcome;
}

const Pattern x = var("x"), y = var("y"), c = constant("c");

TEST(Pattern, BindsNamesInOrderOfAppearance) {
  const auto [found, reason] = match_output(tanh(x) * y, R"(
    %0 = input : f32[4]
    %1 = input : f32[4]
    %2 = tanh %1
    %3 = mul %0, %2
    return %3)");
  ASSERT_TRUE(found) << reason;
  ASSERT_EQ(found->variables.size(), 2u);
  EXPECT_EQ(found->value("x"), (ValueId{1, 0}));
  EXPECT_EQ(found->value("y"), (ValueId{0, 0}));
  EXPECT_EQ(found->nodes, (std::vector<std::int32_t>{3, 2}));
}

TEST(Pattern, OneNameIsOneValue) {
  EXPECT_TRUE(match_output(x * x, "%0 = input : f32[4]\n%1 = mul %0, %0\nreturn %1").match);
  const auto [found, reason] =
      match_output(tanh(x) - x, "%0 = input : f32[4]\n%1 = input : f32[4]\n%2 = tanh %0\n%3 = sub %2, %1\nreturn %3");
  EXPECT_FALSE(found);
  EXPECT_EQ(reason, "x stands for two values: input %0 and input %1");
}

TEST(Pattern, SubtractionKeepsItsOrder) {
  EXPECT_FALSE(match_output(x - tanh(y), "%0 = input : f32[4]\n%1 = tanh %0\n%2 = sub %1, %0\nreturn %2").match);
}

TEST(Pattern, TriesEveryOrderUntilTheWholeFits) {
  // The first order of the outer product binds x to the wrong factor.
  EXPECT_TRUE(match_output((x * y) * tanh(x), R"(
    %0 = input : f32[4]
    %1 = input : f32[4]
    %2 = tanh %1
    %3 = mul %0, %1
    %4 = mul %2, %3
    return %4)")
                  .match);
}

TEST(Pattern, NumbersMatchThroughBroadcastsWithinTheirPrecision) {
  const char* text = R"(
    %0 = input : f32[2,4]
    %1 = scalar {{value={}, dtype=f32}}
    %2 = broadcast_to %1 {{shape=[4]}}
    %3 = reshape %2 {{shape=[1,4]}}
    %4 = mul %0, %3
    return %4)";
  EXPECT_TRUE(match_output(x * 0.044715, fmt::format(fmt::runtime(text), "0.044715")).match);
  EXPECT_TRUE(match_output(x * 0.044715, fmt::format(fmt::runtime(text), "0.044714998453855515")).match);
  EXPECT_FALSE(match_output(x * 0.044715, fmt::format(fmt::runtime(text), "0.04471")).match);
}

TEST(Pattern, BfloatConstantsAreRoundedOnes) {
  EXPECT_TRUE(match_output(x * 0.044715, R"(
    %0 = input : bf16[4]
    %1 = scalar {value=0.044677734375, dtype=bf16}
    %2 = mul %0, %1
    return %2)")
                  .match);
}

TEST(Pattern, ConstantsOfOneNameAgree) {
  const char* text = "%0 = input : f32[4]\n%1 = div %0, 30.0\n%2 = tanh %1\n%3 = mul %2, {}\nreturn %3";
  const auto same = match_output(tanh(x / c) * c, fmt::format(fmt::runtime(text), "30.0"));
  ASSERT_TRUE(same.match);
  EXPECT_EQ(same.match->number("c"), 30);
  EXPECT_EQ(match_output(tanh(x / c) * c, fmt::format(fmt::runtime(text), "29.0")).reason,
            "constants differ: 30 and 29");
}

TEST(Pattern, InverseIsTheRoundedReciprocal) {
  const char* text = "%0 = input : f32[4]\n%1 = mul %0, {}\n%2 = tanh %1\n%3 = mul %2, 30.0\nreturn %3";
  const Pattern cap = tanh(x * inverse("c")) * c;
  EXPECT_TRUE(match_output(cap, fmt::format(fmt::runtime(text), 1.0f / 30.0f)).match);
  EXPECT_FALSE(match_output(cap, fmt::format(fmt::runtime(text), std::nextafter(1.0f / 30.0f, 1.0f))).match);
}

TEST(Pattern, LooksThroughBroadcastsAndIdleCasts) {
  const auto [found, reason] = match_output(tanh(x) * y, R"(
    %0 = input : f32[2,1]
    %1 = input : f32[2,4]
    %2 = tanh %0
    %3 = cast %2 {dtype=f32}
    %4 = broadcast_to %3 {shape=[2,4]}
    %5 = mul %4, %1
    return %5)");
  ASSERT_TRUE(found) << reason;
  EXPECT_EQ(found->nodes, (std::vector<std::int32_t>{5, 4, 3, 2}));
}

TEST(Pattern, OnceTellsOfTheSecondReader) {
  const char* text = "%0 = input : f32[4]\n%1 = tanh %0\n%2 = mul %1, %0\nreturn %2, %1";
  EXPECT_TRUE(match_output(tanh(x) * y, text).match);
  const auto [found, reason] = match_output(once(tanh(x)) * y, text);
  EXPECT_FALSE(found);
  EXPECT_EQ(reason, "the tanh has a second reader");
}

TEST(Pattern, EitherSpelling) {
  const Pattern cube = either({pow(x, 3), square(x) * x, (x * x) * x});
  for (const char* text : {"%0 = input : f32[4]\n%1 = pow %0, 3.0\nreturn %1",
                           "%0 = input : f32[4]\n%1 = square %0\n%2 = mul %0, %1\nreturn %2",
                           "%0 = input : f32[4]\n%1 = mul %0, %0\n%2 = mul %0, %1\nreturn %2"})
    EXPECT_TRUE(match_output(cube, text).match) << text;
}

TEST(Rewrite, AfterBuildsTheReplacement) {
  const Rule to_square = rule("to_square").before(x * x).after(square(x));
  const Rule to_softcap =
      rule("to_softcap").before(tanh(x / c) * c).after(apply(Op::softcap, {x}, [](const Match& match) {
        return SoftcapAttrs{match.number("c")};
      }));
  const std::vector<Rule> rules = {to_square, to_softcap};
  PassContext context;
  const Graph graph = rewrite(parse_graph(R"(
    %0 = input : f32[4]
    %1 = div %0, 30.0
    %2 = tanh %1
    %3 = mul %2, 30.0
    %4 = mul %3, %3 @head
    return %4)"),
                              rules, context);
  ASSERT_EQ(graph.nodes.size(), 3u) << to_text(graph);
  EXPECT_EQ(graph.nodes[1].as<SoftcapAttrs>().cap, 30);
  EXPECT_EQ(graph.nodes[2].op, Op::square);
  EXPECT_EQ(*graph.nodes[2].scope, "head");
}

TEST(Rewrite, StopsRulesThatNeverEnd) {
  const Rule endless = rule("endless").before(x + y).after(y + x);
  PassContext context;
  std::string reason;
  context.note = [&](const Verdict& verdict) {
    if (!verdict.fired) reason = verdict.reason;
  };
  rewrite(parse_graph("%0 = input : f32[4]\n%1 = input : f32[4]\n%2 = add %0, %1\nreturn %2"), {&endless, 1}, context);
  EXPECT_EQ(reason, "stopped after 8 sweeps; the rules still change the graph");
}

TEST(Rewrite, DeclinesAReplacementOfAnotherType) {
  const Rule wrong = rule("wrong").before(x * y).after(square(x));
  PassContext context;
  std::string reason;
  context.note = [&](const Verdict& verdict) { reason = verdict.reason; };
  rewrite(parse_graph("%0 = input : f32[4]\n%1 = input : f32[2,4]\n%2 = mul %0, %1\nreturn %2"), {&wrong, 1}, context);
  EXPECT_EQ(reason, "would give f32[4] instead of f32[2,4]");
}

TEST(Rewrite, EqualBodiesAreSharedAndVerdictsNamePlaces) {
  const Rule gate = rule("gate").before(once(tanh(x)) * y).fuse();
  PassContext context;
  std::vector<Verdict> verdicts;
  context.note = [&](Verdict verdict) { verdicts.push_back(std::move(verdict)); };
  const Graph graph = rewrite(parse_graph(R"(
    %0 = input : f32[4]
    %1 = tanh %0 !from 10:tanh
    %2 = mul %1, %0 @layers.0.mlp !from 11:mul
    %3 = tanh %2
    %4 = mul %3, %2 @layers.1.mlp !from 13:mul
    return %4)"),
                              {&gate, 1}, context);
  ASSERT_EQ(graph.nodes.size(), 3u) << to_text(graph);
  EXPECT_EQ(graph.nodes[1].body, graph.nodes[2].body);
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_TRUE(verdicts[0].fired);
  EXPECT_EQ(*verdicts[0].scope, "layers.1.mlp");
  EXPECT_EQ(verdicts[0].node, 4);
  EXPECT_EQ(verdicts[1].from, graph.nodes[1].from);
  EXPECT_EQ(graph.nodes[1].from, (std::vector<Source>{{10, Op::tanh}, {11, Op::mul}}));
}

TEST(Rewrite, AsksTheBackendForFusedNodes) {
  const Rule gate = rule("gate").before(once(tanh(x)) * y).fuse();
  PassContext context;
  context.supports = [](Op op, const Attrs& attrs, std::span<const Type> operands) {
    return op != Op::fused || std::get<FusedAttrs>(attrs).name != "gate" || operands[0].dtype == DType::f32;
  };
  std::string reason;
  context.note = [&](const Verdict& verdict) { reason = verdict.reason; };
  const auto fused = [&](const char* dtype) {
    const Graph graph =
        rewrite(parse_graph(fmt::format("%0 = input : {}[4]\n%1 = tanh %0\n%2 = mul %1, %0\nreturn %2", dtype)),
                {&gate, 1}, context);
    return graph.nodes.back().op == Op::fused;
  };
  EXPECT_TRUE(fused("f32"));
  EXPECT_FALSE(fused("bf16"));
  EXPECT_TRUE(reason.starts_with("the backend has no kernel for it on bf16")) << reason;
}

}  // namespace
}  // namespace lazuli
