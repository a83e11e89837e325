// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/pattern.h>

#include <algorithm>
#include <array>

namespace lazuli::pattern {
namespace {

constexpr std::size_t max_operands = 4;

using Kind = NumberQuestion::Kind;

struct Goal {
  const Pattern* pattern;  // null: the value must have one reader
  ValueId value;
  const Goal* next;
};

// Depth-first search over the choices of a pattern; what a choice has bound is taken back when it fails. The recursion
// is as deep as the pattern is large, never as the graph.
class Matcher {
 public:
  Matcher(const Graph& graph, const UseCounts& uses, NumberGuards& numbers)
      : graph_(graph), uses_(uses), numbers_(numbers) {}

  bool run(const Pattern& pattern, ValueId root) {
    const Goal goal{&pattern, root, nullptr};
    return solve(&goal);
  }
  Match& match() { return match_; }
  const Mismatch& mismatch() const { return mismatch_; }

 private:
  // Everything bound so far: lists only grow, so that their lengths say how to go back.
  struct Mark {
    std::size_t variables, constants, inverses, nodes, scalar_nodes, questions;
  };
  Mark mark() const {
    return {match_.variables.size(), match_.constants.size(),    inverses_.size(),
            match_.nodes.size(),     match_.scalar_nodes.size(), questions_.size()};
  }
  void go_back(const Mark& mark) {
    match_.variables.resize(mark.variables);
    match_.constants.resize(mark.constants);
    inverses_.resize(mark.inverses);
    match_.nodes.resize(mark.nodes);
    match_.scalar_nodes.resize(mark.scalar_nodes);
    questions_.resize(mark.questions);
  }

  bool solve(const Goal* goal) {
    if (!goal) return ask();
    if (!goal->pattern) {
      if (uses_[goal->value] != 1)
        return reject(specific,
                      [&] { return fmt::format("the {} has a second reader", graph_.node(goal->value).name()); });
      return solve(goal->next);
    }
    const Pattern::Node& pattern = goal->pattern->node();
    switch (pattern.kind) {
      case Pattern::Kind::variable:
        return bind_variable(pattern, *goal);
      case Pattern::Kind::constant:
      case Pattern::Kind::inverse:
      case Pattern::Kind::literal:
        return bind_number(pattern, *goal);
      case Pattern::Kind::apply:
        return open(pattern, *goal);
      case Pattern::Kind::once: {
        // Readers are counted last: where nothing matches they are no reason.
        const Goal readers{nullptr, goal->value, goal->next};
        const Goal inner{&pattern.operands[0], goal->value, &readers};
        return solve(&inner);
      }
      case Pattern::Kind::either: {
        const Mark before = mark();
        for (const Pattern& choice : pattern.operands) {
          const Goal inner{&choice, goal->value, goal->next};
          if (solve(&inner)) return true;
          go_back(before);
        }
        return false;
      }
    }
    return false;
  }

  bool bind_variable(const Pattern::Node& pattern, const Goal& goal) {
    for (const std::pair<std::string, ValueId>& known : match_.variables) {
      if (known.first != pattern.name) continue;
      if (known.second == goal.value) return solve(goal.next);
      return reject(specific, [&] {
        return fmt::format("{} stands for two values: {} and {}", known.first, describe(known.second),
                           describe(goal.value));
      });
    }
    match_.variables.emplace_back(pattern.name, goal.value);
    return solve(goal.next);
  }

  bool bind_number(const Pattern::Node& pattern, const Goal& goal) {
    const std::optional<Number> found = scalar_value(graph_, goal.value);
    const DType dtype = graph_.type(goal.value).dtype;
    if (!found)
      return reject(structural,
                    [&] { return fmt::format("{} stands where a number is expected", describe(goal.value)); });
    const bool fits = pattern.kind == Pattern::Kind::literal ? require({Kind::near, *found, pattern.number, dtype})
                                                             : bind_constant(pattern, *found, dtype);
    if (!fits) return false;
    for (ValueId value = goal.value;; value = graph_.node(value).inputs[0]) {
      match_.scalar_nodes.push_back(value.node);
      if (graph_.node(value).op == Op::scalar) break;
    }
    return solve(goal.next);
  }

  bool bind_constant(const Pattern::Node& pattern, const Number& found, DType dtype) {
    auto& known = pattern.kind == Pattern::Kind::constant ? match_.constants : inverses_;
    for (const auto& [name, value] : known)
      if (name == pattern.name && !require({Kind::same_rounded, value, found, dtype})) return false;
    known.emplace_back(pattern.name, found);
    for (const auto& [inverted, inverse] : inverses_)
      for (const auto& [name, number] : match_.constants)
        if (name == inverted && !require({Kind::inverse, number, inverse, dtype})) return false;
    return true;
  }

