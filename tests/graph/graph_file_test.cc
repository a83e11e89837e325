// SPDX-License-Identifier: MIT
// Functions and graphs in files: what comes back, what is refused, and files of earlier versions.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/custom_ops.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/paths.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <lazuli/tests/support/stored_function.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

namespace lazuli {
namespace {

using test::error_of;
using test::stored_arguments;
using test::stored_function;
using test::TemporaryFolder;

std::string bytes_of(const Array& array) {
  return {reinterpret_cast<const char*>(array.bytes()), static_cast<std::size_t>(array.type().bytes())};
}

void expect_same_results(const std::vector<Array>& found, const std::vector<Array>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].type(), expected[i].type());
    EXPECT_TRUE(bytes_of(found[i]) == bytes_of(expected[i])) << "result " << i;
  }
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_PRED_FORMAT2(testing::IsSubstring, part, text);
}

std::vector<const GraphNode*> constants_of(const Graph& graph) {
  std::vector<const GraphNode*> constants;
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::constant) constants.push_back(&node);
  return constants;
}

TEST(GraphFile, CustomOpsAreMadeAnew) {
  const Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const CompiledFunction function = compile(
      [](const std::vector<Array>& x) { return std::vector{custom(std::make_shared<test::Snake>(2), {x[0]})}; });
  const Array x = Array::from({1.0f, 2.0f, -3.0f}, {3});
  save(function, {x}, path);
  expect_contains(error_of([&] { load(path); }), "snake");
  ParseOptions known;
  known.custom_ops["snake"] = [](std::string_view) { return std::make_shared<test::Snake>(2); };
  expect_same_results(load(path, known)({x}), function({x}));
}

TEST(GraphFile, FunctionComesBack) {
  const Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const CompiledFunction function = stored_function();
  save(function, stored_arguments(), path);

  const CompiledFunction loaded = load(path);
  EXPECT_EQ(to_text(loaded.graph(stored_arguments())), to_text(function.graph(stored_arguments())));
  EXPECT_EQ(loaded.graph(stored_arguments()).phase, Phase::decode);
  EXPECT_EQ(loaded.donated(stored_arguments()), std::vector<int>{1});
  expect_same_results(loaded(stored_arguments()), function(stored_arguments()));
  EXPECT_EQ(loaded.signatures(), 1);

  std::vector<Array> arguments = stored_arguments();
  loaded(std::move(arguments));
  EXPECT_TRUE(arguments[0].defined());  // NOLINT(bugprone-use-after-move): the call takes elements, not the vector
  EXPECT_FALSE(arguments[1].defined()) << "the donated state is given up";
}

TEST(GraphFile, ConstantsAreViewsOfTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const Session session;
  const CompiledFunction function = stored_function();
  save(function, stored_arguments(), path);
  const Graph built = function.graph(stored_arguments()), loaded = load_graph(path);
  const std::vector<const GraphNode*> expected = constants_of(built), found = constants_of(loaded);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Buffer &read = *found[i]->constant, &written = *expected[i]->constant;
    ASSERT_EQ(read.size(), written.size());
    EXPECT_EQ(std::memcmp(read.data(), written.data(), read.size()), 0) << found[i]->label;
    EXPECT_FALSE(read.owned());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.data()) % buffer_alignment, 0u);
    ASSERT_NE(read.file(), nullptr);
    EXPECT_EQ(read.file()->path, path);
  }
}

TEST(GraphFile, IsASafetensorsFile) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const Session session;
  save(stored_function(), stored_arguments(), path);
  SafetensorsMetadata metadata;
  std::map<std::string, Array> tensors = read_safetensors(path, &metadata);
  EXPECT_EQ(metadata.at("lazuli.format"), "1");
  EXPECT_EQ(metadata.at("lazuli.donate"), "1");
  std::erase_if(tensors, [](const auto& tensor) { return tensor.first.starts_with("lazuli.padding."); });
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors.at("gain").type(), (Type{DType::f32, {16}}));
  EXPECT_EQ(tensors.at("table").type(), (Type{DType::f16, {7, 5}}));
  EXPECT_EQ(tensors.at("up.weight").type(), (Type{DType::u8, {16 * 34}})) << "safetensors has no q8_0";
}

