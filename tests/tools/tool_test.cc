// SPDX-License-Identifier: MIT
// The `lazuli` command line, run as a process: exit statuses, one-line errors, and the keys scripts rely on.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/runtime/tuning/compare.h>
#include <lazuli/tests/support/environment_variable.h>
#include <lazuli/tests/support/test_model.h>
#include <lazuli/tests/support/tool_process.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

using test::Arguments;
using test::Json;
using test::Outcome;
using test::read_whole;
using test::test_model_path;
using test::ToolTest;
using test::write_whole;
namespace fs = std::filesystem;

void expect_keys(const Json& object, std::initializer_list<const char*> keys) {
  ASSERT_TRUE(object.is_object()) << object;
  for (const char* key : keys) EXPECT_TRUE(object.contains(key)) << key;
}

TEST_F(ToolTest, VersionAndHelpGoToStandardOutput) {
  const Outcome version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out.rfind("lazuli ", 0), 0u);
  EXPECT_EQ(version.err, "");
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* command :
       {"generate", "logits", "perplexity", "tokenize", "bench", "graph", "profile", "tune", "synth", "info"})
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
}

TEST_F(ToolTest, BadCommandLinesEndWithStatus2) {
  const std::string none = "/nonexistent.gguf";
  expect_error({}, 2, "no command given");
  expect_error({"frobnicate"}, 2, "frobnicate");
  expect_error({"explian"}, 2, "near it: explain");
  expect_error({"generate"}, 2, "--model");
  expect_error({"generate", "-m", none}, 2, "no prompt");
  expect_error({"generate", "-m", none, "-p", "x", "--ids", "2"}, 2, "more than one prompt");
  expect_error({"generate", "-m", none, "-p", "x", "--unknown"}, 2, "--unknown");
  expect_error({"generate", "-m", none, "-p", "x", "--load-cache", "a", "--ids", "2"}, 2, "more than one prompt");
  expect_error({"generate", "-m", none, "-p", "x", "--save-cache", path("no/such/folder")}, 1, "No such file");
  for (const char* threads : {"0", "-1", "abc", ""}) expect_error({"info", "--threads", threads}, 2, "--threads");
  expect_error({"info", "--fusion", "sometimes"}, 2, "sometimes");
  expect_error({"info", "--fusion", "all,-no_such_rule"}, 2, "no_such_rule");
  expect_error({"info", "--fusion", "all,-gelu_mull"}, 2, "near it: gelu_mul");
  expect_error({"explain", "-m", none, "--phase", "decod"}, 2, "near it: decode");
  expect_error({"info", "--backend", "gpu"}, 2, "gpu");
  expect_error({"info", "--precision", "f64"}, 2, "f64");
  expect_error({"info", "--kv", "q4"}, 2, "q4");
  expect_error({"bench", "-m", none, "--sweep", "rows=1"}, 2, "cannot be swept");
  expect_error({"bench", "-m", none, "--sweep", "chunk=0"}, 2, "--chunk");
  expect_error({"bench", "-m", none, "--compare", "fused,,none"}, 2, "--compare");
  expect_error({"bench", "-m", none, "--compare", "fused,all,-softcup"}, 2, "softcup");
  expect_error({"bench", "-m", none, "-p", "0", "-n", "0"}, 2, "nothing to measure");
  expect_error({"bench", "-m", none, "-n", "0", "--sweep", "depth=8,16"}, 2, "nothing to measure");
  expect_error({"bench", "-m", none, "--preset", "publish"}, 2, "near it: published");
  expect_error({"bench", "-m", none, "--format", "markdwn"}, 2, "near it: markdown");
  expect_error({"bench", "-m", none, "--format", "csv", "--json"}, 2, "--json");
  expect_error({"bench", "-m", none, "--plot", path("plot.svg")}, 2, "nothing is swept");
  expect_error({"graph"}, 2, "-m MODEL");
  expect_error({"graph", "-m", none, "-o", path("g.png")}, 2, ".svg");
  expect_error({"graph", "-m", none, "--stage", "middle"}, 2, "middle");
  const std::string gguf = path("s.gguf"), folder = path("s");
  expect_error({"synth", "--arch", "gemma5", "--quant", "q4_0", "-o", gguf}, 2, "gemma3n-e2b");
  expect_error({"synth", "--arch", "gemma3-270m", "--quant", "q3", "-o", gguf}, 2, "q3");
  expect_error({"synth", "--arch", "gemma3-270m", "--quant", "mlx4", "-o", gguf}, 2, "--quant mlx4");
  expect_error({"synth", "--arch", "gemma3-270m", "--quant", "q4_0", "-o", folder}, 2, "--quant q4_0");
  expect_error({"synth", "--arch", "gemma3-270m", "--quant", "q4_0", "--layers", "19", "-o", gguf}, 2, "1 to the 18");
  expect_error({"synth", "--arch", "gemma3-270m", "--quant", "q4_0", "--layers", "0", "-o", gguf}, 2, "--layers");
  EXPECT_FALSE(fs::exists(gguf) || fs::exists(folder));
}

