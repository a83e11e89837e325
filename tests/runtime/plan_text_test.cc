// SPDX-License-Identifier: MIT
// The text of what a session makes of graphs: parse(to_text(g)) is g again, for plans as well.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>
#include <lazuli/tests/support/stored_function.h>

namespace lazuli {
namespace {

// Constants come back without data, which keys name them by.
Graph without_data(Graph graph) {
  for (GraphNode& node : graph.nodes) node.constant.reset();
  return graph;
}

void expect_round_trip(const Graph& graph) {
  const std::string text = to_text(graph);
  SCOPED_TRACE(text.substr(0, 3000));
  const Graph parsed = parse_graph(text);
  EXPECT_TRUE(to_text(parsed) == text);
  EXPECT_TRUE(structural_key(parsed) == structural_key(without_data(graph)));
  EXPECT_EQ(parsed.scheduled, graph.scheduled);
  ASSERT_EQ(parsed.nodes.size(), graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode &a = graph.nodes[i], &b = parsed.nodes[i];
    EXPECT_EQ(a.from, b.from) << i;
    EXPECT_EQ(a.label, b.label) << i;
    EXPECT_EQ(a.scope ? *a.scope : "", b.scope ? *b.scope : "") << i;
  }
}

TEST(PlanText, StepsOfModelsRoundTrip) {
  for (const char* name : {"gemma3-dense", "gemma3n", "gemma4-moe", "gemma4-e-gguf-q4_0", "gemma4-dense-mlx-nvfp4"})
    for (const char* fusion : {"all", "primitive"}) {
      SCOPED_TRACE(std::string(name) + " " + fusion);
      SessionOptions options;
      options.threads = 2;
      options.fusion = fusion;
      const Session session(options);
      const auto model = load_model(test::golden_model_path(name));
      Runner runner(*model, {});
      for (const Runner::Step& step : {runner.prefill_step(8), runner.decode_step()}) {
        const auto compiled = std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments));
        expect_round_trip(compiled->built);
        expect_round_trip(with_literals(compiled->fused, number_values(compiled->built)));
        const Graph& scheduled = compiled->program->scheduled();
        EXPECT_TRUE(scheduled.scheduled);
        expect_round_trip(with_literals(scheduled, number_values(compiled->built)));
      }
    }
}

TEST(PlanText, LoopsViewsAndProductsRoundTrip) {
  const Array x = Array::from(test::stored_values(24), {2, 3, 4}), y = Array::from(test::stored_values(12), {3, 4});
  const Array w = test::stored_constant(DType::f32, {5, 4}, "w"), v = test::stored_constant(DType::q8_0, {8, 32}, "v");
  const Array wide = Array::from(test::stored_values(64), {2, 32});
  const Array rows = Array::from<std::int32_t>({1, 0}, {2});
  const TopK largest = top_k(wide, 3);
  const std::vector<std::vector<Array>> cases = {
      {exp(x) * 2.0f + y},
      {transpose(x, {2, 0, 1})},
      {transpose(x, {2, 0, 1}) + 1.0f, reshape(x, {6, 4})},
      {slice(x, {0, 1, 0}, {2, 3, 4}), concatenate({x, x}, 1)},
      {sum(square(x), {2}), mean(x, {0, 1}), argmax(x, 2)},
      {softmax(linear(y, w)), tanh(linear(wide, v)) * linear(wide, v)},
      {largest.values, largest.indices},
      {matmul(x, transpose(x, {0, 2, 1}))},
      {take(y, rows, 0), slice_update(y, slice(y, {0, 0}, {1, 4}) * 2.0f, scalar(1, DType::i32), 0)},
      {rms_norm(y, test::stored_constant(DType::f32, {4}, "gain"), 1e-5), iota(7),
       random::normal({2, 3}, DType::f32, 7)},
  };
  for (const char* fusion : {"all", "none", "primitive"})
    for (std::size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(fmt::format("case {}, fusion {}", i, fusion));
      SessionOptions options;
      options.fusion = fusion;
      options.threads = 2;
      Session session(options);
      expect_round_trip(session.optimised(cases[i]));
      expect_round_trip(session.plan(cases[i]));
      options.backend = "reference";
      expect_round_trip(Session(options).plan(cases[i]));
    }
}

TEST(PlanText, PlansAreNotRun) {
  Session session;
  const Array x = Array::from({1.0f, 2.0f}, {2});
  const Graph plan = session.plan({tanh(x)});
  const Graph parsed = parse_graph(to_text(plan));
  EXPECT_TRUE(to_text(plan).starts_with("graph {scheduled=true}\n"));
  for (const Graph& graph : {plan, parsed})
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "the graph lists kernel launches; expected one that can run",
                        test::error_of([&] { session.run(graph, {x}); }));
}

TEST(PlanText, LaunchesTakeAnyOperandsAndTypes) {
  const std::string text = R"(graph {phase=decode, scheduled=true}
%0 = input "x" {index=0} : f32[2]
%1 = constant "pack" : u8[64]
= concatenate %0, %1 {axis=0} !from none
%2, %3 = tanh %1, %0 : u8[64], f32[9] @a !from 7:tanh
return %3 "y"
)";
  EXPECT_EQ(to_text(parse_graph(text)), text);
  EXPECT_EQ(test::error_of([] { parse_graph("graph {scheduled=true}\n%0 = tanh\nreturn"); }),
            "line 2, column 1: tanh gives 0 results, found 1 names");
  EXPECT_EQ(test::error_of([] { parse_graph("graph {schedule=true}\nreturn"); }),
            "line 1, column 8: expected 'phase' or 'scheduled', found 'schedule'");
  EXPECT_EQ(test::error_of([] { parse_graph("%0 = input f32[2]\n= tanh %0\nreturn"); }),
            "line 2, column 1: expected a node ('%name = op ...') or 'return', found '='");
}

}  // namespace
}  // namespace lazuli
