// SPDX-License-Identifier: MIT
// Which nodes become one loop: limits, levels, results, and the order the loops are written in.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/fuse_loops.h>
#include <lazuli/passes/loop_groups.h>

#include <algorithm>

namespace lazuli {
namespace {

Graph fused(const Graph& graph) {
  PassContext context;
  Graph result = fuse_loops(graph, context);
  verify(result, "fuse_loops");
  return result;
}

std::vector<const GraphNode*> loops(const Graph& graph) {
  std::vector<const GraphNode*> found;
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::fused) found.push_back(&node);
  return found;
}

int computing_nodes(const Graph& body) {
  return static_cast<int>(
      std::count_if(body.nodes.begin(), body.nodes.end(), [](const GraphNode& node) { return !is_leaf(node.op); }));
}

TEST(FuseLoops, BodiesHaveALimitedSize) {
  Array x = placeholder({DType::f32, {4, 8}});
  for (int i = 0; i < 100; ++i) x = tanh(x);
  const Graph graph = fused(graph_of({x}));
  int computed = 0;
  for (const GraphNode* loop : loops(graph)) {
    EXPECT_LE(computing_nodes(*loop->body), LoopLimits{}.nodes);
    computed += computing_nodes(*loop->body);
  }
  EXPECT_EQ(loops(graph).size(), 3u);
  EXPECT_EQ(computed, 100);
}

TEST(FuseLoops, BodiesHaveLimitedOperands) {
  Array sum = placeholder({DType::f32, {4, 8}});
  for (int i = 0; i < 60; ++i) sum = sum + placeholder({DType::f32, {4, 8}});
  const Graph graph = fused(graph_of({sum}));
  for (const GraphNode* loop : loops(graph))
    EXPECT_LE(loop->inputs.size(), static_cast<std::size_t>(LoopLimits{}.operands));
  EXPECT_EQ(loops(graph).size(), 3u) << to_text(graph);
}

TEST(FuseLoops, BodiesHaveLimitedResults) {
  Array x = placeholder({DType::f32, {4, 8}});
  std::vector<Array> results;
  for (int i = 0; i < 20; ++i) results.push_back(x = tanh(x));
  const Graph graph = fused(graph_of(results));
  std::size_t written = 0;
  for (const GraphNode* loop : loops(graph)) {
    EXPECT_LE(loop->types.size(), static_cast<std::size_t>(LoopLimits{}.results));
    written += loop->types.size();
  }
  EXPECT_EQ(
      written + static_cast<std::size_t>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                                       [](const GraphNode& node) { return node.op == Op::tanh; })),
      20u);
}

// a -> b -> c inside, and a -> linear -> c outside: c must not join a and b.
TEST(FuseLoops, GroupsAreConvex) {
  const Array x = placeholder({DType::f32, {4, 8}}), w = placeholder({DType::f32, {8, 8}});
  const Array a = tanh(x), b = exp(a);
  const Graph graph = fused(graph_of({b + linear(a, w) * 2.0}));
  ASSERT_EQ(loops(graph).size(), 2u) << to_text(graph);
  EXPECT_EQ(loops(graph)[0]->types.size(), 2u);
}

// Two branches on one level, one behind a matmul, meet in one loop.
TEST(FuseLoops, BranchesMeet) {
  const Array x = placeholder({DType::f32, {4, 8}}), w = placeholder({DType::f32, {8, 8}});
  const Array gate = sigmoid(linear(x, w)) * 2.0, up = linear(x, w) + 1.0;
  const Graph graph = fused(graph_of({gate * up}));
  ASSERT_EQ(loops(graph).size(), 1u) << to_text(graph);
  EXPECT_EQ(loops(graph)[0]->inputs.size(), 2u);
}