TEST(GraphFile, EveryDtypeAndOddNamesComeBack) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/graph.lzg";
  Graph graph;
  const char* labels[] = {"same", "same", "", "lazuli.format", "__metadata__", "\xff\"\n", "gr\xc3\xbc\xc3\x9f"};
  std::size_t count = 0;
  for (const DTypeInfo& dtype : all_dtypes()) {
    GraphNode node;
    node.op = Op::constant;
    node.attrs = NoAttrs{};
    node.types = {{dtype.dtype, {1, dtype.block_elements}}};
    node.label = labels[count++ % std::size(labels)];
    node.constant = Buffer::allocate(static_cast<std::size_t>(dtype.block_bytes));
    std::memset(node.constant->data(), static_cast<int>(count), node.constant->size());
    graph.outputs.push_back(graph.add(std::move(node)));
  }
  GraphNode again = graph.nodes[0], empty = graph.nodes[0];
  empty.types = {{DType::f32, {0, 3}}};
  empty.constant = Buffer::allocate(0);
  graph.outputs.push_back(graph.add(std::move(again)));
  graph.outputs.push_back(graph.add(std::move(empty)));
  save(graph, path);
  const Graph loaded = load_graph(path);
  EXPECT_EQ(to_text(loaded), to_text(graph));
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    ASSERT_EQ(loaded.nodes[i].constant->size(), graph.nodes[i].constant->size());
    EXPECT_EQ(
        std::memcmp(loaded.nodes[i].constant->data(), graph.nodes[i].constant->data(), graph.nodes[i].constant->size()),
        0)
        << i;
  }
  EXPECT_EQ(loaded.nodes[0].constant, loaded.nodes[count].constant) << "one buffer stays one";
}

TEST(GraphFile, CallsAreChecked) {
  const Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  save(stored_function(), stored_arguments(), path);
  const CompiledFunction loaded = load(path);
  std::vector<Array> arguments = stored_arguments();
  arguments.pop_back();
  EXPECT_EQ(error_of([&] { loaded(arguments); }), "call: 2 arguments given, expected 3");
  arguments.push_back(Array::from({1.0f, 2.0f, 3.0f}, {3}));
  EXPECT_EQ(error_of([&] { loaded(arguments); }), "call: argument 2 'ids' is f32[3], expected i32[3]");
  EXPECT_EQ(error_of([&] { loaded.graph({}); }), "call: 0 arguments given, expected 3");
}

TEST(GraphFile, LoadedFunctionsAreInlined) {
  const Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const CompiledFunction function = stored_function();
  save(function, stored_arguments(), path);
  const auto around = [](const CompiledFunction& inner) {
    return compile([inner](const std::vector<Array>& a) {
      const Scope scope("outer");
      return std::vector<Array>{inner(a)[0] + 1.0f};
    });
  };
  const CompiledFunction outer = around(load(path));
  expect_same_results(outer(stored_arguments()), around(function)(stored_arguments()));
  EXPECT_NE(to_text(outer.graph(stored_arguments())).find("@outer.layers.0"), std::string::npos);
  const CompiledFunction wrong = compile([&](const std::vector<Array>& a) { return load(path)({a[0]}); });
  EXPECT_EQ(error_of([&] { wrong(stored_arguments()); }), "call: 1 arguments given, expected 3");
}

TEST(GraphFile, FusedGraphsRunAndAreInlined) {
  Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/fused.lzg";
  const CompiledFunction function = stored_function();
  save(session.optimised(function.graph(stored_arguments())), path);
  const CompiledFunction loaded = load(path);
  EXPECT_NE(to_text(loaded.graph(stored_arguments())).find(" = fused "), std::string::npos);
  expect_same_results(loaded(stored_arguments()), function(stored_arguments()));
  const CompiledFunction outer = compile([&](const std::vector<Array>& a) { return loaded(a); });
  EXPECT_EQ(to_text(outer.graph(stored_arguments())).find(" = fused "), std::string::npos);
  expect_same_results(outer(stored_arguments()), function(stored_arguments()));
}

