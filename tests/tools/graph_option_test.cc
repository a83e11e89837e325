// SPDX-License-Identifier: MIT
// --graph FILE: the commands on graphs that are no language model's.
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/environment_variable.h>
#include <lazuli/tests/support/stored_function.h>
#include <lazuli/tests/support/tool_process.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_file.h>

#include <algorithm>
#include <cmath>

namespace lazuli {
namespace {

using test::Arguments;
using test::Json;
using test::Outcome;
using test::read_whole;
using test::write_whole;

constexpr const char* text_graph = R"(# a gated product
%x = input "x" f32[3,64]
%i = input "index" i32[2]
%w = constant "gate" f32[32,64]
%u = constant "up" q8_0[32,64]
%g = linear %x, %w
%h = gelu_tanh %g @mlp
%v = linear %x, %u
%y = mul %h, %v @mlp
%r = take %y, %i {axis=0}
return %y "gated", %r "rows"
)";

class GraphOption : public test::ToolTest {
 protected:
  void SetUp() override {
    ToolTest::SetUp();
    write_whole(folder_ / "gated.lir", text_graph);
    const Session session;
    save(test::stored_function(), test::stored_arguments(), folder_ / "stored.lzg");
  }

  Outcome ok(const Arguments& arguments) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << testing::PrintToString(arguments) << outcome.err;
    return outcome;
  }
  Json json(Arguments arguments) {
    arguments.emplace_back("--json");
    return Json::parse(ok(arguments).out);
  }
};

TEST_F(GraphOption, ExplainSaysWhatFusedAndWhatRuns) {
  const Json gated = json({"explain", "--graph", path("gated.lir")});
  const auto fired = [&](const char* rule) {
    return std::any_of(gated["fusions"].begin(), gated["fusions"].end(),
                       [&](const Json& fusion) { return fusion["rule"] == rule && fusion["fired"] == true; });
  };
  EXPECT_TRUE(fired("gelu_mul")) << gated["fusions"];
  EXPECT_FALSE(gated["kernels"].empty());
  const std::string text = ok({"explain", "--graph", path("stored.lzg"), "--scope", "layers.0"}).out;
  EXPECT_EQ(text.rfind("stored.lzg, layers.0, --fusion ", 0), 0u) << text;
}

TEST_F(GraphOption, GraphDrawsAndSaves) {
  const Json counts = json({"graph", "--graph", path("gated.lir")})["counts"];
  EXPECT_EQ(counts["built"]["nodes"], 9);
  EXPECT_LT(counts["scheduled"]["nodes"], counts["built"]["nodes"]);
  ok({"graph", "--graph", path("stored.lzg"), "--stage", "built", "-o", path("built.txt")});
  const Session session;
  EXPECT_EQ(read_whole(path("built.txt")), to_text(test::stored_function().graph(test::stored_arguments())));

  ok({"graph", "--graph", path("gated.lir"), "--save", path("gated.lzg")});
  const Graph saved = load_graph(path("gated.lzg"));
  EXPECT_EQ(saved.nodes.size(), 9u);
  ok({"graph", "--graph", path("gated.lzg"), "--stage", "fused", "--save", path("fused.lzg")});
  EXPECT_LT(load_graph(path("fused.lzg")).nodes.size(), 9u);
  ok({"graph", "--graph", path("gated.lzg"), "--profile", "-o", path("times.json")});
  EXPECT_TRUE(Json::parse(read_whole(path("times.json"))).contains("nodes"));
}

TEST_F(GraphOption, AModelsStepIsSavedAndRuns) {
  const std::string model = test::test_data_path("goldens/gemma4-e-gguf-q4_0/model.gguf");
  ok({"graph", "-m", model, "--save", path("step.lzg")});
  ok({"graph", "-m", model, "--save", path("small.lzg"), "--weights", "by-reference"});
  EXPECT_LT(test::fs::file_size(path("small.lzg")), test::fs::file_size(model) / 4);
  const Json inside = json({"explain", "--graph", path("step.lzg")});
  EXPECT_EQ(inside["kernels"], json({"explain", "--graph", path("small.lzg")})["kernels"]);
  EXPECT_EQ(inside["kernels"], json({"explain", "-m", model, "--phase", "decode"})["kernels"]);
}

TEST_F(GraphOption, ProfileShowsWhereTheTimeGoes) {
  const Json profile = json({"profile", "--graph", path("stored.lzg"), "--seconds", "0", "--trace", path("trace.json"),
                             "--html", path("page.html")});
  EXPECT_FALSE(profile["nodes"].empty());
  EXPECT_EQ(profile["phase"], "decode");
  EXPECT_TRUE(Json::parse(read_whole(path("trace.json"))).contains("traceEvents"));
  EXPECT_NE(read_whole(path("page.html")).find("stored.lzg"), std::string::npos);
}

TEST_F(GraphOption, BenchComparesVariants) {
  const Json report =
      json({"bench", "--graph", path("stored.lzg"), "--compare", "fused,unfused", "--reps", "3", "--threads", "1"});
  ASSERT_EQ(report["runs"].size(), 2u);
  EXPECT_EQ(report["model"], "stored.lzg");
  for (const Json& run : report["runs"]) {
    EXPECT_EQ(run["name"], "run");
    EXPECT_EQ(run["unit"], "runs/s");
    EXPECT_EQ(run["samples"].size(), 3u);
    EXPECT_EQ(run["checksum"], report["runs"][0]["checksum"]) << "fusing changes no bit";
  }
  ASSERT_EQ(report["ratios"].size(), 1u);
  for (const char* format : {"text", "markdown", "csv", "benchstat"})
    EXPECT_NE(ok({"bench", "--graph", path("gated.lir"), "--reps", "1", "--format", format}).out.find("runs"),
              std::string::npos);
  ok({"bench", "--graph", path("gated.lir"), "--reps", "1", "--sweep", "threads=1,2", "--plot", path("plot.svg")});
  EXPECT_NE(read_whole(path("plot.svg")).find("run, runs/s"), std::string::npos);
}

