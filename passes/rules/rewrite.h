// SPDX-License-Identifier: MIT
// Rules, and the driver that applies them.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/passes/pass.h>
#include <lazuli/passes/rules/pattern.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

// What a rule wants done at a root.
struct LAZULI_API Replacement {
  std::vector<ValueId> operands;     // values of the graph: the inputs of `body`, in order
  Graph body;                        // its one output takes the root's place
  std::vector<std::int32_t> covers;  // nodes it stands for, the root among them; others may not use them
  bool fuse = true;                  // one fused node under the rule's name; otherwise the nodes of the body
};

struct LAZULI_API Attempt {
  std::optional<Replacement> replacement;
  std::string reason;  // why not; empty where the root is nothing like the rule
};

struct LAZULI_API Rule {
  std::string name;
  std::vector<Op> roots;
  std::function<Attempt(const Graph& graph, const UseCounts& uses, std::int32_t root, NumberGuards& numbers)> attempt;
};

// A rule from patterns:
//   rule("softcap").before(softcap(x)).before(tanh(x / c) * c).fuse()
//   rule("square").before(x * x).after(square(x))
class LAZULI_API RuleBuilder {
 public:
  explicit RuleBuilder(std::string name) : name_(std::move(name)) {}

  // A spelling. Several may be given; the first that matches counts.
  RuleBuilder& before(pattern::Pattern pattern);
  // The matched nodes become the body of one fused node, as they are: no bit changes. Declines where a matched value
  // has readers elsewhere, or where fusing would compute a value anew for each row.
  Rule fuse() const;
  // The matched nodes give way to the pattern.
  Rule after(pattern::Pattern pattern) const;

 private:
  using Finish =
      std::function<Attempt(const Graph&, const UseCounts&, std::int32_t, const pattern::Match&, NumberGuards&)>;
  Rule make(Finish finish) const;

  std::string name_;
  std::vector<pattern::Pattern> spellings_;
};
inline RuleBuilder rule(std::string name) { return RuleBuilder(std::move(name)); }

// A fusing replacement of `covers` (any order), after checking that no value inside has readers outside and that none
// is computed more often than before. `shared` nodes may have other readers: they are copied into the body.
LAZULI_API Attempt fuse_nodes(const Graph& graph, const UseCounts& uses, std::int32_t root,
                              std::vector<std::int32_t> covers, std::vector<std::int32_t> shared,
                              std::span<const ValueId> operands);

// "the backend has no kernel for it on f32[2,8], bf16[2,8]"
std::string no_kernel_text(std::span<const Type> operands);

// Applies `rules` to every node, from the outputs backwards so that the larger of two overlapping matches wins; at one
// root, in the order given. Repeats until nothing changes or `sweeps` are used up, which is noted.
LAZULI_API Graph rewrite(Graph graph, std::span<const Rule> rules, PassContext& context, int sweeps = 8);

// Nodes that `rules` would take, for passes that must leave them alone.
std::vector<bool> nodes_matched(const Graph& graph, std::span<const Rule> rules, NumberGuards& numbers);

}  // namespace lazuli