// Weights as a checkpoint has them.
class ByReference : public testing::Test {
 protected:
  ByReference() {
    const std::vector<float> values = test::stored_values(5000);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
    const std::vector<std::uint8_t> data(bytes, bytes + values.size() * sizeof(float));
    test::SafetensorsWriter().add("a", "F32", {50, 100}, data).add("b", "F32", {5000}, data).write(weights_);
    const std::map<std::string, Array> tensors = read_safetensors(weights_);
    const Array inside = Array::constant(test::stored_constant(DType::f32, {50}, "").node()->results()[0].buffer,
                                         {DType::f32, {50}}, "inside");
    const Array a = tensors.at("a"), b = tensors.at("b");
    function_ =
        compile([=](const std::vector<Array>& x) { return std::vector<Array>{linear(x[0], a) + inside, b * 2.0f}; });
    SaveOptions options;
    options.weights = WeightStorage::by_reference;
    save(function_, argument(), path_, options);
  }

  static std::vector<Array> argument() { return {Array::from(test::stored_values(100), {1, 100})}; }
  void replace_weights(const std::function<void(std::string&)>& change) {
    std::string bytes = read_bytes(weights_);
    change(bytes);
    std::filesystem::remove(weights_);
    std::ofstream(weights_, std::ios::binary) << bytes;
  }

  const Session session_;
  const TemporaryFolder folder_;
  const std::string weights_ = folder_.path() + "/weights.safetensors", path_ = folder_.path() + "/function.lzg";
  CompiledFunction function_;
};

TEST_F(ByReference, WeightsStayInTheirFile) {
  EXPECT_LT(std::filesystem::file_size(path_), 4096u);
  SafetensorsMetadata metadata;
  const std::map<std::string, Array> tensors = read_safetensors(path_, &metadata);
  EXPECT_TRUE(tensors.contains("inside"));
  EXPECT_FALSE(tensors.contains("a"));
  expect_contains(metadata.at("lazuli.constants"), R"("file":"weights.safetensors")");
  expect_same_results(load(path_)(argument()), function_(argument()));
}

TEST_F(ByReference, BothFilesMoveTogether) {
  const TemporaryFolder other;
  std::filesystem::rename(weights_, other.path() + "/weights.safetensors");
  std::filesystem::rename(path_, other.path() + "/function.lzg");
  expect_same_results(load(other.path() + "/function.lzg")(argument()), function_(argument()));
}

TEST_F(ByReference, ReferencesAreKeptWhenSavedAgain) {
  const std::string again = folder_.path() + "/again.lzg", inside = folder_.path() + "/inside.lzg";
  SaveOptions options;
  options.weights = WeightStorage::by_reference;
  const CompiledFunction loaded = load(path_);
  save(loaded, argument(), again, options);
  EXPECT_LT(std::filesystem::file_size(again), 4096u);
  expect_same_results(load(again)(argument()), function_(argument()));
  save(loaded, argument(), inside);
  std::filesystem::remove(weights_);
  expect_same_results(load(inside)(argument()), function_(argument()));
}

TEST_F(ByReference, ChangedFilesAreErrors) {
  const std::uintmax_t size = std::filesystem::file_size(weights_);
  replace_weights([](std::string& bytes) { bytes.back() = '\x7f'; });
  const std::string hash = error_of([&] { load(path_); });
  expect_contains(hash, path_ + ": constant ");
  expect_contains(hash, weights_ + " has changed: the weight at byte ");
  replace_weights([](std::string& bytes) { bytes += "tail"; });
  expect_contains(error_of([&] { load(path_); }),
                  fmt::format("{} has changed: {} bytes, expected {}", weights_, size + 4, size));
  std::filesystem::remove(weights_);
  expect_contains(error_of([&] { load(path_); }), weights_ + ": cannot open: No such file or directory");
}

// ---- what is refused ----