  // Literals are asked about at once, all others when the rest of the pattern fits.
  bool require(const NumberQuestion& question) {
    if (question.a.is_literal() && question.b.is_literal())
      return numbers_.ask(question) || reject(specific, [&] { return refusal(question); });
    questions_.push_back(question);
    return true;
  }

  bool ask() {
    return std::ranges::all_of(questions_, [&](const NumberQuestion& question) {
      return numbers_.ask(question) || reject(specific, [&] { return refusal(question); });
    });
  }

  static std::string refusal(const NumberQuestion& question) {
    const double a = question.a.value, b = question.b.value;
    switch (question.kind) {
      case Kind::near:
        return fmt::format("{} stands where {} is expected", a, b);
      case Kind::inverse:
        return fmt::format("constants differ: {} is not 1 / {}", b, a);
      default:
        return fmt::format("constants differ: {} and {}", a, b);
    }
  }

  bool open(const Pattern::Node& pattern, const Goal& goal) {
    ValueId value = goal.value;
    while (graph_.node(value).op != pattern.op && is_transparent(graph_.node(value))) {
      match_.nodes.push_back(value.node);
      value = graph_.node(value).inputs[0];
    }
    const GraphNode& node = graph_.node(value);
    const bool same_op = node.op == pattern.op && (pattern.name.empty() || node.name() == pattern.name) &&
                         (node.op != Op::custom || node.types.size() == 1);
    if (!same_op || node.inputs.size() != pattern.operands.size())
      return reject(structural, [&] {
        return fmt::format("{} stands where {} is expected", describe(goal.value),
                           pattern.name.empty() ? to_string(pattern.op) : pattern.name);
      });
    match_.nodes.push_back(value.node);
    const Mark before = mark();
    if (solve_operands(pattern, node.inputs, goal.next, /*exchanged=*/false)) return true;
    if (!is_commutative(pattern.op) || node.inputs[0] == node.inputs[1]) return false;
    go_back(before);
    return solve_operands(pattern, node.inputs, goal.next, /*exchanged=*/true);
  }

  bool solve_operands(const Pattern::Node& pattern, const std::vector<ValueId>& inputs, const Goal* next,
                      bool exchanged) {
    std::array<Goal, max_operands> goals;
    for (std::size_t i = inputs.size(); i-- > 0;) {
      goals[i] = {&pattern.operands[i], inputs[exchanged ? 1 - i : i], next};
      next = &goals[i];
    }
    return solve(next);
  }

  bool is_transparent(const GraphNode& node) const { return node.op == Op::broadcast_to || is_no_op(graph_, node); }

  std::string describe(ValueId value) const {
    if (const auto number = scalar_value(graph_, value)) return fmt::format("{}", number->value);
    const GraphNode& node = graph_.node(value);
    return fmt::format("{} %{}", node.name(), value.node);
  }

  // Between two attempts that came equally far, a wrong number or a second reader says more than another op.
  enum Weight { structural, specific };
  template <class Describe>
  bool reject(Weight weight, Describe describe_reason) {
    const int depth = static_cast<int>(match_.nodes.size());
    if (depth >= Mismatch::told_from && std::pair(depth, weight) > std::pair(mismatch_.depth, weight_)) {
      mismatch_ = {depth, describe_reason()};
      weight_ = weight;
    }
    return false;
  }

