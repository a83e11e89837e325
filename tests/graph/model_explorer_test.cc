// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/support/layered_graph.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace lazuli {
namespace {

using Json = nlohmann::json;

Json collection(const std::string& text, const Annotate& annotate = {}) {
  return Json::parse(to_model_explorer(parse_graph(text), "decode fused", annotate));
}

constexpr const char* small_graph = R"(%x = input "x" f32[8]
%w = constant "blk.0.router.weight" : f32[8]
%a = mul %x, %w @layers.0.router
%v, %i = top_k %a {k=2} @layers.0.router
%y = take %a, %i @head
return %v "scores", %y)";

TEST(ModelExplorer, NodesHaveIdsNamespacesAndEdges) {
  const Json document = collection(small_graph);
  EXPECT_EQ(document["label"], "decode fused");
  ASSERT_EQ(document["graphs"].size(), 1u);
  const Json& graph = document["graphs"][0];
  EXPECT_EQ(graph["id"], "decode fused");
  const Json& nodes = graph["nodes"];
  ASSERT_EQ(nodes.size(), 7u) << "five nodes and two outputs";
  EXPECT_EQ(nodes[1]["namespace"], "layers/0/router") << "weights stand with their reader";
  EXPECT_EQ(nodes[3], Json::parse(R"({"id": "3", "label": "top_k", "namespace": "layers/0/router",
    "attrs": [{"key": "k", "value": "2"}, {"key": "from", "value": "3:top_k"}],
    "incomingEdges": [{"sourceNodeId": "2", "sourceNodeOutputId": "0", "targetNodeInputId": "0"}],
    "outputsMetadata": [{"id": "0", "attrs": [{"key": "tensor_shape", "value": "f32[2]"}]},
                        {"id": "1", "attrs": [{"key": "tensor_shape", "value": "i32[2]"}]}]})"));
  EXPECT_EQ(nodes[4]["incomingEdges"][1]["sourceNodeOutputId"], "1");
  EXPECT_EQ(nodes[4]["namespace"], "head");
  EXPECT_EQ(nodes[5]["label"], "scores");
  EXPECT_EQ(nodes[6]["label"], "output 1");
  EXPECT_EQ(nodes[6]["incomingEdges"][0]["sourceNodeId"], "4");
}

TEST(ModelExplorer, SlashesOfNamesAreNoLevels) {
  Graph graph = parse_graph(small_graph);
  graph.nodes[4].scope = std::make_shared<const std::string>("a/b.c");
  EXPECT_EQ(Json::parse(to_model_explorer(graph, "g"))["graphs"][0]["nodes"][4]["namespace"], "a_b/c");
}

TEST(ModelExplorer, LevelsSayWhatIsAlike) {
  const Json graph = collection(test::layered_graph())["graphs"][0];
  EXPECT_EQ(graph["groupNodeAttributes"]["layers/4"]["alike"], "0-1, 3-5");
  EXPECT_EQ(graph["groupNodeAttributes"]["layers/2"]["alike"], "2");
  EXPECT_EQ(graph["groupNodeAttributes"][""]["phase"], "any");
}

TEST(ModelExplorer, ProfilesColourNodes) {
  const auto note = [](std::int32_t node) { return node == 2 ? NodeNote{"41 us", 1} : NodeNote{}; };
  const Json nodes = collection(small_graph, note)["graphs"][0]["nodes"];
  EXPECT_EQ(nodes[2]["style"]["backgroundColor"], "#f59e82");
  EXPECT_EQ(nodes[2]["attrs"].back(), Json({{"key", "profile"}, {"value", "41 us"}}));
  EXPECT_FALSE(nodes[3].contains("style"));
}

// What the viewer demands: texts everywhere, ids that are distinct, and edges from outputs that exist.
constexpr const char* checker = R"(
import json, sys
document = json.load(open(sys.argv[1], encoding='utf-8'))
assert isinstance(document['label'], str)
for graph in document['graphs']:
    nodes = {node['id']: node for node in graph['nodes']}
    assert isinstance(graph['id'], str) and len(nodes) == len(graph['nodes'])
    for node in graph['nodes']:
        assert all(isinstance(node[key], str) for key in ('id', 'label', 'namespace'))
        assert not node['namespace'].startswith('/') and not node['namespace'].endswith('/')
        for edge in node['incomingEdges']:
            outputs = [output['id'] for output in nodes[edge['sourceNodeId']]['outputsMetadata']]
            assert edge['sourceNodeOutputId'] in outputs and edge['targetNodeInputId'].isdigit()
        for attribute in node.get('attrs', []):
            assert isinstance(attribute['key'], str) and isinstance(attribute['value'], str)
    for level in graph['groupNodeAttributes'].values():
        assert all(isinstance(value, str) for value in level.values())
)";

TEST(ModelExplorer, AnotherParserFindsIdsNamespacesAndEdges) {
  if (std::system("python3 -c pass >/dev/null 2>&1") != 0) GTEST_SKIP() << "python3 is not installed";
  std::string pattern = (std::filesystem::temp_directory_path() / "lazuli_explorer.XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  std::ofstream(folder / "check.py") << checker;
  Graph odd = parse_graph(small_graph);
  odd.nodes[1].label = "\xff\x01 \"\\";
  int number = 0;
  for (const Graph& graph : {parse_graph(small_graph), parse_graph(test::layered_graph()), odd, Graph{}}) {
    std::ofstream(folder / "graph.json") << to_model_explorer(graph, "a \"name\"");
    const std::string command = fmt::format("cd '{}' && python3 check.py graph.json", folder.string());
    EXPECT_EQ(std::system(command.c_str()), 0) << "graph " << number;
    ++number;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lazuli
