// SPDX-License-Identifier: MIT
// What passes do inside control flow, and what they must leave alone around it.
#include <gtest/gtest.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/common_subexpressions.h>
#include <lazuli/passes/rules/rules.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;
using Names = std::vector<std::string_view>;

SessionOptions options(std::string fusion = "all") {
  SessionOptions options;
  options.threads = 1;
  options.fusion = std::move(fusion);
  options.disk_cache = false;
  options.verify = true;
  return options;
}

Array input(Shape shape, std::uint32_t seed = 1) {
  const Type type{DType::f32, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array ones(Shape shape) {
  const Type type{DType::f32, std::move(shape)};
  return Array::from(test::buffer_of(type, std::vector<double>(static_cast<std::size_t>(type.elements()), 1)), type);
}

const GraphNode& only_node(const Graph& graph, Op op) {
  return *std::ranges::find_if(graph.nodes, [&](const GraphNode& node) { return node.op == op; });
}

const Graph& scan_body(const Graph& graph) { return *only_node(graph, Op::scan).as<ScanAttrs>().body; }

ScanValues recurrence(const Array& xs) {
  return scan(
      [](const Arrays& h, const Arrays& x) {
        const Array gate = sigmoid(x[0] * 2.0f), next = h[0] * gate + x[0] * (1.0f - gate);
        return ScanValues{{next}, {next * next}};
      },
      {input({8})}, {xs});
}

TEST(Bodies, AnElementwiseRecurrenceIsOneLoop) {
  Session session(options());
  const ScanValues values = recurrence(input({5, 8}));
  const Graph graph = session.optimised({values.carry[0], values.ys[0]});
  const Graph& body = scan_body(graph);
  Names computing = op_names(body);
  EXPECT_EQ(computing.size(), 1u) << to_text(body);
  EXPECT_EQ(only_node(body, Op::fused).types.size(), 2u);
}

TEST(Bodies, LevelsAndNamesCount) {
  Session unfused(options("none")), plain(options("all,-bodies"));
  for (const Session* session : {&unfused, &plain}) {
    const UseSession use(*session);
    const Arrays carry = recurrence(input({5, 8})).carry;
    const Graph graph = const_cast<Session*>(session)->optimised(carry);
    EXPECT_TRUE(std::ranges::none_of(scan_body(graph).nodes, [](const GraphNode& n) { return n.op == Op::fused; }));
  }
}

TEST(Bodies, InnerBodiesAreRewrittenToo) {
  Session session(options());
  const Arrays values = while_loop([](const Arrays& c) { return sum(c[0] * c[0] + 1.0f) < 100; },
                                   [](const Arrays& c) {
                                     return cond(
                                         max(c[0]) > 1, [](const Arrays& v) { return Arrays{exp(v[0]) * 2.0f}; },
                                         [](const Arrays& v) { return Arrays{tanh(v[0]) + 1.0f}; }, c);
                                   },
                                   {input({8})});
  const Graph graph = session.optimised(values);
  const auto& loop = only_node(graph, Op::while_loop).as<WhileAttrs>();
  const auto& branch = only_node(*loop.body, Op::cond).as<CondAttrs>();
  for (const Graph* body : {&*loop.condition, &*branch.then_body, &*branch.else_body})
    EXPECT_TRUE(std::ranges::any_of(body->nodes, [](const GraphNode& n) { return n.op == Op::fused; }))
        << to_text(*body);
}

TEST(Bodies, RulesAndDefinitionsApply) {
  std::vector<Verdict> verdicts;
  SessionOptions with_verdicts = options();
  with_verdicts.on_verdict = [&](Verdict verdict) { verdicts.push_back(std::move(verdict)); };
  Session session(with_verdicts);
  const Array planes = input({2, 3, 8});
  const ScanValues values = scan(
      [&](const Arrays& c, const Arrays& x) {
        const Array capped = tanh(c[0] / 30.0f) * 30.0f;
        return ScanValues{{capped}, {make_array(Op::altup_predict, AltupAttrs{0}, {x[0], ones({3, 4})})}};
      },
      {input({8})}, {reshape(planes, {1, 2, 3, 8})});
  const Graph graph = session.optimised({values.carry[0], values.ys[0]});
  const Names names = op_names(scan_body(graph));
  EXPECT_EQ(std::ranges::count(names, "softcap"), 1) << to_text(graph);
  EXPECT_TRUE(
      std::ranges::none_of(scan_body(graph).nodes, [](const GraphNode& n) { return n.op == Op::altup_predict; }))
      << "the backend has no kernel for it\n"
      << to_text(graph);
  const auto fired = std::ranges::find_if(verdicts, [](const Verdict& v) { return v.rule == "softcap" && v.fired; });
  ASSERT_NE(fired, verdicts.end());
  ASSERT_FALSE(fired->from.empty());
  EXPECT_EQ(fired->from.back().op, Op::scan);
}

TEST(Bodies, RowsOfAScanAreNotNarrowed) {
  Session session(options());
  const ScanValues values = recurrence(input({5, 8}));
  const Array last = slice(values.ys[0], {4, 0}, {5, 8}, {1, 1});
  const Graph graph = session.optimised({last});
  EXPECT_EQ(only_node(graph, Op::scan).types[1], (Type{DType::f32, {5, 8}}));
}

TEST(Bodies, ConstantsStayOperands) {
  Session session(options());
  const Type type{DType::f32, {8}};
  const Array weight = Array::constant(test::random_buffer(type, 1), type, "w");
  const ScanValues values =
      scan([&](const Arrays& h, const Arrays&) { return ScanValues{{h[0] * (1.0f + weight)}, {}}; }, {input({8})}, {},
           {.length = 3});
  const Graph graph = session.optimised(values.carry);
  verify(graph);
  const GraphNode& node = only_node(graph, Op::scan);
  EXPECT_EQ(graph.node(node.inputs[1]).op, Op::constant) << "1 + w is folded once\n" << to_text(graph);
}

TEST(Bodies, EqualNodesAreOneAndOthersTwo) {
  const Array x = placeholder({DType::f32, {8}});
  const auto node = [&](double factor) {
    return scan([&](const Arrays& h, const Arrays&) { return ScanValues{{h[0] * factor}, {}}; }, {x}, {}, {.length = 2})
        .carry[0];
  };
  const auto count = [](const Arrays& outputs) {
    PassContext context;
    const Graph graph = common_subexpressions(graph_of(outputs), context);
    return std::ranges::count(graph.nodes, Op::scan, &GraphNode::op);
  };
  EXPECT_EQ(count({node(2), node(2)}), 1) << "literals";
  EXPECT_EQ(count({node(2), node(3)}), 2);
}

TEST(Bodies, AskedNumbersAreGuards) {
  Session session(options());
  for (const double power : {2.0, 3.0, 0.5, 2.0}) {
    const ScanValues values =
        scan([&](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] + pow(x[0], power)}, {}}; }, {ones({4})},
             {ones({3, 4}) * 4.0f});
    EXPECT_NEAR(values.carry[0].data<float>()[0], 1 + 3 * std::pow(4, power), 1e-4);
  }
  for (const auto& [a, b] : {std::pair(30.0, 30.0), std::pair(30.0, 29.0), std::pair(5.0, 5.0)}) {
    const ScanValues values = scan([&](const Arrays& h, const Arrays&) { return ScanValues{{tanh(h[0] / a) * b}, {}}; },
                                   {ones({4})}, {}, {.length = 1});
    EXPECT_NEAR(values.carry[0].data<float>()[0], std::tanh(1 / a) * b, 1e-5);
  }
}

}  // namespace
}  // namespace lazuli