TEST_F(ToolTest, SynthWritesAModelThatRuns) {
  const std::string model = path("s.gguf");
  const Outcome made =
      run({"synth", "--arch", "gemma3-270m", "--layers", "1", "--quant", "q4_0", "-o", model, "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.err, "");
  const Json report = Json::parse(made.out);
  expect_keys(report, {"path", "architecture", "parameters", "bytes", "seconds"});
  EXPECT_EQ(report["parameters"], 173346432);
  EXPECT_EQ(report["bytes"], fs::file_size(model));
  const Outcome generated = run({"generate", "-m", model, "-p", "ba katu", "-n", "2", "--json"});
  ASSERT_EQ(generated.status, 0) << generated.err;
  EXPECT_EQ(Json::parse(generated.out)["prompt_ids"], Json({2, 495, 5902}));
}

TEST_F(ToolTest, SynthLeavesNothingBehindWhenItFails) {
  const Arguments make = {"synth", "--arch", "gemma3-270m", "--layers", "1", "--quant"};
  const auto fails = [&](const char* quantisation, const std::string& target, const std::string& part) {
    Arguments arguments = make;
    arguments.insert(arguments.end(), {quantisation, "-o", target});
    expect_error(arguments, 1, part);
  };
  fails("q4_0", path("nowhere/s.gguf"), "nowhere/s.gguf: cannot create");
  fails("bf16", path("nowhere/s"), "nowhere/s: cannot create");
  fs::create_symlink("/dev/full", path("full.gguf"));
  fails("q4_0", path("full.gguf"), "full.gguf: cannot write: No space left");
  fs::create_directory(path("taken"));
  write_whole(path("taken/file"), "mine");
  fails("bf16", path("taken"), "already there");
  fails("bf16", path("taken/file"), "already there");
  write_whole(path("empty_file"), "");
  fails("bf16", path("empty_file"), "already there");
  fs::create_directory(path("empty"));
  fs::create_directory_symlink(path("empty"), path("link"));
  fails("bf16", path("link"), "already there");
  const pid_t process =
      start({"synth", "--arch", "gemma3-4b", "--quant", "bf16", "--threads", "1", "-o", path("long")});
  const auto has_begun = [&] {
    return std::any_of(fs::directory_iterator(folder_), fs::directory_iterator(),
                       [](const fs::directory_entry& entry) { return entry.path().stem() == "long.tmp"; });
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!has_begun() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(has_begun()) << "no file long.tmp.* within a minute";
  kill(process, SIGINT);
  EXPECT_EQ(finish(process).status, 130);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
    EXPECT_EQ(entry.path().string().find(".tmp."), std::string::npos) << entry.path();
}

TEST_F(ToolTest, BadModelFilesEndWithStatus1) {
  expect_error({"info", "-m", path("missing.gguf")}, 1, "No such file");
  expect_error({"info", "-m", folder_.string()}, 1, folder_.string());
  write_whole(path("short.gguf"), "GGUF\x03");
  expect_error({"info", "-m", path("short.gguf")}, 1, "short.gguf");
  write_whole(path("text.gguf"), "this is no model at all, but long enough to hold a header");
  expect_error({"info", "-m", path("text.gguf")}, 1, "text.gguf");
}

// One summary line and the details, on standard error, whatever the command.
TEST_F(ToolTest, TensorsThatDoNotFitEndWithStatus1) {
  fs::copy(test::test_data_path("goldens/gemma3-dense"), path("model"));
  std::string file = read_whole(path("model/model.safetensors"));
  for (const std::string name : {"layers.2.mlp.up_proj", "layers.4.mlp.up_proj"})
    file.replace(file.find(name), name.size(), name.substr(0, name.size() - 4) + "PROJ");
  write_whole(path("model/model.safetensors"), file);
  for (const Arguments& arguments :
       {Arguments{"info", "-m", path("model")}, Arguments{"generate", "-m", path("model"), "--ids", "2", "--json"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("lazuli: " + path("model") + ": 4 tensors do not fit the architecture\n", 0), 0u)
        << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 5) << outcome.err;
  }
}

TEST_F(ToolTest, AFullStandardOutputIsAFailure) {
  const Outcome outcome = run({"info"}, "", "/dev/full");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "lazuli: standard output: cannot write: No space left on device\n");
}

TEST_F(ToolTest, InfoNamesTheHost) {
  const Outcome outcome = run({"info", "--json", "--threads", "1", "--fusion", "all,-softcap"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json info = Json::parse(outcome.out);
  expect_keys(info, {"version", "cpu", "isa", "isa_levels", "threads", "fusion", "fusions", "blas"});
  EXPECT_EQ(info["threads"], 1);
  for (const Json& fusion : info["fusions"]) {
    EXPECT_EQ(fusion["on"].get<bool>(), fusion["name"] != "softcap") << fusion;
    EXPECT_EQ(fusion["because"], "--fusion") << fusion;
  }
  for (const Json& choice : info["choices"])
    EXPECT_EQ(choice["because"] == "--threads", choice["name"] == "threads") << choice;
}

TEST_F(ToolTest, ChoicesComeFromTheEnvironmentToo) {
  const test::EnvironmentVariable chunk("LAZULI_CHUNK", "96"), fusion("LAZULI_FUSION", "-softcap");
  const Json info = Json::parse(run({"info", "--json", "--fusion", "-tanh_mul"}).out);
  EXPECT_EQ(info["fusion"], "all,-softcap,-tanh_mul");
  for (const Json& choice : info["choices"])
    if (choice["name"] == "chunk") {
      EXPECT_EQ(choice["value"], "96");
      EXPECT_EQ(choice["because"], "LAZULI_CHUNK");
    }
  const test::EnvironmentVariable threads("LAZULI_THREADS", "many");
  expect_error({"info"}, 2, "LAZULI_THREADS: \"many\" given, expected a number from 1 to 4096");
}

TEST_F(ToolTest, TuneKeepsWhatItMeasured) {
  const test::EnvironmentVariable caches("XDG_CACHE_HOME", path("caches").c_str()), cache("LAZULI_CACHE", "");
  const std::string model = test::test_data_path("goldens/gemma3-dense");
  expect_error({"tune", "-m", model, "--only", "chnk"}, 2, "near it: chunk");
  const Arguments tune{"tune", "-m", model, "--only", "chunk,row_chain", "-p", "128", "--budget", "2", "--json"};
  const Outcome outcome = run(tune);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.err.empty() || outcome.err.starts_with("note: other work runs on this host")) << outcome.err;
  const Json record = Json::parse(outcome.out);
  expect_keys(record, {"cpu", "model", "version", "date", "choices", "path"});
  ASSERT_EQ(record["choices"].size(), 2u);
  for (const Json& choice : record["choices"]) {
    expect_keys(choice, {"name", "value", "trials"});
    for (const Json& trial : choice["trials"]) EXPECT_TRUE(parse_outcome(trial["outcome"].get<std::string>())) << trial;
  }
  const std::string file = record["path"];
  EXPECT_EQ(file.rfind(path("caches") + "/lazuli/tuning/", 0), 0u);
  // Another tuning of the same model adds to it.
  ASSERT_EQ(run({"tune", "-m", model, "--only", "gelu_mul", "-p", "64", "--budget", "0"}).status, 0);
  EXPECT_EQ(Json::parse(read_whole(file))["choices"].size(), 3u);
  EXPECT_EQ(run({"info", "-m", model}).err, "");
  write_whole(file, "{");
  const Outcome damaged = run({"info", "-m", model});
  EXPECT_EQ(damaged.status, 0);
  EXPECT_NE(damaged.err.find("note: " + file + " is not used: "), std::string::npos) << damaged.err;
}

// A GGUF file and a folder of one model: what they hold, and what a token costs.
TEST_F(ToolTest, InfoDescribesFilesAndFolders) {
  for (const auto& [model, tensors] : {std::pair{"gemma4-dense", 85}, {"gemma4-dense-gguf-bf16/model.gguf", 86}}) {
    const std::string model_path = test::test_data_path(std::string("goldens/") + model);
    const Outcome outcome = run({"info", "--json", "-m", model_path, "--ctx", "100"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const Json info = Json::parse(outcome.out)["model"];
    expect_keys(info, {"path", "name", "parameters", "weight_bytes", "planned_bytes", "tokenizer"});
    EXPECT_EQ(info["architecture"], "gemma4");
    EXPECT_EQ(info["layers"], 6);
    EXPECT_EQ(info["tensor_count"], tensors);
    std::int64_t bytes = 0;
    for (const Json& total : info["tensors"]) bytes += total["bytes"].get<std::int64_t>();
    EXPECT_EQ(info["weight_bytes"], bytes);
    EXPECT_EQ(info["bytes_per_token"], bytes);  // a dense model with a tied head reads everything
    // f16: five layers of 2 heads of 32 with windows of 8, and a global one of 1 head of 64.
    EXPECT_EQ(info["kv"]["dtype"], "f16");
    EXPECT_EQ(info["kv"]["bytes_per_token"], 2 * 2 * (5 * 64 + 64));
    EXPECT_EQ(info["kv"]["bytes_per_token_past_windows"], 2 * 2 * 64);
    EXPECT_EQ(info["kv"]["context"], 100);
    EXPECT_EQ(info["kv"]["bytes_at_context"], 2 * 2 * (5 * 64 * 8 + 64 * 100));
    EXPECT_EQ(info["planned_bytes"], bytes + info["kv"]["bytes_at_context"].get<std::int64_t>());
    EXPECT_EQ(run({"info", "-m", model_path}).status, 0);
  }
}

// Tables that are looked up stay in the file; experts that a token is not sent to do not.
TEST_F(ToolTest, InfoPlansWhatIsLaidOut) {
  const auto info = [&](const char* folder, const char* precision) {
    const Outcome outcome = run({"info", "--json", "--ctx", "100", "--precision", precision, "-m",
                                 test::test_data_path(std::string("goldens/") + folder)});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out)["model"];
  };
  const auto weights = [](const Json& model) {
    return model["planned_bytes"].get<std::int64_t>() - model["kv"]["bytes_at_context"].get<std::int64_t>();
  };
  const Json tables = info("gemma3n", "fast"), experts = info("gemma4-moe", "fast");
  EXPECT_LT(weights(tables), tables["weight_bytes"].get<std::int64_t>());
  EXPECT_EQ(weights(tables), tables["bytes_per_token"]);
  EXPECT_GT(weights(experts), experts["bytes_per_token"].get<std::int64_t>());
  const Json dequantised = info("gemma3n", "f32");
  EXPECT_LT(weights(dequantised), 4 * dequantised["parameters"].get<std::int64_t>());
}

TEST_F(ToolTest, GraphDiffCountsWhatChanged) {
  write_whole(path("a.json"), R"({"stage": "built", "phase": "any", "nodes": [
    {"id": 0, "op": "input", "scope": ""}, {"id": 1, "op": "tanh", "scope": "head"},
    {"id": 2, "op": "mul", "scope": "head"}, {"id": 3, "op": "cast", "scope": "head"}]})");
  write_whole(path("b.json"), R"({"stage": "fused", "phase": "any", "nodes": [
    {"id": 0, "op": "input", "scope": ""},
    {"id": 1, "op": "tanh_mul", "scope": "head", "body": ["tanh", "mul", "cast"]}]})");
  const Outcome outcome = run({"graph", "--diff", path("a.json"), path("b.json"), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json difference = Json::parse(outcome.out);
  EXPECT_EQ(difference["nodes"], Json({{"a", 4}, {"b", 2}}));
  EXPECT_EQ(difference["casts"], Json({{"a", 1}, {"b", 1}}));
  EXPECT_EQ(difference["only_a"].size(), 3u);
  EXPECT_EQ(difference["only_b"], Json::array({{{"scope", "head"}, {"op", "tanh_mul"}, {"count", 1}}}));
  EXPECT_EQ(run({"graph", "--diff", path("a.json"), path("b.json")}).status, 0);
  write_whole(path("c.json"), "{\"nodes\": 3}");
  expect_error({"graph", "--diff", path("a.json"), path("c.json")}, 1, "c.json");
  write_whole(path("d.json"), "digraph {");
  expect_error({"graph", "--diff", path("d.json"), path("a.json")}, 1, "d.json");
  expect_error({"graph", "--diff", path("a.json")}, 2, "--diff");
}

// A cast in the attention of every layer but one, and a copy.
TEST_F(ToolTest, GraphDiffFindsCastsAndCopies) {
  const auto graph = [](bool with_casts) {
    std::string nodes = R"({"id": 0, "op": "input", "scope": "", "label": "x"})";
    for (int layer = 0; layer < 5; ++layer) {
      const auto add = [&](const char* op, const char* dtype) {
        nodes += fmt::format(R"(, {{"op": "{}", "scope": "layers.{}.attention", "dtype": "{}", "shape": [1, 8]}})", op,
                             layer, dtype);
      };
      add("linear", "f32");
      if (with_casts && layer != 3) add("cast", "f16");
      nodes += fmt::format(R"(, {{"op": "rope", "scope": "layers.{}", "attrs": {{"base": {}}}}})", layer,
                           with_casts ? 10000 : 500);
    }
    if (with_casts) nodes += R"(, {"op": "copy", "scope": "head"})";
    return R"({"stage": "fused", "phase": "decode", "nodes": [)" + nodes + "]}";
  };
  write_whole(path("a.json"), graph(false));
  write_whole(path("b.json"), graph(true));
  const Outcome outcome = run({"graph", "--diff", path("a.json"), path("b.json"), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json difference = Json::parse(outcome.out);
  EXPECT_EQ(difference["casts"], Json({{"a", 0}, {"b", 4}}));
  EXPECT_EQ(difference["cast_places"],
            Json::parse(R"([{"scope": "layers.*.attention", "each": 1, "layers": "0-2, 4"}])"));
  EXPECT_EQ(difference["copies"], Json({{"a", 0}, {"b", 1}}));
  EXPECT_EQ(difference["copy_places"], Json::parse(R"([{"scope": "head", "each": 1}])"));
  EXPECT_EQ(difference["only_a"], Json::array());
  EXPECT_EQ(difference["only_b"], Json::parse(R"([
    {"scope": "layers.*.attention", "op": "cast", "type": "f16[1,8]", "count": 4, "layers": "0-2, 4"},
    {"scope": "head", "op": "copy", "count": 1}])"));
  EXPECT_EQ(difference["changed"], Json::parse(R"([{"scope": "layers.*", "op": "rope",
    "what": [["base", "500", "10000"]], "count": 5, "layers": "0-4"}])"));
  const Outcome table = run({"graph", "--diff", path("a.json"), path("b.json")});
  for (const char* line : {"+1 in layers.*.attention of each of layers 0-2, 4\n", "+1 in head\n",
                           "~ rope                     layers.*  base: 500 -> 10000  x5  layers 0-4\n"})
    EXPECT_NE(table.out.find(line), std::string::npos) << line << table.out;
  const Outcome same = run({"graph", "--diff", path("a.json"), path("a.json")});
  EXPECT_NE(same.out.find("the same ops"), std::string::npos) << same.out;
}

TEST_F(ToolTest, GraphDiffNamesWhatIsWrongWithAFile) {
  write_whole(path("good.json"), R"({"nodes": []})");
  const std::pair<const char*, const char*> cases[] = {
      {R"([1, 2])", "is array"},
      {R"({"graphs": []})", "no \"nodes\""},
      {R"({"nodes": {}})", "\"nodes\" has object; expected a list"},
      {R"({"nodes": [{"op": "neg"}, {"id": 1}]})", "node 1 has no \"op\""},
      {R"({"nodes": [3]})", "node 0 is number"},
      {R"({"nodes": [{"op": "neg", "scope": 7}]})", "node 0: \"scope\" has number; expected text"},
      {R"({"nodes": [{"op": "neg", "dtype": "f32", "shape": ["a"]}]})", "\"shape\" has string"},
      {R"({"nodes": [{"op": "neg", "body": [1]}]})", "\"body\" has number"},
      {R"({"nodes": [{"op": "neg"})", "no JSON at byte"},
      {"", "no JSON at byte"}};
  for (const auto& [text, part] : cases) {
    write_whole(path("bad.json"), text);
    expect_error({"graph", "--diff", path("good.json"), path("bad.json")}, 1, part);
    expect_error({"graph", "--diff", path("bad.json"), path("good.json")}, 1, "bad.json");
  }
  expect_error({"graph", "--diff", path("good.json"), path("none.json")}, 1, "none.json");
}

TEST_F(ToolTest, GraphNamesWhatIsNear) {
  const std::string model = test::test_data_path("goldens/gemma3n");
  expect_error({"graph", "-m", model, "--stage", "fusd"}, 2, "near it: fused");
  expect_error({"graph", "-m", model, "--phase", "decod"}, 2, "near it: decode");
  expect_error({"graph", "-m", model, "-o", path("g"), "--format", "explorer"}, 2, "near it: model-explorer");
  expect_error({"graph", "-m", model, "--stage", "fused", "-o", path("g.dot"), "--expand", "layer.1"}, 2,
               "near it: layers.1");
  expect_error({"graph", "-m", model, "--stage", "fused", "-o", path("g.json"), "--collapse"}, 2, "--collapse");
}

TEST_F(ToolTest, GraphDrawsAlikeLayersOnce) {
  const std::string model = test::test_data_path("goldens/gemma3n");
  const auto draw = [&](Arguments more) {
    more.insert(more.begin(), {"graph", "-m", model, "--stage", "built", "-o", path("g.dot")});
    const Outcome outcome = run(more);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return read_whole(path("g.dot"));
  };
  const std::string whole = draw({}), collapsed = draw({"--collapse"});
  EXPECT_EQ(whole.find("alike"), std::string::npos);
  EXPECT_NE(collapsed.find("alike)"), std::string::npos);
  EXPECT_LT(collapsed.size(), whole.size());
  const std::string expanded = draw({"--expand", "layers.1"});
  EXPECT_NE(expanded.find("label=\"layers.1\""), std::string::npos);
  EXPECT_LT(collapsed.size(), expanded.size());
  EXPECT_EQ(draw({"--expand", "all"}), whole);
}

TEST_F(ToolTest, GraphWritesModelExplorerFiles) {
  const std::string model = test::test_data_path("goldens/gemma3n");
  const Outcome outcome =
      run({"graph", "-m", model, "--stage", "fused", "-o", path("g.json"), "--format", "model-explorer"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json document = Json::parse(read_whole(path("g.json")));
  EXPECT_EQ(document["label"], "decode fused");
  EXPECT_GT(document["graphs"][0]["nodes"].size(), 100u);
}

TEST_F(ToolTest, TokenizeAgreesWithTheGoldens) {
  LAZULI_NEEDS_TEST_MODEL();
  const Json france = run_json({"tokenize", "-p", "The capital of France is"});
  EXPECT_EQ(france["ids"], Json({2, 818, 5279, 529, 7001, 563}));
  EXPECT_EQ(france["pieces"][1], "The");
  EXPECT_EQ(run_json({"tokenize", "-p", "The capital of France is", "--no-bos"})["ids"],
            Json({818, 5279, 529, 7001, 563}));
  EXPECT_EQ(run_json({"tokenize", "-p", ""})["ids"], Json({2}));
  const Outcome from_stdin = run({"tokenize", "-m", test_model_path(), "-f", "-", "--json"}, "The");
  EXPECT_EQ(Json::parse(from_stdin.out)["ids"], Json({2, 818}));
}

TEST_F(ToolTest, GenerateStreamsWhatItReports) {
  LAZULI_NEEDS_TEST_MODEL();
  const Json report = run_json({"generate", "-p", "The capital of France is", "-n", "8"});
  expect_keys(report, {"prompt_ids", "ids", "text", "prompt_tps", "decode_tps", "stop", "peak_bytes", "file_bytes",
                       "kv_bytes", "arena_bytes"});
  EXPECT_EQ(report["prompt_ids"], Json({2, 818, 5279, 529, 7001, 563}));
  EXPECT_EQ(report["ids"].size(), 8u);
  EXPECT_EQ(report["stop"], "length");
  const Outcome text = run({"generate", "-m", test_model_path(), "--ids", "2,818,5279,529,7001,563", "-n", "8"});
  EXPECT_EQ(text.status, 0);
  EXPECT_EQ(text.out, report["text"].get<std::string>() + "\n");
  EXPECT_NE(text.err.find("tokens/s"), std::string::npos);
  EXPECT_NE(text.err.find("memory: peak "), std::string::npos);
  // A text that begins like an option is still a text.
  EXPECT_EQ(run({"generate", "-m", test_model_path(), "-p", "-1 and --json", "-n", "1"}).status, 0);
}

// Weights are in memory once: packed, with the mapped pages given back.
TEST_F(ToolTest, MemoryStaysWithinTheFileAndWhatIsPlanned) {
  LAZULI_NEEDS_TEST_MODEL();
  std::string ids = "2";
  for (int i = 1; i < 600; ++i) ids += fmt::format(",{}", 1000 + i);
  const Json report = run_json({"generate", "--ids", ids, "-n", "4", "--ignore-eos"});
  const auto bytes = [&](const char* key) { return report[key].get<std::int64_t>(); };
  EXPECT_EQ(bytes("file_bytes"), static_cast<std::int64_t>(fs::file_size(test_model_path())));
  EXPECT_GT(bytes("kv_bytes"), 0);
  EXPECT_GT(bytes("arena_bytes"), 0);
  EXPECT_GT(bytes("peak_bytes"), bytes("file_bytes"));
  EXPECT_LE(bytes("peak_bytes"), bytes("file_bytes") + bytes("kv_bytes") + bytes("arena_bytes") + 150'000'000);
}

// A second process of the same build compiles nothing, packs nothing, and says the same.
TEST_F(ToolTest, ASecondStartFindsItsWorkDone) {
  LAZULI_NEEDS_TEST_MODEL();
  const test::EnvironmentVariable cache("LAZULI_CACHE", nullptr), caches("XDG_CACHE_HOME", path("caches").c_str());
  const Json first = run_json({"generate", "-p", "The capital of France is", "-n", "8"});
  const auto files = [&](const char* kind) {
    const fs::directory_iterator folder(path("caches") + "/lazuli/" + kind);
    return std::distance(begin(folder), end(folder));
  };
  const auto kernels = files("kernels"), weights = files("weights");
  EXPECT_GT(kernels, 0);
  EXPECT_GT(weights, 0);
  const Json second = run_json({"generate", "-p", "The capital of France is", "-n", "8"});
  EXPECT_EQ(files("kernels"), kernels);
  EXPECT_EQ(files("weights"), weights);
  EXPECT_EQ(second["ids"], first["ids"]);
  EXPECT_EQ(second["text"], first["text"]);
}

// On a tiny checkpoint without a tokenizer, past its windows of 8.
TEST_F(ToolTest, ASavedCacheIsContinued) {
  const std::string golden = test::test_data_path("goldens/gemma3n");
  std::string prompt = "2";
  for (int id = 3; id < 100; ++id) prompt += fmt::format(",{}", id);
  const auto generate = [&](Arguments more, const char* tokens = "8") {
    Arguments arguments{"generate", "-m", golden, "--json", "-n", tokens};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return Json::parse(outcome.out);
  };
  const Json whole = generate({"--ids", prompt}, "16");
  Json ids = generate({"--ids", prompt, "--save-cache", path("c"), "--chunk", "16"})["ids"];
  const Json rest = generate({"--load-cache", path("c"), "--save-cache", path("c"), "--chunk", "64"});
  EXPECT_EQ(rest["loaded"], 98 + 7);
  EXPECT_EQ(rest["prompt_ids"], Json::array());
  for (const Json& id : rest["ids"]) ids.push_back(id);
  EXPECT_EQ(ids, whole["ids"]);
  EXPECT_EQ(generate({"--load-cache", path("c"), "--ids", "5,6"})["loaded"], 98 + 15);
  expect_error({"generate", "-m", golden, "--load-cache", path("c"), "--kv", "f32"}, 1, "kv is f16, expected f32");
  expect_error({"generate", "-m", golden, "--load-cache", path("c"), "--kv", "q8"}, 1, "kv is f16, expected q8_0");
  expect_error({"generate", "-m", golden, "--load-cache", path("missing")}, 1, "missing");
  write_whole(path("text"), "not a cache at all");
  expect_error({"generate", "-m", golden, "--load-cache", path("text")}, 1, path("text"));
}

TEST_F(ToolTest, AContextBeyondTheModelsIsANote) {
  const Outcome outcome =
      run({"generate", "-m", test::test_data_path("goldens/gemma3-dense"), "--ids", "2,5", "-n", "1", "--ctx", "1000"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("note: --ctx 1000 exceeds the 512 positions the model was trained for\n"),
            std::string::npos)
      << outcome.err;
}

TEST_F(ToolTest, BadPromptsAreRefused) {
  LAZULI_NEEDS_TEST_MODEL();
  const auto generate = [&](const Arguments& more) {
    Arguments arguments{"generate", "-m", test_model_path(), "-n", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expect_error(generate({"-p", ""}), 2, "empty");
  expect_error(generate({"-p", "-"}), 2, "empty");
  expect_error(generate({"--ids", ""}), 2, "--ids");
  expect_error(generate({"--ids", "2,x,7"}), 2, "\"x\"");
  expect_error(generate({"--ids", "2,-5"}), 2, "-5");
  expect_error(generate({"--ids", "2,99999999999999999999"}), 2, "99999999999999999999");
  expect_error(generate({"--ids", "2,262144"}), 1, "262144");
  expect_error(generate({"--ids", "2,5,7", "--ctx", "2"}), 1, "context");
  expect_error(generate({"-f", path("missing.txt")}), 1, "missing.txt");
  expect_error(generate({"-f", folder_.string()}), 1, "Is a directory");
  expect_error(generate({"--chat", "--ids", "2"}), 2, "--chat");
  expect_error(generate({"-p", "x", "--chunk", "0"}), 2, "--chunk");
  expect_error({"perplexity", "-m", test_model_path(), "--ids", "2"}, 2, "at least 2");
}

TEST_F(ToolTest, InterruptEndsAGenerationCleanly) {
  LAZULI_NEEDS_TEST_MODEL();
  const pid_t process =
      start({"generate", "-m", test_model_path(), "-p", "Once upon a time", "-n", "20000", "--ignore-eos"});
  for (int wait = 0; wait < 600 && read_whole(out_).size() < 8; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(process, SIGINT);
  const Outcome outcome = finish(process);
  EXPECT_EQ(outcome.status, 130);
  if (outcome.err == "lazuli: interrupted\n") return;  // a step took so long that it did not end by itself
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_NE(outcome.err.find("cancelled"), std::string::npos) << outcome.err;
}

struct Logits {
  Json header;
  std::vector<float> values;
};

Logits read_logits(const fs::path& path) {
  const std::string file = read_whole(path);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  Logits logits{Json::parse(file.substr(8, length)), {}};
  logits.values.resize((file.size() - 8 - length) / 4);
  std::memcpy(logits.values.data(), file.data() + 8 + length, logits.values.size() * 4);
  return logits;
}

// The definition, from the other subcommand's file.
double mean_nll(const Logits& logits, const std::vector<int>& ids) {
  const std::size_t vocabulary = logits.values.size() / ids.size();
  double total = 0;
  for (std::size_t row = 0; row + 1 < ids.size(); ++row) {
    double sum = 0;
    for (std::size_t i = 0; i < vocabulary; ++i)
      sum += std::exp(static_cast<double>(logits.values[row * vocabulary + i]));
    total += std::log(sum) - logits.values[row * vocabulary + static_cast<std::size_t>(ids[row + 1])];
  }
  return total / static_cast<double>(ids.size() - 1);
}

TEST_F(ToolTest, LogitsAndPerplexityAgree) {
  LAZULI_NEEDS_TEST_MODEL();
  const std::vector<int> ids{2, 818, 5279, 529, 7001, 563};
  const std::string list = "2,818,5279,529,7001,563";
  // Chunks of 4 rows: the second one is not full.
  const Json report = run_json({"logits", "--ids", list, "--chunk", "4", "-o", path("l.safetensors")});
  EXPECT_EQ(report["shape"], Json({6, 262144}));
  const Logits logits = read_logits(path("l.safetensors"));
  EXPECT_EQ(logits.header["logits"]["dtype"], "F32");
  EXPECT_EQ(logits.header["logits"]["shape"], Json({6, 262144}));
  EXPECT_EQ(logits.header["logits"]["data_offsets"], Json({0, 6 * 262144 * 4}));
  ASSERT_EQ(logits.values.size(), 6u * 262144u);

  write_whole(path("ids.txt"), "2,818\n5279, 529\n7001,563\n");
  const Json perplexity = run_json({"perplexity", "--ids-file", path("ids.txt")});
  EXPECT_EQ(perplexity["tokens"], 6);
  // The chunk size changes no bit of the logits; what is left is the order of this sum.
  EXPECT_NEAR(perplexity["mean_nll"].get<double>(), mean_nll(logits, ids), 1e-9);
  EXPECT_NEAR(perplexity["perplexity"].get<double>(), std::exp(perplexity["mean_nll"].get<double>()), 1e-9);
}

TEST_F(ToolTest, AFailedFileLeavesNothingBehind) {
  LAZULI_NEEDS_TEST_MODEL();
  const auto logits = [&](const std::string& ids, const std::string& file) {
    return Arguments{"logits", "-m", test_model_path(), "--ids", ids, "-o", file};
  };
  expect_error(logits("2,5", path("no/such/folder.safetensors")), 1, "No such file or directory");
  expect_error(logits("2,5", folder_.string()), 1, "Is a directory");
  expect_error(logits("2,5", "/dev/full"), 1, "/dev/full: cannot write: No space left on device");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  write_whole(path("kept.safetensors"), "old");
  expect_error(logits("2,262144", path("kept.safetensors")), 1, "262144");
  EXPECT_EQ(read_whole(path("kept.safetensors")), "old");
  std::vector<std::string> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"err", "in", "kept.safetensors", "out"}));
}

TEST_F(ToolTest, BenchReportsItsContract) {
  LAZULI_NEEDS_TEST_MODEL();
  const Json report = run_json({"bench", "-p", "16", "-n", "4", "--reps", "2", "--compare", "fused,unfused"});
  expect_keys(report, {"cpu", "threads", "limits", "runs", "ratios", "decode_floor_share", "prompt_peak_share"});
  expect_keys(report["limits"], {"read_gbps", "f32_gflops", "bf16_gflops", "int8_gops"});
  ASSERT_EQ(report["runs"].size(), 4u);
  for (const Json& run : report["runs"]) {
    expect_keys(run, {"name", "variant", "median", "min", "max", "unit"});
    EXPECT_LE(run["min"], run["median"]);
    EXPECT_LE(run["median"], run["max"]);
  }
  ASSERT_EQ(report["ratios"].size(), 2u);
  for (const Json& ratio : report["ratios"]) {
    EXPECT_LE(ratio["low"], ratio["ratio"]);
    EXPECT_LE(ratio["ratio"], ratio["high"]);
  }
  const Json sweep = run_json({"bench", "-p", "16", "--reps", "1", "--sweep", "chunk=8,all"});
  ASSERT_EQ(sweep["runs"].size(), 2u);
  EXPECT_EQ(sweep["runs"][0]["variant"], "chunk=8");
  EXPECT_TRUE(sweep["decode_floor_share"].is_null());
}

// Chunks of one row, and no fusion: other speeds and the same bits.
TEST_F(ToolTest, BenchSweepsAndComparesResults) {
  const auto bench = [&](const char* format) {
    const Outcome outcome = run({"bench", "-m", test::test_data_path("goldens/gemma3n"), "-p", "40", "-n", "4",
                                 "--reps", "2", "--warmup", "0", "--sweep", "chunk=1,all", "--compare", "fused,unfused",
                                 "--plot", path("plot.svg"), "--format", format});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return outcome.out;
  };
  const Json report = Json::parse(bench("json"));
  ASSERT_EQ(report["runs"].size(), 6u);
  for (const Json& run : report["runs"]) {
    EXPECT_EQ(run["samples"].size(), 2u);
    EXPECT_EQ(run["checksum"], report["runs"][run["name"] == "prompt" ? 0 : 1]["checksum"]) << run["variant"];
  }
  EXPECT_EQ(report["runs"][0]["labels"], Json({{"chunk", "1"}, {"fusion", "fused"}}));
  EXPECT_EQ(report["ratios"].size(), 3u);
  EXPECT_EQ(read_whole(path("plot.svg")).rfind("<svg", 0), 0u);
  const std::string csv = bench("csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 6 * 2);
}

TEST_F(ToolTest, GraphShowsEveryStage) {
  LAZULI_NEEDS_TEST_MODEL();
  for (const char* stage : {"built", "fused", "scheduled"}) {
    const Json graph = run_json({"graph", "--stage", stage, "--profile", "-o", path("g.json")});
    EXPECT_EQ(graph["stage"], stage);
    EXPECT_EQ(graph["phase"], "decode");
    bool timed = false;
    for (const Json& node : graph["nodes"]) {
      expect_keys(node, {"id", "op", "inputs", "shape", "dtype", "scope", "from"});
      timed = timed || node.contains("heat");
    }
    EXPECT_TRUE(timed) << stage;
    EXPECT_EQ(graph["nodes"], Json::parse(read_whole(path("g.json")))["nodes"]);
    EXPECT_EQ(graph["counts"][stage]["nodes"], graph["nodes"].size());
    EXPECT_EQ(graph["counts"]["scheduled"]["views"], 0);
  }
  const Outcome text = run({"graph", "-m", test_model_path(), "--phase", "prefill", "-o", path("g.txt")});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_NE(text.out.find(path("g.txt")), std::string::npos);
  EXPECT_EQ(read_whole(path("g.txt")).rfind("graph {phase=prefill}", 0), 0u);
}

// Without asking for what runs, no weight is laid out, and the stages before it are the same.
TEST_F(ToolTest, GraphCountsEarlyStagesWithoutWeights) {
  const std::string model = test::test_data_path("goldens/gemma3n");
  const auto counts = [&](Arguments arguments) {
    arguments.insert(arguments.begin(), {"graph", "-m", model, "--phase", "decode", "--json"});
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out)["counts"];
  };
  const Json all = counts({});
  EXPECT_GT(all["built"]["nodes"], all["fused"]["nodes"]);
  EXPECT_GT(all["fused"]["nodes"], all["scheduled"]["nodes"]);
  for (const char* stage : {"built", "fused"}) {
    const Json early = counts({"--stage", stage});
    EXPECT_EQ(early["built"], all["built"]);
    EXPECT_EQ(early["fused"], all["fused"]);
    EXPECT_FALSE(early.contains("scheduled"));
  }
  EXPECT_EQ(counts({"--stage", "scheduled"}), all);
}

TEST_F(ToolTest, ProfileAccountsForTheStep) {
  LAZULI_NEEDS_TEST_MODEL();
  for (const char* phase : {"decode", "prefill"}) {
    const Json profile = run_json({"profile", "--phase", phase, "--rows", "16", "--seconds", "0"});
    expect_keys(profile, {"phase", "wall_us", "threads", "nodes", "pipeline", "floor_us"});
    expect_keys(profile["pipeline"], {"build_us", "lookup_us", "run_us", "sample_us", "wait_us"});
    EXPECT_EQ(profile["phase"], phase);
    double us = 0;
    for (const Json& node : profile["nodes"]) {
      expect_keys(node, {"id", "op", "scope", "kernel", "thread", "us", "bytes"});
      EXPECT_LT(node["thread"], profile["threads"]);
      us += node["us"].get<double>();
    }
    const double spent = profile["wall_us"].get<double>() * profile["threads"].get<int>();
    EXPECT_NEAR(us, spent, 0.03 * spent);
    EXPECT_NEAR(profile["weight_bytes"].get<double>(), 245e6, phase == std::string("decode") ? 5e6 : 245e6);
  }
}

TEST_F(ToolTest, ProfileWritesATraceAndAPage) {
  LAZULI_NEEDS_TEST_MODEL();
  const Json profile =
      run_json({"profile", "--seconds", "0", "--trace", path("trace.json"), "--html", path("page.html")});
  const Json trace = Json::parse(read_whole(path("trace.json")));
  std::size_t slices = 0;
  for (const Json& event : trace["traceEvents"]) slices += event["ph"] == "X" && event["cat"] != "scope" ? 1 : 0;
  EXPECT_EQ(slices, profile["nodes"].size());
  const std::string page = read_whole(path("page.html"));
  EXPECT_NE(page.find(profile["verdict"]["text"].get<std::string>()), std::string::npos);
  EXPECT_NE(page.find("</html>"), std::string::npos);
}

TEST_F(ToolTest, ExplainSaysWhatFiredAndWhatRuns) {
  LAZULI_NEEDS_TEST_MODEL();
  const Json mlp = run_json({"explain", "--scope", "layers.3.mlp"});
  ASSERT_FALSE(mlp["fusions"].empty());
  bool gated = false;
  for (const Json& fusion : mlp["fusions"]) {
    expect_keys(fusion, {"rule", "fired", "reason", "scope", "from"});
    EXPECT_EQ(fusion["scope"], "layers.3.mlp");
    gated = gated || (fusion["rule"] == "gelu_mul" && fusion["fired"] && fusion["from"].size() >= 2);
  }
  EXPECT_TRUE(gated);
  for (const Json& kernel : mlp["kernels"]) {
    expect_keys(kernel, {"op", "kernel", "instructions", "type"});
    EXPECT_EQ(kernel["scope"], "layers.3.mlp");
  }

  const Json off = run_json({"explain", "--scope", "layers.3.mlp", "--fusion", "all,-gelu_mul"});
  for (const Json& fusion : off["fusions"])
    EXPECT_TRUE(fusion["rule"] != "gelu_mul" || fusion["reason"] == "switched off by --fusion") << fusion;
  EXPECT_GT(run_json({"explain"})["kernels"].size(), mlp["kernels"].size());
  expect_error({"explain", "-m", test_model_path(), "--scope", "layers.3.mpl"}, 2, "near it: layers.3.mlp");
}

}  // namespace
}  // namespace lazuli