// A group takes the place of its last member; what reads an early member moves behind it.
TEST(FuseLoops, ReadersOfEarlyMembersComeAfterTheLoop) {
  const Graph graph = fused(parse_graph(R"(
    %0 = input : f32[4,8]
    %1 = input : f32[8,8]
    %2 = tanh %0
    %3 = linear %2, %1
    %4 = exp %2
    %5 = neg %4
    return %5, %3)"));
  ASSERT_EQ(loops(graph).size(), 1u);
  EXPECT_EQ(graph.nodes[2].op, Op::fused);
  EXPECT_EQ(graph.nodes[3].op, Op::linear);
}

TEST(FuseLoops, LeadingOnesAreTheSameRows) {
  const Array x = placeholder({DType::f32, {1, 4, 8}}), row = placeholder({DType::f32, {4, 1}});
  const Array scale = exp(row);  // [4, 1] lies along the rows of [1, 4, 8]
  EXPECT_EQ(loops(fused(graph_of({tanh(x) * scale}))).size(), 1u);
}

TEST(FuseLoops, AReductionOfASingleColumnStaysOutside) {
  const Array x = placeholder({DType::f32, {4, 1}});
  const Graph graph = fused(graph_of({exp(sum(tanh(x), {1}, /*keep_dims=*/true)) * 2.0}));
  EXPECT_TRUE(
      std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const GraphNode& node) { return node.op == Op::sum; }));
}

TEST(FuseLoops, DisabledRulesKeepTheirNodesApart) {
  const Array x = placeholder({DType::f32, {4, 8}}), y = placeholder({DType::f32, {4, 8}});
  PassContext context;
  context.enabled = [](std::string_view name) { return name != "gelu_mul"; };
  const Graph graph = fuse_loops(graph_of({exp(gelu_tanh(x) * y) + 1.0}), context);
  ASSERT_EQ(loops(graph).size(), 1u);
  EXPECT_EQ(loops(graph)[0]->name(), "exp_add");
}

TEST(FuseLoops, LeavesWhatTheBackendDoesNotRun) {
  const Array x = placeholder({DType::f32, {4, 8}});
  PassContext context;
  std::string reason;
  context.supports = [](Op op, const Attrs&, std::span<const Type>) { return op != Op::fused; };
  context.note = [&](const Verdict& verdict) { reason = verdict.reason; };
  const Graph graph = fuse_loops(graph_of({exp(tanh(x))}), context);
  EXPECT_TRUE(loops(graph).empty());
  EXPECT_TRUE(reason.starts_with("the backend has no kernel for it on f32")) << reason;
}

std::vector<std::string> reasons(const Graph& graph) {
  std::vector<std::string> given;
  PassContext context;
  context.note = [&](const Verdict& verdict) {
    if (!verdict.fired) given.push_back(verdict.reason);
  };
  fuse_loops(graph, context);
  return given;
}

TEST(FuseLoops, LimitsAreReasons) {
  Array chain = placeholder({DType::f32, {4, 8}}), sum = chain, sums = chain;
  for (int i = 0; i < 60; ++i) chain = tanh(chain);
  for (int i = 0; i < 40; ++i) sum = sum + placeholder({DType::f32, {4, 8}});
  std::vector<Array> results;
  for (int i = 0; i < 12; ++i) results.push_back(sums = tanh(sums));
  using Reasons = std::vector<std::string>;
  EXPECT_EQ(reasons(graph_of({chain})), (Reasons{"one loop of the tanh and the tanh would have more than 48 nodes"}));
  EXPECT_EQ(reasons(graph_of({sum})), (Reasons{"one loop of the add and the add would have more than 24 operands"}));
  EXPECT_EQ(reasons(graph_of(results)), (Reasons{"one loop of the tanh and the tanh would have more than 8 results"}));
}

// However many of their values meet.
TEST(FuseLoops, TwoLoopsAreToldOfOnce) {
  const Array row = placeholder({DType::f32, {8}}), x = placeholder({DType::f32, {4, 8}});
  const Array scale = exp(row), shift = tanh(scale);
  EXPECT_EQ(reasons(graph_of({(x * scale + shift) * scale})).size(), 1u);
  EXPECT_TRUE(reasons(graph_of({tanh(x) * exp(x)})).empty());
}

}  // namespace
}  // namespace lazuli
