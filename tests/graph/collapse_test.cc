// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/pictures/collapse.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/support/layered_graph.h>

#include <string>
#include <vector>

namespace lazuli {
namespace {

using test::layered_graph;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(contains, text, part)
#define EXPECT_LACKS(text, part) EXPECT_FALSE(contains(text, part)) << text << "\ncontains " << part

int count(std::string_view text, std::string_view part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::int32_t find(const Graph& graph, std::string_view scope, Op op) {
  for (std::size_t id = 0; id < graph.nodes.size(); ++id)
    if (graph.nodes[id].op == op && graph.nodes[id].scope && *graph.nodes[id].scope == scope)
      return static_cast<std::int32_t>(id);
  return -1;
}

std::string drawn(const Graph& graph, const CollapsedGraph& collapsed) {
  DotOptions options;
  options.collapsed = &collapsed;
  options.views = false;
  const std::string dot = to_dot(graph, options);
  try {
    EXPECT_CONTAINS(to_svg(graph, options), "</svg>");
  } catch (const Error& error) {
    EXPECT_CONTAINS(error.what(), "not installed");
  }
  return dot;
}

TEST(Collapse, OneLayerStandsForAllThatAreAlike) {
  const Graph graph = parse_graph(layered_graph());
  const CollapsedGraph collapsed(graph);
  ASSERT_EQ(collapsed.groups().size(), 2u);
  EXPECT_EQ(collapsed.title(0), "layers 0-1, 3-5 (5 alike)");
  EXPECT_EQ(collapsed.title(1), "layers.2");
  const std::int32_t first = find(graph, "layers.0", Op::mul), fourth = find(graph, "layers.4", Op::mul);
  EXPECT_EQ(collapsed.shown(fourth), first);
  EXPECT_EQ(collapsed.members(first).size(), 5u);
  EXPECT_EQ(collapsed.layer(fourth), 4);
  EXPECT_FALSE(collapsed.is_shown(fourth));
  const std::int32_t head = find(graph, "head", Op::tanh);
  EXPECT_TRUE(collapsed.is_shown(head));
  EXPECT_EQ(collapsed.members(head).size(), 1u);
  EXPECT_EQ(collapsed.group(head), CollapsedGraph::no_group);
}

TEST(Collapse, ExpandedLayersStandForThemselves) {
  const Graph graph = parse_graph(layered_graph());
  const std::vector<std::string> one{"layers.3"}, all{"layers"};
  EXPECT_EQ(CollapsedGraph(graph, one).groups().size(), 3u);
  EXPECT_EQ(CollapsedGraph(graph, all).groups().size(), 6u);
  const std::vector<std::string> names = CollapsedGraph::names(graph);
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(names.front(), "layers");
}

TEST(Collapse, EdgesSayWhichLayersTheyAreOf) {
  const Graph graph = parse_graph(layered_graph());
  const CollapsedGraph collapsed(graph);
  const auto in = [&](int layer, Op op) { return find(graph, fmt::format("layers.{}", layer), op); };
  using Edges = std::vector<std::pair<std::int32_t, std::int32_t>>;
  EXPECT_EQ(collapsed.crossing(Edges{{in(0, Op::mul), in(0, Op::add)}, {in(1, Op::mul), in(1, Op::add)}}), "");
  EXPECT_EQ(collapsed.crossing(Edges{{in(0, Op::add), in(1, Op::add)}, {in(3, Op::add), in(4, Op::add)}}),
            "next layer");
  EXPECT_EQ(collapsed.crossing(Edges{{in(0, Op::add), in(3, Op::add)}, {in(0, Op::add), in(4, Op::add)}}),
            "of layer 0");
  const std::int32_t embed = find(graph, "embed", Op::neg), head = find(graph, "head", Op::tanh);
  EXPECT_EQ(collapsed.crossing(Edges{{embed, in(0, Op::add)}, {embed, in(4, Op::add)}}), "layers 0, 4");
  EXPECT_EQ(collapsed.crossing(Edges{{in(5, Op::add), head}}), "of layer 5");
  EXPECT_EQ(collapsed.crossing(Edges{{in(2, Op::add), head}}), "") << "the only one of its group";
  EXPECT_EQ(collapsed.crossing(Edges{{embed, head}}), "");
}

TEST(Collapse, PicturesShowEachGroupOnce) {
  const Graph graph = parse_graph(layered_graph());
  const CollapsedGraph collapsed(graph);
  const std::string dot = drawn(graph, collapsed);
  EXPECT_CONTAINS(dot, "label=\"layers 0-1, 3-5 (5 alike)\"");
  EXPECT_EQ(count(dot, "<B>mul</B>"), 2);
  EXPECT_CONTAINS(dot, "blk.*.up.weight f32[8,8]");
  EXPECT_CONTAINS(dot, "blk.2.up.weight f32[8,8]");
  EXPECT_CONTAINS(dot, "<B>cache.*</B>");
  EXPECT_CONTAINS(dot, "<B>5 outputs</B>");
  EXPECT_EQ(count(dot, "label=\"next layer\""), 2) << "from the group to itself, and to and from layers.2";
  EXPECT_EQ(count(dot, "dir=both"), 1);
  EXPECT_CONTAINS(dot, "[label=\"layer 0\"");
  EXPECT_CONTAINS(dot, "add of the layer before");
  EXPECT_LACKS(dot, "<B>slice</B>");
}

TEST(Collapse, SlicesByLayerSaySo) {
  const Graph graph = parse_graph(layered_graph({.different = -1}));
  const CollapsedGraph collapsed(graph);
  DotOptions options;
  options.collapsed = &collapsed;
  EXPECT_CONTAINS(to_dot(graph, options), "[:, i:i+8]");
}

TEST(Collapse, BorderNodesAreDrawnInTheirLayer) {
  const Graph graph = parse_graph(layered_graph({.border_nodes = true}));
  const std::string dot = drawn(graph, CollapsedGraph(graph));
  EXPECT_EQ(count(dot, "<B>add_neg</B>"), 3) << "of each group, and behind the last layer";
  EXPECT_CONTAINS(dot, "add_neg of the layer before");
}

TEST(Collapse, GraphsWithoutLayersAreDrawnWhole) {
  const Graph graph = parse_graph("%x = input f32[2]\n%y = neg %x @head\nreturn %y");
  EXPECT_CONTAINS(drawn(graph, CollapsedGraph(graph)), "n0 -> n1");
  drawn(Graph{}, CollapsedGraph(Graph{}));
}

TEST(Collapse, LayersOfLeavesAlone) {
  const Graph graph =
      parse_graph("%a = constant \"a\" f32[2] @layers.0\n%b = constant \"b\" f32[2] @layers.1\nreturn %a, %b");
  EXPECT_CONTAINS(drawn(graph, CollapsedGraph(graph)), "2 outputs");
}

}  // namespace
}  // namespace lazuli
