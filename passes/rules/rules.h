// SPDX-License-Identifier: MIT
// The named fusions, one a file; rules.def lists them.
#pragma once

#include <lazuli/passes/rules/rewrite.h>

#include <span>
#include <vector>

namespace lazuli {

#define LAZULI_RULE(name) Rule name##_rule();
#include <lazuli/passes/rules/rules.def>

// All of them, in the order they are tried at one root.
std::span<const Rule> named_rules();

// What is tried in a program of this context: the caller's own rules, then the named ones.
std::vector<Rule> rules_of(const PassContext& context);

// Pass: applies the rules that are on, the caller's own among them.
Graph fuse_named(Graph graph, PassContext& context);

}  // namespace lazuli
