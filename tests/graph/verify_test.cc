// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>

#include <functional>
#include <string>

namespace lazuli {
namespace {

constexpr const char* valid = R"(
%0 = input "x" {index=0} : f32[4,8]
%1 = input "y" {index=1} : f32[4,8]
%2 = constant "w" : q8_0[8,32]
%3, %4 = top_k %0 {k=2} : f32[4,2], i32[4,2]
%5 = mul %0, %1 : f32[4,8] @layers.3.mlp
%6 = fused %5, %1 {name=gelu_mul} : f32[4,8] @layers.3.mlp !from 4:mul, 7:gelu_tanh {
  %0 = input {index=0} : f32[4,8]
  %1 = input {index=1} : f32[4,8]
  %2 = gelu_tanh %0 : f32[4,8]
  %3 = mul %2, %1 : f32[4,8]
  return %3
}
return %6 "out", %4 "indices"
)";
enum : std::size_t { x = 0, y = 1, w = 2, top_k = 3, mul = 4, fused = 5 };

// The error of the valid graph once `breaks` changed it.
std::string error_after(const std::function<void(Graph&)>& breaks) {
  Graph graph = parse_graph(valid);
  breaks(graph);
  try {
    verify(graph, "fuse_loops");
  } catch (const CompileError& error) {
    return error.what();
  }
  return "no error";
}

// Changes the body of the fused node.
std::string error_after_body(const std::function<void(Graph&)>& breaks) {
  return error_after([&](Graph& graph) {
    auto body = std::make_shared<Graph>(*graph.nodes[fused].body);
    breaks(*body);
    graph.nodes[fused].body = body;
  });
}

#define EXPECT_ERROR(error, text) EXPECT_PRED_FORMAT2(testing::IsSubstring, text, error)

TEST(Verify, AcceptsWhatHolds) {
  EXPECT_EQ(error_after([](Graph&) {}), "no error");
}

TEST(Verify, NamesPassNodeAndScope) {
  EXPECT_EQ(error_after([](Graph& graph) { graph.nodes[mul].types = {{DType::f32, {4, 9}}}; }),
            "after fuse_loops: %5 mul : f32[4,9]: its type does not follow from its operands, expected f32[4,8] (in "
            "layers.3.mlp)");
}

TEST(Verify, Operands) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].inputs[1] = {fused, 0}; }),
               "%5 mul : f32[4,8]: operand 1 is node 5, expected one before it (0 to 3)");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].inputs[0] = {-1, 0}; }), "operand 0 is node -1");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].inputs[0] = {top_k, 2}; }),
               "operand 0 is output 2 of %3 top_k : f32[4,2], i32[4,2], which has 2");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].inputs.pop_back(); }),
               "has 1 operands, expected 2 to 2");
}

TEST(Verify, AttributesAndTypes) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].attrs = SoftcapAttrs{30}; }),
               "%5 mul : f32[4,8]: holds the attributes of another op: {cap=30}");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].types.clear(); }), "%5 mul: has no result");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[x].types.push_back({}); }), "has 2 results, expected 1");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[top_k].attrs = TopKAttrs{99}; }), "%3 top_k");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[x].types[0].shape[0] = -4; }), "has a negative size");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[w].types[0].shape[1] = 33; }),
               "last axis is not a multiple of the 32 elements of a q8_0 block");
}

TEST(Verify, Inputs) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[y].attrs = InputAttrs{2}; }),
               "%1 input : f32[4,8]: index is 2, but there are 2 inputs");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[y].attrs = InputAttrs{-1}; }), "index is -1");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[y].attrs = InputAttrs{0}; }),
               "index 0 is that of another input, too");
}

TEST(Verify, Constants) {
  EXPECT_EQ(error_after([](Graph& graph) { graph.nodes[w].constant = Buffer::allocate(8 * 34); }), "no error");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[w].constant = Buffer::allocate(8 * 32); }),
               "%2 constant : q8_0[8,32]: 'w' holds 256 bytes, expected 272");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].constant = Buffer::allocate(128); }),
               "holds data, which only constants may hold");
}

TEST(Verify, Sources) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].from = {{7, Op::mul}, {4, Op::mul}}; }),
               "sources are not ascending: 4 stands after 7");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].from = {{7, Op::mul}, {7, Op::mul}}; }),
               "not ascending");
}

TEST(Verify, FusedNodesAndTheirBodies) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[fused].body = nullptr; }),
               "%6 gelu_mul : f32[4,8]: has no body");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[mul].body = graph.nodes[fused].body; }),
               "has a body, which only fused nodes may have");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[fused].inputs.pop_back(); }),
               "has 1 operands, its body 2 inputs");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[fused].inputs[1] = {top_k, 0}; }),
               "operand 1 is f32[4,2], input 1 of its body f32[4,8]");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.nodes[fused].types.push_back({}); }), "its body returns f32[4,8]");
  EXPECT_ERROR(error_after_body([](Graph& body) { body.outputs.clear(); }), "its body returns nothing");
  EXPECT_ERROR(
      error_after_body([](Graph& body) { body.nodes[3].inputs[0] = {3, 0}; }),
      "after fuse_loops: body of %6 gelu_mul : f32[4,8] (in layers.3.mlp): %3 mul : f32[4,8]: operand 0 is node 3");
  EXPECT_ERROR(error_after_body([](Graph& body) { body.nodes[1].attrs = InputAttrs{5}; }),
               "index is 5, but there are 2 inputs");
  EXPECT_ERROR(error_after_body([](Graph& body) {
                 body.nodes[2].op = Op::fused;
                 body.nodes[2].attrs = FusedAttrs{"inner"};
               }),
               "%2 inner : f32[4,8]: stands inside a body; bodies hold no fused nodes");
}

TEST(Verify, Outputs) {
  EXPECT_ERROR(error_after([](Graph& graph) { graph.outputs[0] = {6, 0}; }),
               "after fuse_loops: graph output 0 is node 6, but there are 6 nodes");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.outputs[1] = {top_k, 2}; }),
               "graph output 1 is output 2 of %3 top_k");
  EXPECT_ERROR(error_after([](Graph& graph) { graph.output_names.pop_back(); }),
               "the graph has 2 outputs and 1 output names");
}

}  // namespace
}  // namespace lazuli
