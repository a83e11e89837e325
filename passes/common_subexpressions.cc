#include <lazuli/passes/common_subexpressions.h>

#include <algorithm>
#include <unordered_map>

namespace lazuli {
namespace {

template <class T>
void append(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Equal exactly for nodes that compute the same; operands are those of the new graph.
std::string key_of(const GraphNode& node, std::vector<ValueId> inputs) {
  std::string key;
  key.push_back(static_cast<char>(node.op));
  append_key(node.attrs, key);
  if (is_commutative(node.op) && inputs[1] < inputs[0]) std::swap(inputs[0], inputs[1]);
  for (ValueId input : inputs) append(key, input);
  if (node.constant) append(key, node.constant->id());
  for (const Type& type : node.types) {  // constants declare theirs
    append(key, type.dtype);
    append(key, type.shape.size());
    for (std::int64_t size : type.shape) append(key, size);
  }
  if (node.body) key += structural_key(*node.body);
  return key;
}

}  // namespace

Graph common_subexpressions(Graph graph, PassContext&) {
  GraphRewriter rewriter(graph);
  std::unordered_map<std::string, std::int32_t> known;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph.nodes.size()); ++id) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
    // Inputs differ even where their types agree; a constant read from text has no data to compare.
    if (node.op == Op::input || (node.op == Op::constant && !node.constant)) {
      rewriter.copy(id);
      continue;
    }
    std::vector<ValueId> inputs;
    for (ValueId input : node.inputs) inputs.push_back(rewriter.mapped(input));
    const auto next = static_cast<std::int32_t>(rewriter.result().nodes.size());
    const auto [found, is_new] = known.emplace(key_of(node, std::move(inputs)), next);
    if (is_new) {
      rewriter.copy(id);
      continue;
    }
    GraphNode& first = rewriter.result().nodes[static_cast<std::size_t>(found->second)];
    first.from = merge_sources(first.from, node.from);
    for (std::int32_t output = 0; output < static_cast<std::int32_t>(node.types.size()); ++output)
      rewriter.map({id, output}, {found->second, output});
  }
  return rewriter.finish();
}

}  // namespace lazuli
