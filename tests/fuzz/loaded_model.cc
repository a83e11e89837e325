// SPDX-License-Identifier: MIT
#include <lazuli/graph/graph.h>
#include <lazuli/graph/verify.h>
#include <lazuli/models/model.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/loaded_model.h>
#include <lazuli/tests/fuzz/tokenizer_properties.h>

namespace lazuli::fuzz {
namespace {

Graph step_graph(const LanguageModel& model) {
  constexpr std::int64_t rows = 3, capacity = 64;
  StepInputs inputs;
  inputs.tokens = placeholder({DType::i32, {rows}}, "tokens");
  inputs.positions = placeholder({DType::i32, {rows}}, "positions");
  inputs.start = placeholder({DType::i32, {}}, "start");
  inputs.length = placeholder({DType::i32, {}}, "length");
  for (const KvCacheShape& shape : model.caches())
    for (const char* name : {"k", "v"})
      inputs.caches.push_back(placeholder({DType::f16, {capacity, shape.kv_heads, shape.head_dim}}, name));
  StepOutputs outputs = model.forward(inputs);
  std::vector<Array> results = std::move(outputs.caches);
  results.push_back(outputs.logits);
  return graph_of(results);
}

}  // namespace

void use_model(const LanguageModel& model) {
  model.info().hash_weights();
  if (const auto tokenizer = model.tokenizer()) check_tokenizer(tokenizer, "<bos>a b");
  accepted([&] {
    const Graph graph = step_graph(model);
    verify(graph);
    for (const GraphNode& node : graph.nodes)
      if (node.op == Op::constant) read_all({node.constant->data(), node.constant->size()});
  });
}

}  // namespace lazuli::fuzz
