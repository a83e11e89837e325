// SPDX-License-Identifier: MIT
// The graph generator: it reaches every op, makes one graph again from its number, and makes what fails small.
#include <gtest/gtest.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tests/fuzz/graphs/compare.h>
#include <lazuli/tests/fuzz/graphs/fuzz.h>
#include <lazuli/tests/fuzz/graphs/grow.h>
#include <lazuli/tests/fuzz/graphs/spellings.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <set>

namespace lazuli::fuzz {
namespace {

// As many as hold the rarest op several times.
constexpr std::uint64_t enough = 3000;

TEST(GraphFuzz, EveryOpHasAGeneratorThatMakesNodesOfIt) {
  ASSERT_EQ(growers().size(), all_ops().size());
  for (const OpInfo& op : all_ops()) EXPECT_EQ(growers()[static_cast<std::size_t>(op.op)].op, op.op);
  std::set<Op> seen;
  for (std::uint64_t i = 0; i < enough; ++i)
    for (const GraphNode& node : generate({5, i, {}}).graph.nodes) seen.insert(node.op);
  for (const OpInfo& op : all_ops()) EXPECT_TRUE(seen.contains(op.op)) << op.name;
}

TEST(GraphFuzz, OnlyGivesNodesOfTheOp) {
  for (const OpInfo& op : all_ops()) {
    int with_node = 0;
    for (std::uint64_t i = 0; i < 50; ++i)
      for (const GraphNode& node : generate({5, i, op.op}).graph.nodes) with_node += node.op == op.op ? 1 : 0;
    EXPECT_GT(with_node, 5) << op.name;
  }
}

TEST(GraphFuzz, GraphsAreMadeAloneFromSeedAndNumber) {
  std::vector<std::string> in_order;
  for (std::uint64_t i = 0; i < 40; ++i) in_order.push_back(to_text(generate({9, i, {}}).graph));
  for (std::uint64_t i = 40; i-- > 0;) EXPECT_EQ(to_text(generate({9, i, {}}).graph), in_order[i]);
  EXPECT_NE(to_text(generate({10, 0, {}}).graph), in_order[0]);
}

TEST(GraphFuzz, GraphsVerifyAndDifferInValuesWithinAFamily) {
  int same_structure = 0;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const RandomGraph graph = generate({11, i, {}});
    EXPECT_NO_THROW(verify(graph.graph)) << to_text(graph.graph);
    ASSERT_EQ(graph.inputs.size(), graph.graph.inputs().size());
    if (i % family_size == 1) {
      const RandomGraph before = generate({11, i - 1, {}});
      same_structure += before.graph.nodes.size() == graph.graph.nodes.size() ? 1 : 0;
    }
  }
  EXPECT_GT(same_structure, 95);
}

TEST(GraphFuzz, EverySpellingIsTried) {
  std::set<std::string_view> made;
  Random random(3);
  for (std::uint64_t i = 0; i < enough; ++i) {
    const RandomGraph graph = generate({5, i, {}});
    for (const Spelling& spelling : spellings()) {
      const auto at = static_cast<std::int32_t>(random.below(static_cast<int>(graph.graph.nodes.size())));
      const auto other = spelled(graph, spelling, at, random.next());
      if (!other) continue;
      EXPECT_NO_THROW(verify(other->graph)) << spelling.name << "\n" << to_text(graph.graph) << to_text(other->graph);
      made.insert(spelling.name);
    }
  }
  for (const Spelling& spelling : spellings()) EXPECT_TRUE(made.contains(spelling.name)) << spelling.name;
}

TEST(GraphFuzz, NansAreEqualAndZerosOfTwoSignsAreNot) {
  const Type type{DType::f32, {3}};
  const auto buffer = [&](std::vector<double> values) { return test::buffer_of(type, values); };
  EXPECT_FALSE(first_difference({type}, {buffer({1, NAN, 0})}, {buffer({1, -NAN, 0})}));
  const auto zeros = first_difference({type}, {buffer({1, NAN, 0})}, {buffer({1, NAN, -0.0})});
  ASSERT_TRUE(zeros);
  EXPECT_EQ(zeros->element, 2);
  const Type whole{DType::i64, {1}};
  const std::int64_t large = std::int64_t{1} << 60;
  BufferRef left = Buffer::allocate(8), right = Buffer::allocate(8);
  *left->as<std::int64_t>() = large;
  *right->as<std::int64_t>() = large + 1;
  EXPECT_TRUE(first_difference({whole}, {left}, {right}));
}

// What fails is a graph with a tanh of anything: that node is left, on an input of one element.
TEST(GraphFuzz, ShrinksToTheNodeThatFails) {
  int shrunk_graphs = 0;
  const Fails has_tanh = [](const RandomGraph& graph) {
    return std::any_of(graph.graph.nodes.begin(), graph.graph.nodes.end(),
                       [](const GraphNode& node) { return node.op == Op::tanh; });
  };
  for (std::uint64_t i = 0; i < 400; ++i) {
    const RandomGraph graph = generate({21, i, Op::tanh});
    if (!has_tanh(graph) || graph.graph.nodes.size() < 8) continue;
    const RandomGraph small = shrunk(graph, has_tanh, 2000);
    EXPECT_TRUE(has_tanh(small));
    EXPECT_NO_THROW(verify(small.graph)) << to_text(small.graph);
    EXPECT_LE(small.graph.nodes.size(), 3u) << to_text(graph.graph) << to_text(small.graph);
    ++shrunk_graphs;
  }
  EXPECT_GT(shrunk_graphs, 20);
}

TEST(GraphFuzz, PlantsHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const Plant& plant : plants()) EXPECT_TRUE(names.insert(plant.name).second) << plant.name;
  EXPECT_GE(names.size(), 25u);
  EXPECT_EQ(find_plant("none of them"), nullptr);
}

}  // namespace
}  // namespace lazuli::fuzz
