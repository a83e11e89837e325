// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>

#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace lazuli {
namespace {

constexpr const char* decoder = R"(graph {phase=decode}
%x = input "x" f32[4,640]
%p = input "positions" i32[4]
%gate = constant "blk.0.ffn_gate.weight" : q5_0[1024,640] @layers.0.mlp
%a = linear %x, %gate @layers.0.mlp
%half = mul 0.5, %a @layers.0.mlp
%wide = reshape %half {shape=[4,4,256]} @layers.0.mlp
%turned = rope %wide, %p @layers.1.attn
%values, %indices = top_k %turned {k=8} @layers.1.attn
%f = fused %values, %values {name=gelu_mul} : f32[4,4,8] @head !from 3:gelu_tanh, 4:mul, 5:mul, 6:scalar {
  %0 = input f32[4,4,8]
  %1 = input f32[4,4,8]
  %2 = gelu_tanh %0
  %3 = mul %2, %1
  return %3
}
return %f "logits", %indices "best")";

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(contains, text, part)
#define EXPECT_LACKS(text, part) EXPECT_FALSE(contains(text, part)) << text << "\ncontains " << part

// The line of the DOT text that declares the node.
std::string line_of(const std::string& dot, const std::string& id) {
  const std::size_t begin = dot.find("\n  " + id + " [");
  return begin == dot.npos ? "" : dot.substr(begin + 1, dot.find('\n', begin + 1) - begin - 1);
}

// Draws with Graphviz where it is installed; what it rejects fails the test.
void expect_drawable(const Graph& graph, const DotOptions& options = {}) {
  try {
    const std::string svg = to_svg(graph, options);
    EXPECT_CONTAINS(svg, "<svg");
    EXPECT_CONTAINS(svg, "</svg>");
  } catch (const Error& error) {
    EXPECT_CONTAINS(error.what(), "not installed");
  }
}

TEST(Dot, ClustersFollowScopes) {
  const std::string dot = to_dot(parse_graph(decoder));
  for (const char* cluster : {"layers.0", "layers.0.mlp", "layers.1", "layers.1.attn", "head"})
    EXPECT_CONTAINS(dot, fmt::format("subgraph \"cluster_{}\" {{", cluster));
  EXPECT_CONTAINS(dot, "label=\"layers.0\"");
  EXPECT_CONTAINS(dot, "label=\"mlp\"");
  EXPECT_LACKS(dot, "label=\"layers\"");
}

TEST(Dot, NodesSayWhatTheyAre) {
  const Graph graph = parse_graph(decoder);
  const std::string dot = to_dot(graph);
  EXPECT_CONTAINS(line_of(dot, "n0"), "<B>x</B>");
  EXPECT_CONTAINS(line_of(dot, "n0"), "shape=oval");
  EXPECT_EQ(line_of(dot, "n2"), "") << "weights are named inside their reader";
  EXPECT_CONTAINS(line_of(dot, "n3"), "<B>linear</B>");
  EXPECT_CONTAINS(line_of(dot, "n3"), "blk.0.ffn_gate.weight q5_0[1024,640]");
  EXPECT_CONTAINS(line_of(dot, "n3"), "f32[4,1024]");
  EXPECT_EQ(line_of(dot, "n4"), "") << "scalars are numbers inside their reader";
  EXPECT_CONTAINS(line_of(dot, "n5"), "0.5 × x");
  EXPECT_CONTAINS(line_of(dot, "n8"), "k 8");
  EXPECT_CONTAINS(line_of(dot, "n8"), "i32[4,4,8]");
  EXPECT_CONTAINS(line_of(dot, "n9"), "<B>gelu_mul</B>");
  EXPECT_CONTAINS(line_of(dot, "n9"), "replaces gelu_tanh · mul ×2");
  EXPECT_CONTAINS(line_of(dot, "out0"), "<B>logits</B>");
  EXPECT_CONTAINS(line_of(dot, "out1"), "peripheries=2");
  EXPECT_CONTAINS(dot, "n9 -> out0 [");
  EXPECT_CONTAINS(dot, "n8 -> out1 [tooltip=\"i32[4,4,8]\"]");
  expect_drawable(graph);
}

TEST(Dot, ViewsAndConstantsByOption) {
  const Graph graph = parse_graph(decoder);
  EXPECT_CONTAINS(to_dot(graph), "n5 -> n6 [");
  DotOptions options;
  options.views = false;
  options.constants = true;
  const std::string dot = to_dot(graph, options);
  EXPECT_EQ(line_of(dot, "n6"), "");
  EXPECT_CONTAINS(dot, "n5 -> n7 [");
  EXPECT_CONTAINS(dot, "n2 -> n3 [");
  EXPECT_CONTAINS(line_of(dot, "n2"), "blk.0.ffn_gate.weight");
  EXPECT_LACKS(line_of(dot, "n3"), "blk.0.ffn_gate.weight");
  expect_drawable(graph, options);
}

