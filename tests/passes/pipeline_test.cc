// SPDX-License-Identifier: MIT
// The runner: order, switches, reports, failures, and graphs of a million nodes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/passes/rules/rules.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>

namespace lazuli {
namespace {

using test::error_of;

constexpr const char* mlp = R"(
  %0 = input : f32[4,8]
  %1 = constant "norm" : f32[8]
  %2 = input : f32[16,8]
  %3 = input : f32[16,8]
  %4 = input : f32[8,16]
  %5 = add 1.0, %1
  %6 = rms_norm %0, %5
  %7 = linear %6, %2
  %8 = linear %6, %3
  %9 = gelu_tanh %7
  %10 = mul %9, %8
  %11 = linear %10, %4
  %12 = rms_norm %11
  %13 = add %0, %12
  return %13)";

Graph parsed(const char* text) {
  Graph graph = parse_graph(text);
  std::uint32_t seed = 1;
  for (GraphNode& node : graph.nodes)
    if (node.op == Op::constant) node.constant = test::random_buffer(node.type(), seed++);
  return graph;
}

PassContext with(const FusionChoice& choice) {
  PassContext context;
  context.enabled = [choice](std::string_view name) { return choice.enabled(name); };
  context.evaluate = [](const Graph& graph) { return test::run_reference(graph, {}); };
  return context;
}

std::vector<std::string> node_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const GraphNode& node : graph.nodes)
    if (node.op != Op::input && node.op != Op::scalar) names.emplace_back(node.name());
  return names;
}

std::vector<std::string> names_at(const char* choice) {
  PassContext context = with(FusionChoice::parse(choice));
  return node_names(run_pipeline(parsed(mlp), context, {.verify = true, .after_pass = {}}));
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST(Pipeline, Levels) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_at("all"), (Names{"constant", "rms_norm", "linear", "linear", "gelu_mul", "linear", "rms_norm_add"}));
  EXPECT_EQ(names_at("none"),
            (Names{"constant", "rms_norm", "linear", "linear", "gelu_tanh", "mul", "linear", "rms_norm", "add"}));
  const Names primitive = names_at("primitive");
  EXPECT_FALSE(has(primitive, "rms_norm"));
  EXPECT_FALSE(has(primitive, "gelu_tanh"));
  EXPECT_TRUE(has(primitive, "tanh"));
  EXPECT_TRUE(has(primitive, "mean"));
  EXPECT_EQ(std::count(primitive.begin(), primitive.end(), "constant"), 1);  // folding stays on
}

TEST(Pipeline, OverridesStandOnTopOfLevels) {
  const auto one_rule = names_at("none,+gelu_mul");
  EXPECT_TRUE(has(one_rule, "gelu_mul"));
  EXPECT_FALSE(has(one_rule, "rms_norm_add"));
  const auto without = names_at("all,-gelu_mul");
  EXPECT_TRUE(has(without, "gelu_tanh"));  // and no other loop takes its nodes: they run by themselves
  EXPECT_TRUE(has(without, "mul"));
  EXPECT_TRUE(has(without, "rms_norm_add"));
  EXPECT_TRUE(has(names_at("all,-fuse_loops"), "gelu_mul"));
  EXPECT_TRUE(has(names_at("all,-fold_constants"), "add"));
}

TEST(FusionChoice, ReadsAndPrints) {
  const FusionChoice choice = FusionChoice::parse("all,-softcap,+altup_predict");
  EXPECT_EQ(choice.level, FusionLevel::all);
  EXPECT_FALSE(choice.enabled("softcap"));
  EXPECT_TRUE(choice.enabled("altup_predict"));
  EXPECT_EQ(to_string(choice), "all,+altup_predict,-softcap");
  EXPECT_EQ(FusionChoice::parse(to_string(choice)), choice);
  EXPECT_EQ(FusionChoice::parse("-tanh_mul").level, FusionLevel::all);
  EXPECT_FALSE(FusionChoice::parse("none").enabled("epilogue"));  // a choice of the backend's
  EXPECT_TRUE(FusionChoice::parse("none").enabled("row_demand"));
  EXPECT_TRUE(FusionChoice::parse("none").enabled("composites"));
  EXPECT_FALSE(FusionChoice::parse("primitive").enabled("composites"));
}

TEST(FusionChoice, ListsWhatThereIs) {
  const std::string unknown = error_of([] { FusionChoice::parse("all,-geluu"); });
  EXPECT_TRUE(
      unknown.starts_with("fusion: there is no \"geluu\"; near it: gelu_mul, gelu_tanh; expected one of fold_views, "))
      << unknown;
  EXPECT_NE(unknown.find("gelu_mul"), std::string::npos);
  EXPECT_TRUE(error_of([] {
                FusionChoice::parse("-gelu_mull");
              }).starts_with("fusion: there is no \"gelu_mull\"; near it: gelu_mul; expected one of "));
  EXPECT_EQ(error_of([] { FusionChoice::parse("everything"); }),
            "fusion: \"everything\" is not none, primitive, all, +name or -name");
  EXPECT_EQ(error_of([] { FusionChoice::parse("all,none"); }), "fusion: \"none\" is not +name or -name");
  EXPECT_EQ(error_of([] { FusionChoice::parse(""); }), "fusion: \"\" is not none, primitive, all, +name or -name");
  const std::string_view more[] = {"epilogue"};
  EXPECT_FALSE(FusionChoice::parse("all,-epilogue", more).enabled("epilogue"));
}

