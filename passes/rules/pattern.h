// SPDX-License-Identifier: MIT
// Patterns over graphs, written like the formulas they match:
//
//   const Pattern x = var("x"), y = var("y"), c = constant("c");
//   once(tanh(x / c)) * c
//
// Commutative ops match in both orders, and every choice is tried until the whole pattern fits. Matching looks through
// broadcasts and casts that change nothing; a number matches scalars however they were broadcast. A name stands for one
// value: x * x matches only the product of a value with itself. Numbers are asked about last, where all else fits:
// their answers are guards of the program.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>
#include <lazuli/passes/number_guards.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::pattern {

// What a pattern's names stand for, and the nodes it covers.
struct LAZULI_API Match {
  std::vector<std::pair<std::string, ValueId>> variables;  // in order of first appearance in the pattern
  std::vector<std::pair<std::string, Number>> constants;
  std::vector<std::int32_t> nodes;         // ops the pattern names and views between them; the root comes first
  std::vector<std::int32_t> scalar_nodes;  // what constants were read from: may have readers elsewhere

  ValueId value(const std::string& name) const;
  // To be written into other attributes as it is: its value holds for this run alone.
  Number number(const std::string& name) const;
};

using AttrsOf = std::function<Attrs(const Match&)>;

class LAZULI_API Pattern {
 public:
  enum class LAZULI_API Kind : std::uint8_t { variable, constant, inverse, literal, apply, once, either };
  struct Node {
    Kind kind;
    std::string name;   // variable, constant, inverse; apply, of a custom op: its name, empty for any
    double number = 0;  // literal
    Op op = Op::input;  // apply
    AttrsOf attrs;      // apply, when building; empty: the op's default attributes
    std::vector<Pattern> operands;
  };

  Pattern(double literal);  // NOLINT(google-explicit-constructor): formulas hold numbers
  explicit Pattern(Node node) : node_(std::make_shared<const Node>(std::move(node))) {}

  const Node& node() const { return *node_; }

 private:
  std::shared_ptr<const Node> node_;
};

// Any value.
LAZULI_API Pattern var(std::string name);
// Any number.
LAZULI_API Pattern constant(std::string name);
// The number 1 / c of a constant c, rounded to the array's dtype.
LAZULI_API Pattern inverse(std::string name);
// A value that has exactly one reader.
LAZULI_API Pattern once(Pattern pattern);
// The first of the patterns that lets the whole match.
LAZULI_API Pattern either(std::vector<Pattern> patterns);
LAZULI_API Pattern apply(Op op, std::vector<Pattern> operands, AttrsOf attrs = {});
// A custom op of this name, whatever its attributes; only for matching.
LAZULI_API Pattern custom(std::string name, std::vector<Pattern> operands);
// The same for matching; where a rule builds, this op.
LAZULI_API Pattern custom(const CustomOpRef& op, std::vector<Pattern> operands);

inline Pattern operator+(Pattern a, Pattern b) { return apply(Op::add, {std::move(a), std::move(b)}); }
inline Pattern operator-(Pattern a, Pattern b) { return apply(Op::sub, {std::move(a), std::move(b)}); }
inline Pattern operator*(Pattern a, Pattern b) { return apply(Op::mul, {std::move(a), std::move(b)}); }
inline Pattern operator/(Pattern a, Pattern b) { return apply(Op::div, {std::move(a), std::move(b)}); }
inline Pattern pow(Pattern a, Pattern b) { return apply(Op::pow, {std::move(a), std::move(b)}); }
inline Pattern square(Pattern x) { return apply(Op::square, {std::move(x)}); }
inline Pattern tanh(Pattern x) { return apply(Op::tanh, {std::move(x)}); }
inline Pattern gelu_tanh(Pattern x) { return apply(Op::gelu_tanh, {std::move(x)}); }
inline Pattern softcap(Pattern x) { return apply(Op::softcap, {std::move(x)}); }

// Ops a value matching the pattern may come from; empty when any may.
LAZULI_API std::vector<Op> root_ops(const Pattern& pattern);

// Why a pattern did not fit, from the attempt that came furthest.
struct LAZULI_API Mismatch {
  // A root alone is no beginning of a match: every product would tell that it is no GELU.
  static constexpr int told_from = 2;

  int depth = 0;  // nodes that had matched
  std::string reason;
};

LAZULI_API std::optional<Match> match(const Pattern& pattern, const Graph& graph, const UseCounts& uses, ValueId root,
                                      NumberGuards& numbers, Mismatch* mismatch = nullptr);

// The constant whose inverse the pattern holds. To build that its value must be known.
LAZULI_API std::optional<std::string> inverted_constant(const Pattern& pattern);

// The pattern as a graph: its variables are the inputs, in the order of the match.
LAZULI_API Graph build(const Pattern& pattern, const Match& match, const Graph& graph, DType dtype);

}  // namespace lazuli::pattern