  const Graph& graph_;
  const UseCounts& uses_;
  NumberGuards& numbers_;
  Match match_;
  std::vector<std::pair<std::string, Number>> inverses_;
  std::vector<NumberQuestion> questions_;
  Mismatch mismatch_;
  Weight weight_ = structural;
};

template <class T>
const T& find_name(const std::vector<std::pair<std::string, T>>& bindings, const std::string& name) {
  for (const auto& [bound, value] : bindings)
    if (bound == name) return value;
  fail_internal("the pattern binds no \"{}\"", name);
}

Pattern make(Pattern::Kind kind, std::string name, std::vector<Pattern> operands = {}) {
  Pattern::Node node{kind};
  node.name = std::move(name);
  node.operands = std::move(operands);
  return Pattern(std::move(node));
}

Pattern::Node literal_node(double number) {
  Pattern::Node node{Pattern::Kind::literal};
  node.number = number;
  return node;
}

}  // namespace

ValueId Match::value(const std::string& name) const { return find_name(variables, name); }
Number Match::number(const std::string& name) const { return find_name(constants, name); }

Pattern::Pattern(double literal) : Pattern(literal_node(literal)) {}

Pattern var(std::string name) { return make(Pattern::Kind::variable, std::move(name)); }
Pattern constant(std::string name) { return make(Pattern::Kind::constant, std::move(name)); }
Pattern inverse(std::string name) { return make(Pattern::Kind::inverse, std::move(name)); }
Pattern once(Pattern pattern) { return make(Pattern::Kind::once, {}, {std::move(pattern)}); }
Pattern either(std::vector<Pattern> patterns) { return make(Pattern::Kind::either, {}, std::move(patterns)); }
Pattern apply(Op op, std::vector<Pattern> operands, AttrsOf attrs) {
  if (operands.size() > max_operands)
    fail_internal("a pattern of {} has {} operands, at most {} are known", to_string(op), operands.size(),
                  max_operands);
  Pattern::Node node{Pattern::Kind::apply};
  node.op = op;
  node.attrs = std::move(attrs);
  node.operands = std::move(operands);
  return Pattern(std::move(node));
}

Pattern custom(std::string name, std::vector<Pattern> operands) {
  Pattern::Node node = apply(Op::custom, std::move(operands)).node();
  node.name = std::move(name);
  return Pattern(std::move(node));
}
Pattern custom(const CustomOpRef& op, std::vector<Pattern> operands) {
  Pattern::Node node =
      apply(Op::custom, std::move(operands), [op](const Match&) -> Attrs { return CustomAttrs{op}; }).node();
  node.name = std::string(op.name());
  return Pattern(std::move(node));
}

std::vector<Op> root_ops(const Pattern& pattern) {
  switch (pattern.node().kind) {
    case Pattern::Kind::apply:
      return {pattern.node().op};
    case Pattern::Kind::once:
      return root_ops(pattern.node().operands[0]);
    case Pattern::Kind::either: {
      std::vector<Op> ops;
      for (const Pattern& choice : pattern.node().operands)
        for (Op op : root_ops(choice)) ops.push_back(op);
      return ops;
    }
    default:
      return {};
  }
}

std::optional<std::string> inverted_constant(const Pattern& pattern) {
  if (pattern.node().kind == Pattern::Kind::inverse) return pattern.node().name;
  for (const Pattern& operand : pattern.node().operands)
    if (auto inverted = inverted_constant(operand)) return inverted;
  return std::nullopt;
}

std::optional<Match> match(const Pattern& pattern, const Graph& graph, const UseCounts& uses, ValueId root,
                           NumberGuards& numbers, Mismatch* mismatch) {
  Matcher matcher(graph, uses, numbers);
  if (matcher.run(pattern, root)) return std::move(matcher.match());
  if (mismatch) *mismatch = matcher.mismatch();
  return std::nullopt;
}

namespace {

ValueId build_node(const Pattern& pattern, const Match& match, DType dtype, Graph& result) {
  const Pattern::Node& node = pattern.node();
  const auto number = [&](const Number& value) { return add_node(result, Op::scalar, ScalarAttrs{value, dtype}, {}); };
  switch (node.kind) {
    case Pattern::Kind::variable: {
      const auto at = std::find_if(match.variables.begin(), match.variables.end(),
                                   [&](const auto& binding) { return binding.first == node.name; });
      if (at == match.variables.end()) fail_internal("the pattern binds no \"{}\"", node.name);
      return {static_cast<std::int32_t>(at - match.variables.begin()), 0};
    }
    case Pattern::Kind::constant:
      return number(match.number(node.name));
    case Pattern::Kind::inverse:
      return number(rounded(1 / match.number(node.name).value, dtype));
    case Pattern::Kind::literal:
      return number(rounded(node.number, dtype));
    case Pattern::Kind::once:
    case Pattern::Kind::either:
      return build_node(node.operands[0], match, dtype, result);
    case Pattern::Kind::apply:
      break;
  }
  std::vector<ValueId> inputs;
  for (const Pattern& operand : node.operands) inputs.push_back(build_node(operand, match, dtype, result));
  return add_node(result, node.op, node.attrs ? node.attrs(match) : info(node.op).default_attrs, std::move(inputs));
}

}  // namespace

Graph build(const Pattern& pattern, const Match& match, const Graph& graph, DType dtype) {
  Graph result;
  for (const auto& [name, value] : match.variables) {
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(result.nodes.size())};
    input.types = {graph.type(value)};
    result.add(std::move(input));
  }
  result.outputs = {build_node(pattern, match, dtype, result)};
  return result;
}

}  // namespace lazuli::pattern
