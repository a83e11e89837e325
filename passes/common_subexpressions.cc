// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/passes/common_subexpressions.h>

#include <algorithm>
#include <unordered_map>

namespace lazuli {
namespace {

using Kind = NumberQuestion::Kind;

// Inputs differ even where their types agree; a constant read from text has no data to compare.
bool is_unique(const GraphNode& node) { return node.op == Op::input || (node.op == Op::constant && !node.constant); }

// Two scalars that are the same for the values of this run alone.
bool are_equal_by_chance(const GraphNode& a, const GraphNode& b) {
  return a.op == Op::scalar && a.as<ScalarAttrs>().value.slot != b.as<ScalarAttrs>().value.slot;
}

// Numbers in bodies are the same only where they have one slot: nobody asks about those inside.
std::string attrs_key(const GraphNode& node) {
  std::string key;
  append_key(node.attrs, key, is_control_flow(node.op) ? NumberKey::values_and_slots : NumberKey::values);
  return key;
}

// Two numbers of one value are the same where a guard of the program says so; it is asked for where two nodes that do
// something become one by it, and not for every pair of equal numbers. A no is no guard: two nodes give the bits of
// one.
class Merger {
 public:
  Merger(const Graph& graph, PassContext& context) : graph_(graph), numbers_(context.numbers), rewriter_(graph) {}

  Graph run() {
    known_.reserve(graph_.nodes.size());
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph_.nodes.size()); ++id) add(id);
    return rewriter_.finish();
  }

 private:
  // A node with its operands in the new graph; those of a commutative op in ascending order.
  struct Expression {
    const GraphNode* node;
    std::vector<ValueId> inputs;
    std::string attrs;  // as bytes: 0 and -0 differ
    std::size_t hash;
  };

  const GraphNode& result(std::int32_t id) { return rewriter_.result().nodes[static_cast<std::size_t>(id)]; }

  // The first of the scalars that may be the same.
  ValueId representative(ValueId value) const {
    const auto found = equal_scalars_.find(value.node);
    return found == equal_scalars_.end() ? value : ValueId{found->second, 0};
  }

  std::vector<ValueId> ordered(Op op, std::vector<ValueId> inputs) const {
    if (is_commutative(op) && representative(inputs[1]) < representative(inputs[0])) std::swap(inputs[0], inputs[1]);
    return inputs;
  }

  Expression express(const GraphNode& node, std::vector<ValueId> inputs) const {
    constexpr std::size_t spread = 0x9e3779b97f4a7c15u;
    Expression expression{&node, ordered(node.op, std::move(inputs)), attrs_key(node), 0};
    std::size_t hash = std::hash<std::string>{}(expression.attrs) * 64 + static_cast<std::size_t>(node.op);
    for (ValueId input : expression.inputs) {
      const ValueId first = representative(input);
      const auto value = static_cast<std::size_t>(first.node) * 8 + static_cast<std::size_t>(first.output);
      hash = (hash ^ value) * spread;
    }
    if (node.constant) hash = (hash ^ node.constant->id()) * spread;
    expression.hash = hash ^ (hash >> 32);
    return expression;
  }

