// SPDX-License-Identifier: MIT
// Rules and passes that a session is given.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using test::error_of;

Rule silu_mul() {
  using namespace pattern;
  const Pattern x = var("x"), y = var("y");
  return rule("silu_mul").before(once(x * once(apply(Op::sigmoid, {x}))) * y).fuse();
}

Array gated() {
  std::vector<float> gate(32), up(32);
  for (std::size_t i = 0; i < 32; ++i) {
    gate[i] = static_cast<float>(i) * 0.1f - 1.5f;
    up[i] = 2.0f - static_cast<float>(i) * 0.3f;
  }
  const Array x = Array::from(gate, {4, 8}), y = Array::from(up, {4, 8});
  return x * sigmoid(x) * y;
}

std::int64_t count_of(const Graph& graph, std::string_view name) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const GraphNode& node) { return node.name() == name; });
}

std::vector<float> floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

TEST(OwnRules, FireInPlansAndRuns) {
  std::vector<Verdict> verdicts;
  SessionOptions options;
  options.rules = {silu_mul()};
  options.on_verdict = [&](const Verdict& verdict) { verdicts.push_back(verdict); };
  Session session(options);
  EXPECT_EQ(count_of(session.optimised({gated()}), "silu_mul"), 1);
  EXPECT_EQ(count_of(session.plan({gated()}), "silu_mul"), 1);
  const auto fired = [](const Verdict& verdict) { return verdict.rule == "silu_mul" && verdict.fired; };
  EXPECT_EQ(std::count_if(verdicts.begin(), verdicts.end(), fired), 1);
  const std::vector<float> fused = floats(gated());
  SessionOptions none;
  none.fusion = "none";
  const Session unfused(none);
  EXPECT_EQ(floats(gated()), fused);
}

TEST(OwnRules, AreSwitchedByName) {
  SessionOptions options;
  options.rules = {silu_mul()};
  options.fusion = "all,-silu_mul";
  Session session(options);
  EXPECT_EQ(count_of(session.optimised({gated()}), "silu_mul"), 0);
}

TEST(OwnPasses, RunBeforeTheFirstFusion) {
  std::vector<std::string> order;
  SessionOptions options;
  options.passes = {{"count_nodes", [&](Graph graph, PassContext&) {
                       order.emplace_back("called");
                       return graph;
                     }}};
  options.on_pass = [&](const PassReport& report) { order.emplace_back(report.name); };
  Session session(options);
  session.optimised({gated()});
  const auto called = std::find(order.begin(), order.end(), "called");
  ASSERT_NE(called, order.end());
  EXPECT_EQ(*(called + 1), "count_nodes");
  EXPECT_EQ(*(called + 2), "fuse_named");
}

TEST(OwnPasses, WhatTheyMakeIsVerified) {
  SessionOptions options;
  options.passes = {{"breaks", [](Graph graph, PassContext&) {
                       graph.outputs[0].node = 1000;
                       return graph;
                     }}};
  Session session(options);
  const Array x = gated();
  EXPECT_NE(error_of<CompileError>([&] { session.eval(x); }).find("breaks"), std::string::npos);
  EXPECT_FALSE(x.evaluated());
}

TEST(OwnPasses, TheirExceptionsNameThem) {
  SessionOptions options;
  options.passes = {{"throws", [](Graph, PassContext&) -> Graph { throw std::runtime_error("no wish to"); }}};
  Session session(options);
  EXPECT_EQ(error_of<CompileError>([&] { session.eval(gated()); }), "throws: no wish to");
}

TEST(OwnPasses, NamesAreTheirOwn) {
  const auto refusal = [](auto change) {
    SessionOptions options;
    change(options);
    return error_of([&] { const Session session(options); });
  };
  const auto same = [](Graph graph, PassContext&) { return graph; };
  EXPECT_EQ(refusal([&](auto& options) { options.passes = {{"softcap", same}}; }),
            "passes: the name \"softcap\" is one of lazuli's own");
  EXPECT_EQ(refusal([&](auto& options) {
              options.passes = {{"silu_mul", same}};
              options.rules = {silu_mul()};
            }),
            "passes: the name \"silu_mul\" is given twice");
  EXPECT_EQ(refusal([&](auto& options) { options.passes = {{"", same}}; }), "passes: one of the session's has no name");
  EXPECT_EQ(refusal([&](auto& options) { options.passes = {{"empty", {}}}; }), "passes: \"empty\" has nothing to run");
  EXPECT_EQ(refusal([&](auto& options) { options.rules = {Rule{"idle", {Op::mul}, {}}}; }),
            "rules: \"idle\" has nothing to try");
}

}  // namespace
}  // namespace lazuli