TEST(Dot, NumbersAndWeightsBehindHiddenViews) {
  const Graph graph = parse_graph(R"(%x = input f32[2,3]
%w = constant "bias" : f32[6]
%s = scalar {value=2}
%wide = broadcast_to %s {shape=[2,3]}
%bias = reshape %w {shape=[2,3]}
%y = add %x, %wide
%z = maximum %y, %bias
return %z, %wide, %bias, %x)");
  DotOptions options;
  options.views = false;
  const std::string dot = to_dot(graph, options);
  EXPECT_CONTAINS(line_of(dot, "n5"), "x + 2");
  EXPECT_CONTAINS(line_of(dot, "n6"), "bias f32[6]");
  EXPECT_CONTAINS(line_of(dot, "out1"), "<B>output 1</B><BR/>");
  EXPECT_CONTAINS(line_of(dot, "out2"), "bias f32[6]");
  EXPECT_CONTAINS(dot, "n0 -> out3 [");
  EXPECT_LACKS(dot, "n3 ");
  expect_drawable(graph, options);
  expect_drawable(graph);
}

TEST(Dot, AnInputReadAllOverIsDrawnInEachCluster) {
  const Graph graph = parse_graph(R"(%x = input f32[3,2,8]
%p = input "positions" i32[3]
%a = rope %x, %p @layers.0
%b = rope %a, %p @layers.1
%c = rope %b, %p @layers.2
return %c)");
  const std::string dot = to_dot(graph);
  EXPECT_CONTAINS(dot, "\n  n1 [");
  EXPECT_CONTAINS(dot, "  n1 -> n2 [");
  EXPECT_CONTAINS(dot, "  n1_2 -> n3 [");
  EXPECT_CONTAINS(dot, "\n  n1_3 [");
  expect_drawable(graph);
}

TEST(Dot, NotesAddALineAndHeat) {
  const Graph graph = parse_graph(decoder);
  DotOptions options;
  options.annotate = [](std::int32_t node) { return node == 3 ? NodeNote{"41 us, <12.3> GB/s", 1} : NodeNote{}; };
  const std::string dot = to_dot(graph, options);
  EXPECT_CONTAINS(line_of(dot, "n3"), "41 us, &lt;12.3&gt; GB/s");
  EXPECT_CONTAINS(line_of(dot, "n3"), "fillcolor=\"#f59e82\"");
  EXPECT_LACKS(line_of(dot, "n5"), "#f59e82");
  options.annotate = [](std::int32_t) { return NodeNote{"two\n\nlines\n", std::numeric_limits<double>::quiet_NaN()}; };
  expect_drawable(graph, options);
}

TEST(Dot, EscapesWhateverNamesHold) {
  const std::string odd = std::string("a<b> & \"c\" \\n \\ \x01 \xff \xed\xa0\x80 ünï\n]>") + '\0' + ".7.x";
  Graph graph = parse_graph(decoder);
  for (GraphNode& node : graph.nodes) {
    node.label = odd;
    node.scope = std::make_shared<const std::string>(odd);
  }
  graph.nodes.back().attrs = FusedAttrs{odd};
  graph.output_names = {odd, ""};
  expect_drawable(graph);
  const auto json = nlohmann::json::parse(to_json(graph, odd));
  EXPECT_EQ(json["nodes"].size(), graph.nodes.size());
}

TEST(Dot, LongListsAreCut) {
  Graph graph = parse_graph(decoder);
  graph.nodes.back().from.clear();
  std::int32_t id = 0;
  for (Op op : {Op::neg, Op::abs, Op::exp, Op::log, Op::sqrt, Op::rsqrt, Op::square, Op::tanh, Op::erf, Op::sin})
    graph.nodes.back().from.push_back({id++, op});
  EXPECT_CONTAINS(line_of(to_dot(graph), "n9"), "2 more");
  EXPECT_LACKS(line_of(to_dot(graph), "n9"), "· erf");
}

TEST(Dot, LongChainsAndDeepScopesNeedNoRecursion) {
  Graph graph;
  GraphNode input;
  input.attrs = InputAttrs{0};
  input.types = {{DType::f32, {4}}};
  ValueId last = graph.add(input);
  std::string path = "s";
  for (int depth = 0; depth < 2000; ++depth) path += ".s";
  const auto scope = std::make_shared<const std::string>(path);
  for (int i = 0; i < 100'000; ++i) {
    GraphNode node;
    node.op = i % 2 == 0 ? Op::reshape : Op::neg;
    if (node.op == Op::reshape) node.attrs = ReshapeAttrs{{4}};
    node.inputs = {last};
    node.types = input.types;
    if (i == 0) node.scope = scope;
    last = graph.add(std::move(node));
  }
  graph.outputs = {last};
  EXPECT_CONTAINS(to_dot(graph), "splines=line");
  DotOptions options;
  options.views = false;
  EXPECT_CONTAINS(to_dot(graph, options), "n99998 -> n100000 [");
}

