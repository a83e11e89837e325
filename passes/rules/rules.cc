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

std::vector<Rule> rules_of(const PassContext& context) {
  std::vector<Rule> rules;
  if (context.own_rules) rules = *context.own_rules;
  rules.insert(rules.end(), named_rules().begin(), named_rules().end());
  return rules;
}

Graph fuse_named(Graph graph, PassContext& context) { return rewrite(std::move(graph), rules_of(context), context); }

}  // namespace lazuli