  // What must be true of numbers for two nodes of equal attributes and operands, by value, to be the same.
  std::vector<NumberQuestion> questions(const GraphNode& known, const Expression& expression) {
    std::vector<NumberQuestion> asked;
    std::vector<Number> numbers;
    for_each_number(known.attrs, [&](const Number& number) { numbers.push_back(number); });
    std::size_t next = 0;
    for_each_number(expression.node->attrs,
                    [&](const Number& number) { asked.push_back({Kind::same, numbers[next++], number}); });
    const std::vector<ValueId> inputs = ordered(known.op, known.inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] != expression.inputs[i])
        asked.push_back({Kind::same, result(inputs[i].node).as<ScalarAttrs>().value,
                         result(expression.inputs[i].node).as<ScalarAttrs>().value});
    return asked;
  }

  // `known` is a node of the new graph. Constants and fused nodes declare their types.
  bool computes(const GraphNode& known, const Expression& expression) {
    const GraphNode& node = *expression.node;
    if (known.op != node.op || known.types != node.types || known.inputs.size() != expression.inputs.size())
      return false;
    const std::vector<ValueId> inputs = ordered(known.op, known.inputs);
    if (!std::ranges::equal(inputs, expression.inputs,
                            [&](ValueId a, ValueId b) { return representative(a) == representative(b); }))
      return false;
    if (known.constant != node.constant || (known.body == nullptr) != (node.body == nullptr)) return false;
    return attrs_key(known) == expression.attrs &&
           (known.body == node.body || structural_key(*known.body, NumberKey::values_and_slots) ==
                                           structural_key(*node.body, NumberKey::values_and_slots)) &&
           std::ranges::all_of(questions(known, expression),
                               [&](const NumberQuestion& question) { return numbers_.would_say(question); });
  }

  void add(std::int32_t id) {
    const GraphNode& node = graph_.nodes[static_cast<std::size_t>(id)];
    if (is_unique(node)) {
      rewriter_.copy(id);
      return;
    }
    std::vector<ValueId> inputs;
    for (ValueId input : node.inputs) inputs.push_back(rewriter_.mapped(input));
    const Expression expression = express(node, std::move(inputs));
    const auto [begin, end] = known_.equal_range(expression.hash);
    const auto found =
        std::find_if(begin, end, [&](const auto& entry) { return computes(result(entry.second), expression); });
    if (found == end)
      known_.emplace(expression.hash, copy(id));
    else if (are_equal_by_chance(node, result(found->second)))
      equal_scalars_.emplace(copy(id), found->second);
    else
      merge(id, expression, found->second);
  }

  void merge(std::int32_t id, const Expression& expression, std::int32_t into) {
    for (const NumberQuestion& question : questions(result(into), expression)) numbers_.ask(question);
    GraphNode& first = rewriter_.result().nodes[static_cast<std::size_t>(into)];
    first.from = merge_sources(first.from, expression.node->from);
    for (std::int32_t output = 0; output < static_cast<std::int32_t>(expression.node->types.size()); ++output)
      rewriter_.map({id, output}, {into, output});
  }

  std::int32_t copy(std::int32_t id) {
    const std::int32_t copied = rewriter_.copy(id).node;
    if (result(copied).op == Op::rope) share_turns(copied);
    return copied;
  }

  // Backends compute the sines of all ropes of one base and the same positions once.
  void share_turns(std::int32_t id) {
    GraphNode& rope = rewriter_.result().nodes[static_cast<std::size_t>(id)];
    const auto same_turns = [&](std::int32_t other) {
      const auto &attrs = rope.as<RopeAttrs>(), &known = result(other).as<RopeAttrs>();
      const std::vector<ValueId>&inputs = rope.inputs, &known_inputs = result(other).inputs;
      return std::equal(inputs.begin() + 1, inputs.end(), known_inputs.begin() + 1, known_inputs.end()) &&
             attrs.rotated_pairs == known.rotated_pairs && numbers_.would_say({Kind::same, attrs.base, known.base}) &&
             numbers_.would_say({Kind::same, attrs.scale, known.scale});
    };
    const auto found = std::ranges::find_if(ropes_, same_turns);
    if (found == ropes_.end()) {
      ropes_.push_back(id);
      return;
    }
    const auto &attrs = rope.as<RopeAttrs>(), &known = result(*found).as<RopeAttrs>();
    numbers_.ask({Kind::same, attrs.base, known.base});
    numbers_.ask({Kind::same, attrs.scale, known.scale});
    rope.attrs = known;
  }

  const Graph& graph_;
  NumberGuards& numbers_;
  GraphRewriter rewriter_;
  std::unordered_multimap<std::size_t, std::int32_t> known_;
  std::unordered_map<std::int32_t, std::int32_t> equal_scalars_;  // nodes of the new graph
  std::vector<std::int32_t> ropes_;                               // with turns of their own
};

}  // namespace

Graph common_subexpressions(Graph graph, PassContext& context) { return Merger(graph, context).run(); }

}  // namespace lazuli