TEST(Svg, NamesThePackageWhenDotIsMissing) {
  const char* path = std::getenv("PATH");
  const std::string saved = path ? path : "";
  ASSERT_EQ(setenv("PATH", "/nonexistent", 1), 0);
  std::string error = "no error";
  try {
    to_svg(parse_graph(decoder));
  } catch (const Error& thrown) {
    error = thrown.what();
  }
  setenv("PATH", saved.c_str(), 1);
  EXPECT_EQ(error, "to_svg: the program 'dot' is not installed; expected Graphviz (Debian package graphviz)");
}

TEST(Json, HasTheDocumentedKeys) {
  const auto note = [](std::int32_t node) { return node == 3 ? NodeNote{"41 us", 0.5} : NodeNote{}; };
  const auto json = nlohmann::json::parse(to_json(parse_graph(decoder), "fused", note));
  EXPECT_EQ(json["stage"], "fused");
  EXPECT_EQ(json["phase"], "decode");
  const auto& nodes = json["nodes"];
  ASSERT_EQ(nodes.size(), 10u);
  for (const auto& node : nodes)
    for (const char* key : {"id", "op", "inputs", "shape", "dtype", "scope", "from", "label", "attrs"})
      EXPECT_TRUE(node.contains(key)) << key;
  EXPECT_EQ(nodes[2]["label"], "blk.0.ffn_gate.weight");
  EXPECT_EQ(nodes[2]["dtype"], "q5_0");
  EXPECT_EQ(nodes[3],
            nlohmann::json::parse(R"({"id": 3, "op": "linear", "inputs": [0, 2], "shape": [4, 1024], "dtype": "f32",
      "scope": "layers.0.mlp", "from": [3], "label": "", "attrs": {}, "note": "41 us", "heat": 0.5})"));
  EXPECT_EQ(nodes[4]["attrs"], nlohmann::json::parse(R"({"value": 0.5, "dtype": "f32"})"));
  EXPECT_EQ(nodes[6]["attrs"]["shape"], nlohmann::json::parse("[4, 4, 256]"));
  EXPECT_EQ(nodes[8]["outputs"],
            nlohmann::json::parse(R"([{"shape": [4, 4, 8], "dtype": "f32"}, {"shape": [4, 4, 8], "dtype": "i32"}])"));
  EXPECT_EQ(nodes[9]["op"], "gelu_mul");
  EXPECT_EQ(nodes[9]["from"], nlohmann::json::parse("[3, 4, 5, 6]"));
  EXPECT_EQ(nodes[9]["body"], nlohmann::json::parse(R"(["gelu_tanh", "mul"])"));
  EXPECT_EQ(json["outputs"],
            nlohmann::json::parse(R"([{"value": 9, "name": "logits"}, {"value": "8:1", "name": "best"}])"));
}

TEST(Json, SecondOutputsAndInfinitiesAreText) {
  const auto json = nlohmann::json::parse(to_json(parse_graph(R"(%x = input f32[8]
%v, %i = top_k %x {k=2}
%y = take %x, %i
%z = maximum %y, -inf
return %z)"),
                                                  "built"));
  EXPECT_EQ(json["nodes"][2]["inputs"], nlohmann::json::parse(R"([0, "1:1"])"));
  EXPECT_EQ(json["nodes"][3]["attrs"]["value"], "-inf");
  EXPECT_TRUE(nlohmann::json::parse(to_json(Graph{}, "built"))["nodes"].empty());
}

// In a listing any op may have any operands and results, or none.
TEST(Pictures, DrawLaunchesAsTheyAre) {
  const Graph graph = parse_graph(R"(graph {scheduled=true}
%x = add 3.0 : f32[2]
= neg %x
= constant "weight"
return %x)");
  const auto nodes = nlohmann::json::parse(to_json(graph, "scheduled"))["nodes"];
  EXPECT_EQ(nodes[1]["shape"], nlohmann::json::parse("[2]"));
  EXPECT_FALSE(nodes[2].contains("shape"));
  EXPECT_FALSE(nodes[2].contains("dtype"));
  const std::string dot = to_dot(graph, {.constants = true});
  EXPECT_NE(dot.find("add(3)"), std::string::npos) << dot;
}

}  // namespace
}  // namespace lazuli
