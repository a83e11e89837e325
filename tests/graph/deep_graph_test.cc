// SPDX-License-Identifier: MIT
// A chain of a million nodes goes through everything: no step may use the stack per node, or time per pair of nodes.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/loop_groups.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cmath>

namespace lazuli {
namespace {

constexpr int million = 1'000'000;
constexpr int deep = million / 4;  // where each node is worked on many times; recursion overflows far below

// Four kinds of op in turn; values stay between -1 and 2.
struct Chain {
  Array end;
  float value;  // of its two elements
};

Chain extend(Array x, float value, int length) {
  const Array one = scalar(1), half = scalar(0.5);
  for (int i = 0; i < length; ++i) {
    switch (i % 4) {
      case 0:
        x = x + one, value = value + 1.0f;
        break;
      case 1:
        x = x * half, value = value * 0.5f;
        break;
      case 2:
        x = -x, value = -value;
        break;
      default:
        x = abs(x), value = std::fabs(value);
    }
  }
  return {x, value};
}

Array start() { return Array::from({0.25f, 0.25f}, {2}); }

TEST(DeepGraph, BuildsAndDies) {
  Chain chain = extend(start(), 0.25f, million);
  EXPECT_FALSE(chain.end.evaluated());
}

TEST(DeepGraph, PrintsAndParses) {
  const Graph graph = graph_of({extend(start(), 0.25f, deep).end});
  ASSERT_EQ(graph.nodes.size(), deep + 3u);
  verify(graph);
  const std::string text = to_text(graph);
  const Graph parsed = parse_graph(text);
  EXPECT_EQ(structural_key(parsed), structural_key(graph));
  EXPECT_GT(to_dot(graph).size(), text.size() / 2);
  EXPECT_GT(to_json(graph, "built").size(), text.size() / 2);
}

TEST(DeepGraph, RunsFused) {
  SessionOptions options;
  options.verify = true;
  Session session(options);
  const Array begin = start();  // its last handle would be donated at eval: another program
  const Chain chain = extend(begin, 0.25f, deep);
  const Array outputs[] = {chain.end};
  const Graph optimised = session.optimised(outputs);
  const LoopLimits limits;
  std::size_t largest = 0;
  for (const GraphNode& node : optimised.nodes)
    if (node.body) largest = std::max(largest, node.body->nodes.size());
  EXPECT_GT(largest, 8u);
  EXPECT_LE(largest, static_cast<std::size_t>(limits.nodes + limits.operands) * 2);
  EXPECT_LT(optimised.nodes.size(), deep / 8u);
  EXPECT_EQ(chain.end.data<float>()[1], chain.value);
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_LT(session.statistics().loops, 100);  // equal bodies are compiled once
}

TEST(DeepGraph, RunsOpByOp) {
  SessionOptions options;
  options.fusion = "none";
  Session session(options);
  const Chain chain = extend(start(), 0.25f, deep);
  EXPECT_EQ(chain.end.data<float>()[0], chain.value);
}

TEST(DeepGraph, RunsOnTheReference) {
  const Array begin = start();
  const Chain chain = extend(begin, 0.25f, million);
  const auto results = test::run_reference(graph_of({chain.end}), {begin.node()->results()[0].buffer});
  EXPECT_EQ(results[0]->as<float>()[1], chain.value);
}

TEST(DeepGraph, ReferenceSession) {
  SessionOptions options;
  options.backend = "reference";
  Session session(options);
  const Chain chain = extend(start(), 0.25f, million / 10);
  EXPECT_EQ(chain.end.data<float>()[0], chain.value);
}

TEST(DeepGraph, DiesHalfEvaluated) {
  Session session;
  Chain chain = extend(start(), 0.25f, deep / 10);
  const Array middle = chain.end;
  chain = extend(chain.end, chain.value, million - deep / 10);
  eval({middle});
  const Chain tail = extend(middle, middle.data<float>()[0], 2);  // the end, and what leads to it, is never computed
  EXPECT_EQ(tail.end.data<float>()[0], tail.value);
}

// Numbers written where they are used are nodes too, and a chain of constants is computed when it is compiled.
TEST(DeepGraph, FoldsAChainOfConstants) {
  Session session;
  const Type type{DType::f32, {64}};
  BufferRef data = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::fill_n(data->as<float>(), 64, 0.25f);
  Array x = Array::constant(std::move(data), type, "w");
  float value = 0.25f;
  for (int i = 0; i < 10'000; ++i) x = x * 0.5 + 1.0, value = value * 0.5f + 1.0f;
  const Array y = start() + sum(x, {0});
  EXPECT_EQ(y.data<float>()[0], 0.25f + 64 * value);
}

TEST(DeepGraph, WideGraph) {
  Session session;
  std::vector<Array> layer(1000, start());
  for (int depth = 0; depth < 30; ++depth)
    for (std::size_t i = 0; i < layer.size(); ++i) layer[i] = layer[i] + layer[(i + 1) % layer.size()] * 0.0;
  eval(layer);
  EXPECT_EQ(layer[999].data<float>()[0], 0.25f);
}

}  // namespace
}  // namespace lazuli
