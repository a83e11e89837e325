// SPDX-License-Identifier: MIT
// Row demand on the shape of a decoder: what a prefill chunk computes when only the last row's logits are asked for.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/row_demand.h>
#include <lazuli/passes/row_map.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <map>

namespace lazuli {
namespace {

constexpr std::int64_t rows = 16, width = 8, heads = 2, capacity = 32, vocabulary = 50;

struct Decoder {
  std::vector<Array> inputs;
  std::vector<Array> caches;  // written by the owners
  Array logits;

  Array input(Shape shape, DType dtype = DType::f32) {
    inputs.push_back(placeholder({dtype, std::move(shape)}));
    return inputs.back();
  }
};

// Layers below `owners` write keys of their own; the others read those of the last owner.
Decoder decoder(int layers, int owners) {
  Decoder model;
  const Array tokens = model.input({rows}, DType::i32), positions = model.input({rows}, DType::i32);
  const Array start = model.input({}, DType::i32), last = model.input({}, DType::i32);
  const Array table = model.input({vocabulary, width});
  Array x = take_rows(table, tokens), keys;
  for (int layer = 0; layer < layers; ++layer) {
    const Array normed = rms_norm(x, model.input({width}), 1e-6);
    if (layer < owners) {
      const Array key =
          rope(reshape(linear(normed, model.input({width, width})), {rows, heads, width / heads}), positions, {});
      keys = slice_update(model.input({capacity, heads, width / heads}), key, start, 0);
      model.caches.push_back(keys);
    }
    const Array query =
        rope(reshape(linear(normed, model.input({width, width})), {rows, heads, width / heads}), positions, {});
    const Array mixed =
        reshape(attention(query, keys, keys, positions, start + static_cast<int>(rows), {}), {rows, width});
    x = x + linear(mixed, model.input({width, width}));
    x = x + linear(gelu_tanh(linear(x, model.input({24, width}))), model.input({width, 24}));
  }
  const Array all_logits = softcap(linear(rms_norm(x, 1e-6), table), 30);
  model.logits = take(all_logits, last, 0);
  return model;
}

Graph graph_of_model(const Decoder& model) {
  std::vector<Array> outputs = model.caches, leaves = model.inputs;
  outputs.push_back(model.logits);
  return snapshot(outputs, &leaves);
}

Graph narrowed(const Graph& graph) {
  PassContext context;
  Graph result = row_demand(graph, context);
  verify(result, "row_demand");
  return result;
}

// Nodes of an op by the first size of their result.
std::map<std::int64_t, int> counts_by_rows(const Graph& graph, Op op) {
  std::map<std::int64_t, int> counts;
  for (const GraphNode& node : graph.nodes)
    if (node.op == op) ++counts[node.type().shape[0]];
  return counts;
}

using Counts = std::map<std::int64_t, int>;

TEST(RowDemand, TheHeadRunsOnOneRow) {
  const Graph graph = narrowed(graph_of_model(decoder(2, 2)));
  EXPECT_EQ(counts_by_rows(graph, Op::softcap), (Counts{{1, 1}}));
  // Layer 0 runs whole, since layer 1 writes keys of every row; of layer 1 only keys and the norm before them do.
  EXPECT_EQ(counts_by_rows(graph, Op::attention), (Counts{{1, 1}, {rows, 1}}));
  EXPECT_EQ(counts_by_rows(graph, Op::linear), (Counts{{1, 5}, {rows, 6}}));
  EXPECT_EQ(counts_by_rows(graph, Op::rms_norm), (Counts{{1, 1}, {rows, 2}}));
  EXPECT_EQ(counts_by_rows(graph, Op::slice_update), (Counts{{capacity, 2}}));
}

TEST(RowDemand, LayersThatShareKeysSkipThePrompt) {
  const Graph graph = narrowed(graph_of_model(decoder(6, 2)));
  EXPECT_EQ(counts_by_rows(graph, Op::attention), (Counts{{1, 5}, {rows, 1}}));
  EXPECT_EQ(counts_by_rows(graph, Op::gelu_tanh), (Counts{{1, 5}, {rows, 1}}));
  EXPECT_EQ(counts_by_rows(graph, Op::rms_norm), (Counts{{1, 5}, {rows, 2}}));
}

TEST(RowDemand, OneSelectionOfAValueServesAllReaders) {
  const Graph graph = narrowed(graph_of_model(decoder(6, 2)));
  // Of positions, of the stream before layer 1's attention, and of its norm, which the keys need whole.
  int takes = 0;
  for (const GraphNode& node : graph.nodes) takes += node.op == Op::take && node.type().shape[0] == 1;
  EXPECT_EQ(takes, 3) << to_text(graph);
}

TEST(RowDemand, SameBits) {
  for (int owners : {1, 2, 3}) {
    const Graph graph = graph_of_model(decoder(3, owners));
    std::vector<BufferRef> inputs;
    std::uint32_t seed = 1;
    for (ValueId input : graph.inputs()) inputs.push_back(test::random_buffer(graph.type(input), seed++, -1, 1));
    inputs[0] = test::random_buffer({DType::i32, {rows}}, 1, 0, vocabulary - 1);
    std::vector<double> positions;
    for (int row = 0; row < rows; ++row) positions.push_back(row);
    inputs[1] = test::buffer_of({DType::i32, {rows}}, positions);
    inputs[2] = test::buffer_of({DType::i32, {}}, {0});
    inputs[3] = test::buffer_of({DType::i32, {}}, {11});
    const auto expected = test::run_reference(graph, inputs), actual = test::run_reference(narrowed(graph), inputs);
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(test::same_bits(graph.type(graph.outputs[i]), *expected[i], *actual[i]))
          << owners << " owners, output " << i;
  }
}

TEST(RowDemand, NothingToNarrowReturnsTheGraph) {
  const Graph graph = graph_of({tanh(placeholder({DType::f32, {4, 8}}))});
  EXPECT_TRUE(structural_key(narrowed(graph)) == structural_key(graph));
}

// Every op that can be narrowed keeps its type apart from the axis, for each axis of its result.
TEST(RowMap, NarrowedNodesHaveNarrowedTypes) {
  const Graph graph = graph_of_model(decoder(2, 1));
  for (const GraphNode& node : graph.nodes)
    for (int axis = 0; axis < static_cast<int>(node.type().shape.size()); ++axis) {
      if (node.inputs.empty() || node.type().shape[static_cast<std::size_t>(axis)] < 2) continue;
      const auto axes = operand_axes(graph, node, axis);
      if (!axes) continue;
      std::vector<Type> operands;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        operands.push_back(graph.type(node.inputs[i]));
        if ((*axes)[i] != whole_operand) operands.back().shape[static_cast<std::size_t>((*axes)[i])] = 1;
      }
      Shape expected = node.type().shape;
      expected[static_cast<std::size_t>(axis)] = 1;
      EXPECT_EQ(infer_types(node.op, narrowed_attrs(node, axis, 1), operands)[0].shape, expected)
          << to_string(node.op) << " axis " << axis;
    }
}

}  // namespace
}  // namespace lazuli