struct FileText {
  std::string graph =
      "%0 = input \"x\" {index=0} : f32[2]\n%1 = constant \"w\" : f32[2]\n%2 = add %0, %1 : f32[2]\n"
      "return %2\n";
  std::string constants = R"([{"tensor": "w"}])", format = "1", donate;

  void write(const std::string& path) const {
    nlohmann::json metadata = {{"lazuli.format", format}, {"lazuli.graph", graph}, {"lazuli.constants", constants}};
    if (!donate.empty()) metadata["lazuli.donate"] = donate;
    const nlohmann::json header = {{"__metadata__", metadata},
                                   {"w", {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}}}};
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t length = text.size();
    const float values[] = {1, 2};
    std::ofstream(path, std::ios::binary) << std::string(reinterpret_cast<const char*>(&length), sizeof length) << text
                                          << std::string(reinterpret_cast<const char*>(values), sizeof values);
  }
};

TEST(GraphFile, ErrorsSayWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/graph.lzg";
  const auto error = [&](const std::function<void(FileText&)>& change) {
    FileText file;
    change(file);
    file.write(path);
    return error_of([&] { load_graph(path); });
  };
  EXPECT_EQ(error([](FileText&) {}), "no error");
  EXPECT_EQ(error([](FileText& file) { file.format = "3"; }),
            path + ": written by a later version: format 3, this lazuli reads up to 2");
  EXPECT_EQ(error([](FileText& file) { file.format = "x"; }), path + ": lazuli.format is x, expected a version");
  EXPECT_EQ(error([](FileText& file) { file.graph = "%0 = input f32[2]\n%1 = tanhh %0\nreturn %1"; }),
            path +
                ": lazuli.graph: line 2, column 6: unknown op 'tanhh'; expected an op of ops.def, did you mean "
                "'tanh'?");
  EXPECT_EQ(error([](FileText& file) { file.constants = "{"; }), path + ": lazuli.constants is no JSON list");
  EXPECT_EQ(error([](FileText& file) { file.constants = "[]"; }),
            path + ": lazuli.constants has 0 entries, the graph more constants");
  EXPECT_EQ(error([](FileText& file) { file.constants = R"([{"tensor": "w"}, {"tensor": "w"}])"; }),
            path + ": lazuli.constants has 2 entries, expected 1");
  EXPECT_EQ(error([](FileText& file) { file.constants = R"([{"tensor": "v"}])"; }),
            path + ": constant 0 'w': the file has no tensor v");
  for (const char* entry : {"[7]", "[{}]", R"([{"tensor": 7}])", R"([{"file": "x", "offset": -1, "bytes": 8}])"})
    EXPECT_EQ(error([&](FileText& file) { file.constants = entry; }),
              path + ": constant 0 'w': its entry in lazuli.constants is not valid");
  EXPECT_EQ(error([](FileText& file) { file.graph = "%1 = constant \"w\" : f32[3]\nreturn %1\n"; }),
            path + ": constant 0 'w': 8 bytes, expected 12 of f32[3]");
  EXPECT_EQ(error([](FileText& file) { file.donate = "1"; }),
            path + ": lazuli.donate is 1, expected numbers of the graph's 1 inputs");
  EXPECT_EQ(error([](FileText& file) { file.donate = "0,"; }),
            path + ": lazuli.donate is 0,, expected numbers of the graph's 1 inputs");
  expect_contains(error([](FileText& file) { file.graph.replace(file.graph.find("index=0"), 7, "index=7"); }),
                  path + ": the graph is not valid: after reading it: %0 input : f32[2]: index is 7");
  expect_contains(error([](FileText& file) { file.graph.insert(0, "graph {scheduled=true}\n"); }),
                  path + ": the graph is not valid: after reading it: the graph lists kernel launches");
  expect_contains(error([](FileText& file) {
                    file.graph = "%1 = constant \"w\" : f32[4611686018427387904,4611686018427387904]\nreturn %1\n";
                  }),
                  "has more than 2^56 elements");
  expect_contains(error([](FileText& file) {
                    file.constants = R"([{"file": "graph.lzg", "offset": 18446744073709551615, "bytes": 8,
                                          "file_bytes": 440, "hash": "0"}])";
                  }),
                  "graph.lzg ");
  test::SafetensorsWriter().add("w", "F32", {1}, {0, 0, 0, 0}).write(path);
  EXPECT_EQ(error_of([&] { load_graph(path); }), path + ": its metadata has no lazuli.format; expected a graph file");
}