TEST(Pipeline, ReportsEveryPassInOrder) {
  PassContext context = with({});
  std::vector<std::string> names, changing;
  const auto record = [&](const PassReport& report) {
    names.emplace_back(report.name);
    if (report.changed) changing.emplace_back(report.name);
    EXPECT_GE(report.microseconds, 0);
  };
  run_pipeline(parsed(mlp), context, {.verify = true, .after_pass = record});
  std::vector<std::string> expected;
  for (const Pass& pass : default_pipeline()) expected.emplace_back(pass.name);
  EXPECT_EQ(names, expected);
  EXPECT_EQ(changing, (std::vector<std::string>{"fold_constants", "fuse_named", "fuse_loops"}));
}

TEST(Pipeline, RunningTwiceChangesNothing) {
  PassContext context = with({});
  const Graph once = run_pipeline(parsed(mlp), context);
  EXPECT_EQ(to_text(run_pipeline(once, context)), to_text(once));
}

Graph drop_inputs(Graph graph, PassContext&) {
  graph.nodes.back().inputs.clear();
  return graph;
}
Graph give_up(Graph, PassContext&) { fail("cannot go on"); }

TEST(Pipeline, FailuresNameThePass) {
  PassContext context;
  const Graph graph = parse_graph("%0 = input : f32[4]\n%1 = exp %0\nreturn %1");
  const Pass broken[] = {{"drop_inputs", drop_inputs}};
  EXPECT_THROW(run_pipeline(graph, broken, context, {.verify = true, .after_pass = {}}), CompileError);
  const std::string text = error_of([&] { run_pipeline(graph, broken, context, {.verify = true, .after_pass = {}}); });
  EXPECT_NE(text.find("drop_inputs"), std::string::npos) << text;
  EXPECT_NE(text.find("exp"), std::string::npos) << text;
  const Pass failing[] = {{"give_up", give_up}};
  EXPECT_EQ(error_of([&] { run_pipeline(graph, failing, context); }), "give_up: cannot go on");
}

TEST(Pipeline, DecomposesWhatTheBackendLacks) {
  PassContext context = with(FusionChoice::parse("none"));
  context.supports = [](Op op, const Attrs&, std::span<const Type>) { return op != Op::rms_norm; };
  const auto names = node_names(run_pipeline(parsed(mlp), context));
  EXPECT_FALSE(has(names, "rms_norm"));
  EXPECT_TRUE(has(names, "gelu_tanh"));
}

// A backend without AltUp ops gets islands at `all`, and plain ops at `none`.
TEST(Pipeline, AltupIslandsWithoutAltupOps) {
  const Graph graph = parse_graph(R"(
    %0 = input : f32[4,2,8]
    %1 = input : f32[2,16]
    %2 = altup_predict %0, %1
    return %2)");
  for (const auto& [choice, expected] : {std::pair("all", "altup_predict"), std::pair("none", "concatenate")}) {
    PassContext context = with(FusionChoice::parse(choice));
    context.supports = [](Op op, const Attrs&, std::span<const Type>) { return op != Op::altup_predict; };
    EXPECT_EQ(node_names(run_pipeline(graph, context)).back(), expected);
  }
}

TEST(FoldConstants, ProgramsShareFoldedBuffers) {
  const BufferRef weight = test::random_buffer({DType::f32, {8}}, 1);
  int evaluations = 0;
  PassContext context;
  context.folded = std::make_shared<FoldCache>();
  context.evaluate = [&](const Graph& graph) {
    ++evaluations;
    return test::run_reference(graph, {});
  };
  const auto folded = [&](std::int64_t rows, const BufferRef& data) {
    Graph graph =
        parse_graph(fmt::format("%0 = input : f32[{},8]\n%1 = constant \"w\" : f32[8]\n%2 = add %1, 1.0\n"
                                "%3 = mul %0, %2\nreturn %3",
                                rows));
    graph.nodes[1].constant = data;
    graph = fold_constants(std::move(graph), context);
    return graph.nodes[static_cast<std::size_t>(graph.nodes.back().inputs[1].node)].constant;
  };
  const BufferRef prefill = folded(16, weight);
  EXPECT_EQ(prefill, folded(1, weight));
  EXPECT_EQ(evaluations, 1);
  EXPECT_NE(prefill, folded(1, test::random_buffer({DType::f32, {8}}, 2)));  // another layer's weight
  EXPECT_EQ(evaluations, 2);
}

// A chain that rules, loops and folding all have something to do with.
Graph chain(std::int32_t links) {
  Graph graph = parse_graph("%0 = input : f32[4]\n%1 = scalar {value=1, dtype=f32}\nreturn %0");
  ValueId value = graph.outputs[0];
  const ValueId one{1, 0};
  const auto append = [&](Op op, std::vector<ValueId> inputs) {
    GraphNode node;
    node.op = op;
    node.inputs = std::move(inputs);
    node.types = {graph.type(value)};
    node.from = {{static_cast<std::int32_t>(graph.nodes.size()), op}};
    value = graph.add(std::move(node));
  };
  for (std::int32_t i = 0; i < links; i += 4) {
    append(Op::tanh, {value});
    append(Op::mul, {value, graph.outputs[0]});
    append(Op::add, {value, one});
    append(Op::exp, {value});
  }
  graph.outputs = {value};
  return graph;
}

// Recursion would overflow the stack, and a pass in quadratic time would not end before the test's timeout.
TEST(Pipeline, AMillionNodes) {
  const Graph graph = chain(1'000'000);
  PassContext context;
  const Graph result = run_pipeline(graph, context, {.verify = false, .after_pass = {}});
  EXPECT_LT(result.nodes.size(), graph.nodes.size());
}

}  // namespace
}  // namespace lazuli
