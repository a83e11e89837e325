// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/pictures/alike.h>
#include <lazuli/graph/pictures/placement.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/support/layered_graph.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using Indices = std::vector<std::int64_t>;
using test::layered_graph;

std::vector<Indices> groups_of(const std::string& text) {
  std::vector<Indices> groups;
  for (const AlikeLayers& group : alike_layers(parse_graph(text))) groups.push_back(group.indices);
  return groups;
}

std::string place(const Graph& graph, const std::vector<Scope::Ref>& places, const std::string& label_or_op) {
  for (std::size_t id = 0; id < graph.nodes.size(); ++id)
    if (graph.nodes[id].label == label_or_op || graph.nodes[id].name() == label_or_op)
      return places[id] ? *places[id] : "none";
  return "no such node";
}

TEST(NumberedScopes, AreCutAtTheOutermostNumber) {
  const auto scope = numbered_scope("encoder.layers.12.experts.3.up");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->layer, "encoder.layers.12");
  EXPECT_EQ(scope->family, "encoder.layers");
  EXPECT_EQ(scope->index, 12);
  EXPECT_EQ(scope->inner, "experts.3.up");
  EXPECT_EQ(numbered_scope("layers.0")->inner, "");
  for (const char* path :
       {"", "head", "layers", "layers.x", "layers.1x.mlp", "3", "layers.-1", "layers.99999999999999999999"})
    EXPECT_FALSE(numbered_scope(path)) << path;
  EXPECT_EQ(index_ranges(Indices{0, 1, 2, 4, 6, 7}), "0-2, 4, 6-7");
  EXPECT_EQ(index_ranges({}), "");
}

TEST(AlikeLayers, DifferInWeightsCachesAndTheirSliceAlone) {
  EXPECT_EQ(groups_of(layered_graph({.different = -1})), (std::vector<Indices>{{0, 1, 2, 3, 4, 5}}));
  EXPECT_EQ(groups_of(layered_graph({.different = 2})), (std::vector<Indices>{{0, 1, 3, 4, 5}, {2}}));
}

TEST(AlikeLayers, CorrespondNodeByNode) {
  const Graph graph = parse_graph(layered_graph());
  const AlikeLayers group = alike_layers(graph)[0];
  EXPECT_EQ(group.family, "layers");
  ASSERT_EQ(group.nodes.size(), 5u);
  for (const std::vector<std::int32_t>& nodes : group.nodes) {
    ASSERT_EQ(nodes.size(), group.nodes[0].size());
    EXPECT_EQ(nodes.size(), 8u) << "cache, weight, and six nodes that compute";
    for (std::size_t i = 0; i < nodes.size(); ++i)
      EXPECT_EQ(graph.nodes[static_cast<std::size_t>(nodes[i])].op,
                graph.nodes[static_cast<std::size_t>(group.nodes[0][i])].op);
  }
}

TEST(AlikeLayers, ANodeMoreIsADifference) {
  EXPECT_EQ(groups_of(layered_graph({.different = -1, .extra = "%e3 = neg %a3 @layers.3.mlp"})),
            (std::vector<Indices>{{0, 1, 2, 4, 5}, {3}}));
}

TEST(AlikeLayers, AnotherScopeInsideIsADifference) {
  std::string text = layered_graph({.different = -1});
  const std::string from = "@layers.4.mlp";
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from))
    text.replace(at, from.size(), "@layers.4.gate");
  EXPECT_EQ(groups_of(text), (std::vector<Indices>{{0, 1, 2, 3, 5}, {4}}));
}

TEST(AlikeLayers, QuantisationsOfWeightsMayDiffer) {
  const Graph graph = parse_graph(R"(%x = input f32[1,32] @embed
%a = constant "a.0" q8_0[32,32]
%b = constant "a.1" q4_0[32,32]
%c = constant "a.2" f32[32,32]
%0 = linear %x, %a @layers.0
%1 = linear %0, %b @layers.1
%2 = linear %1, %c @layers.2
return %2)");
  std::vector<Indices> groups;
  for (const AlikeLayers& group : alike_layers(graph)) groups.push_back(group.indices);
  EXPECT_EQ(groups, (std::vector<Indices>{{0, 1}, {2}}));
}

TEST(AlikeLayers, SlicesGoByTheLayersNumberOrStay) {
  const auto slices = [](std::vector<int> begins) {
    std::string text = "%x = input f32[2,64]\n";
    for (std::size_t i = 0; i < begins.size(); ++i)
      text += fmt::format(
          "%{0} = slice %x {{begin=[0,{1}], end=[2,{2}], step=[1,1]}} @layers.{0}\n%y{0} = neg %{0} @layers.{0}\n", i,
          begins[i], begins[i] + 8);
    text += "return %y0";
    for (std::size_t i = 1; i < begins.size(); ++i) text += fmt::format(", %y{}", i);
    return groups_of(text);
  };
  EXPECT_EQ(slices({4, 5, 6}), (std::vector<Indices>{{0, 1, 2}}));
  EXPECT_EQ(slices({4, 4, 4}), (std::vector<Indices>{{0, 1, 2}}));
  EXPECT_EQ(slices({4, 9, 6}), (std::vector<Indices>{{0, 2}, {1}}));
}

TEST(AlikeLayers, ReadingOneValueTwiceIsNotReadingTwo) {
  EXPECT_EQ(groups_of(R"(%x = input f32[2] @embed
%y = input f32[2] @embed
%0 = add %x, %x @layers.0
%1 = add %0, %y @layers.1
%2 = add %1, %1 @layers.2
return %2)"),
            (std::vector<Indices>{{0, 2}, {1}}));
}

TEST(Placement, LeavesStandWithTheirReaders) {
  const Graph graph = parse_graph(layered_graph());
  const std::vector<Scope::Ref> places = placement(graph);
  EXPECT_EQ(place(graph, places, "blk.3.up.weight"), "layers.3.mlp");
  EXPECT_EQ(place(graph, places, "cache.3"), "layers.3");
  EXPECT_EQ(place(graph, places, "x"), "embed");
  EXPECT_EQ(place(graph, places, "per_layer"), "none") << "all layers read it";
  EXPECT_EQ(place(graph, places, "norm.weight"), "none");
}

TEST(Placement, WhatIsComputedFromWeightsStandsWithTheirReaders) {
  const Graph graph = parse_graph(R"(%x = input f32[1,4]
%w = constant "w" f32[4,4]
%clipped = minimum %w, 120
%y = linear %x, %clipped @layers.0.mlp
%z = neg %y
return %z)");
  const std::vector<Scope::Ref> places = placement(graph);
  EXPECT_EQ(place(graph, places, "minimum"), "layers.0.mlp");
  EXPECT_EQ(place(graph, places, "w"), "layers.0.mlp");
  EXPECT_EQ(place(graph, places, "neg"), "none");
}

TEST(Placement, FusedNodesOnABorderStandInTheLayerTheyReadLast) {
  const Graph graph = parse_graph(layered_graph({.border_nodes = true}));
  const std::vector<Scope::Ref> places = placement(graph);
  EXPECT_EQ(place(graph, places, "add_neg"), "layers.0");
  EXPECT_EQ(places[static_cast<std::size_t>(graph.nodes.back().inputs[0].node)], nullptr) << "behind the last layer";
  const std::vector<AlikeLayers> groups = alike_layers(graph);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].indices, (Indices{0, 1, 3, 4}));
}

}  // namespace
}  // namespace lazuli