// Opens, or throws an Error of one line that names the file. What opens is a graph that can be looked at.
void expect_read_or_refused(const std::string& path) {
  try {
    const Graph graph = load_graph(path);
    EXPECT_FALSE(to_text(graph).empty());
    for (const GraphNode* constant : constants_of(graph))
      EXPECT_EQ(static_cast<std::int64_t>(constant->constant->size()), constant->type().bytes());
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_TRUE(text.starts_with(path)) << text;
  }
}

TEST(GraphFile, CutFilesAreErrors) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/graph.lzg";
  FileText().write(path);
  const std::string whole = read_bytes(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    folder.write("graph.lzg", whole.substr(0, length));
    EXPECT_TRUE(error_of([&] { load_graph(path); }).starts_with(path)) << length;
  }
}

TEST(GraphFile, DamagedFilesAreReadOrRefused) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/graph.lzg";
  const std::string whole = read_bytes(std::string(test::data_folder) + "/graphs/format_1.lzg");
  for (std::size_t at = 0; at < whole.size(); at += 3)
    for (const std::size_t bit : {at % 8, std::size_t{5}}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      folder.write("graph.lzg", damaged);
      expect_read_or_refused(path);
    }
}

TEST(GraphFile, WhatCannotBeSavedIsSaid) {
  Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/graph.lzg";
  const Graph bare = parse_graph("%0 = constant \"w\" : f32[2]\nreturn %0");
  EXPECT_EQ(error_of([&] { save(bare, path); }), path + ": cannot save: constant f32[2] 'w' holds no data");
  EXPECT_EQ(error_of([&] { compile(bare); }), "compile: constant f32[2] 'w' of the graph holds no data");
  expect_contains(error_of([&] { save(session.plan({tanh(stored_arguments()[0])}), path); }),
                  "the graph lists kernel launches; expected one that can run");
  EXPECT_FALSE(std::filesystem::exists(path));
  const Graph graph = stored_function().graph(stored_arguments());
  expect_contains(error_of([&] { save(graph, folder.path() + "/none/graph.lzg"); }),
                  folder.path() + "/none/graph.lzg: cannot create: No such file or directory");
}

TEST(GraphFile, AFileIsReplacedByWhatWasLoadedFromIt) {
  const Session session;
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/function.lzg";
  const CompiledFunction function = stored_function();
  save(function, stored_arguments(), path);
  const CompiledFunction loaded = load(path);
  save(loaded, stored_arguments(), path);
  expect_same_results(loaded(stored_arguments()), function(stored_arguments()));
  expect_same_results(load(path)(stored_arguments()), function(stored_arguments()));
  const std::filesystem::directory_iterator files(folder.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

// ---- files of earlier versions ----

// Written when this format came; they are never written again.
TEST(GraphFile, FilesOfFormat1AreRead) {
  const Session session;
  const CompiledFunction loaded = load(std::string(test::data_folder) + "/graphs/format_1.lzg");
  expect_same_results(loaded(stored_arguments()), stored_function()(stored_arguments()));
}

// Bodies of fused nodes are computed as they were written: composites that are spelled out in them may round otherwise
// by now.
TEST(GraphFile, FusedFilesOfFormat1AreRead) {
  const Session session;
  const CompiledFunction loaded = load(std::string(test::data_folder) + "/graphs/format_1_fused.lzg");
  const std::vector<Array> found = loaded(stored_arguments()), expected = stored_function()(stored_arguments());
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].type(), expected[i].type());
    const Array far = max(abs(cast(found[i], DType::f64) - cast(expected[i], DType::f64)));
    EXPECT_LE(far.item<double>(), 1e-6) << "result " << i;
  }
}

}  // namespace
}  // namespace lazuli
