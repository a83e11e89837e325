// SPDX-License-Identifier: MIT
#include <lazuli/passes/rules/rules.h>

namespace lazuli {

std::span<const Rule> named_rules() {
  static const std::vector<Rule> rules = {
#define LAZULI_RULE(name) name##_rule(),
#include <lazuli/passes/rules/rules.def>
  };
  return rules;
}

Graph fuse_named(Graph graph, PassContext& context) { return rewrite(std::move(graph), named_rules(), context); }

}  // namespace lazuli