TEST_F(GraphOption, TuneMeasuresSettingsOnTheGraph) {
  const test::EnvironmentVariable cache("XDG_CACHE_HOME", folder_.c_str());
  const Json tuned = json({"tune", "--graph", path("gated.lir"), "--only", "gelu_mul,split_bytes", "--budget", "1"});
  ASSERT_EQ(tuned["choices"].size(), 2u) << tuned;
  expect_error({"tune", "--graph", path("gated.lir"), "--only", "chunk"}, 2, "there is no choice \"chunk\"");
}

TEST_F(GraphOption, ErrorsSayWhatIsWrong) {
  const std::string file = path("gated.lir");
  for (const char* command : {"explain", "profile", "bench"}) {
    expect_error({command}, 2, "no model given; expected -m MODEL, or --graph FILE");
    expect_error({command, "--graph", file, "-m", "x.gguf"}, 2, "expected one of them");
    expect_error({command, "--graph", file, "--kv", "f32"}, 2, "--kv: it is a matter of models");
    expect_error({command, "--graph", path("none.lzg")}, 1, "none.lzg: cannot open");
    expect_error({command, "--graph", file, "--fusion", "sometimes"}, 2, "sometimes");
  }
  expect_error({"profile", "--graph", file, "--rows", "3"}, 2, "--rows: it is a matter of models");
  expect_error({"bench", "--graph", file, "--sweep", "chunk=8,16"}, 2, "chunk is a matter of models");
  expect_error({"explain", "-m", "x.gguf", "--input", "x=1"}, 2, "expected --graph FILE");
  expect_error({"explain", "--graph", file, "--input", "indx=1"}, 2, "no input \"indx\"; near it: index");
  expect_error({"explain", "--graph", file, "--input", "x=a"}, 2, "\"a\" is no number");
  expect_error({"explain", "--graph", file, "--input", "x=2:1"}, 2, "the range is empty");
  expect_error({"explain", "--graph", file, "--input", "x=1", "--input", "0=1"}, 2, "given twice");
  expect_error({"graph", "--graph", file, "--save", path("x.lzg"), "--stage", "scheduled"}, 2, "cannot run");
  expect_error({"graph", "--graph", file, "--weights", "inside"}, 2, "expected --save FILE");
  write_whole(folder_ / "bad.lir", "%0 = input f32[2]\n%1 = tanhh %0\nreturn %1\n");
  expect_error({"graph", "--graph", path("bad.lir")}, 1, "bad.lir: line 2, column 6: unknown op 'tanhh'");
  ok({"graph", "--graph", file, "--stage", "scheduled", "-o", path("plan.txt")});
  expect_error({"graph", "--graph", path("plan.txt")}, 1, "plan.txt: the graph is not valid");
  write_whole(folder_ / "empty.lir", "%0 = input f32[2]\nreturn\n");
  expect_error({"graph", "--graph", path("empty.lir")}, 1, "empty.lir: the graph returns nothing");
  const std::string cut = read_whole(path("stored.lzg"));
  write_whole(folder_ / "cut.lzg", cut.substr(0, cut.size() - 1));
  expect_error({"profile", "--graph", path("cut.lzg")}, 1, "cut.lzg: ");
}

// ---- arguments ----

TEST_F(GraphOption, ArgumentsAreMadeUp) {
  const Session session;
  tool::GraphOptions options;
  options.path = path("gated.lir");
  options.inputs = {"index=1:3"};
  const tool::GraphFile file(options), again(options);
  ASSERT_EQ(file.arguments().size(), 2u);
  const std::span<const float> x = file.arguments()[0].data<float>();
  EXPECT_TRUE(std::all_of(x.begin(), x.end(), [](float value) { return value >= -1 && value < 1; }));
  EXPECT_TRUE(std::adjacent_find(x.begin(), x.end(), std::not_equal_to<>()) != x.end());
  EXPECT_TRUE(std::equal(x.begin(), x.end(), again.arguments()[0].data<float>().begin()));
  for (const std::int32_t index : file.arguments()[1].data<std::int32_t>()) EXPECT_TRUE(index == 1 || index == 2);
  options.inputs = {"x=0.5"};
  const tool::GraphFile stated(options);
  for (const float value : stated.arguments()[0].data<float>()) EXPECT_EQ(value, 0.5f);
  for (const std::int32_t index : stated.arguments()[1].data<std::int32_t>()) EXPECT_EQ(index, 0);
  EXPECT_EQ(file.shape(), stated.shape());
  for (const Array& result : file.function()(file.arguments()))
    for (const float value : result.data<float>()) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(GraphOption, WhatACallGivesUpGoesRound) {
  const Session session;
  tool::GraphOptions options;
  options.path = path("stored.lzg");
  const tool::GraphFile file(options);
  tool::GraphCalls calls(file);
  std::vector<Array> arguments = file.arguments();
  for (int i = 0; i < 3; ++i) {
    const std::vector<Array> expected = test::stored_function()(arguments), found = calls.call();
    const std::span<const float> a = expected[1].data<float>(), b = found[1].data<float>();
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << i;
    arguments[1] = expected[0];  // the first result of the state's type takes it over
  }
}

}  // namespace
}  // namespace lazuli
