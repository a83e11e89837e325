// SPDX-License-Identifier: MIT
// The named fusions, one a file; rules.def lists them.
#pragma once

#include <lazuli/passes/rules/rewrite.h>

#include <span>

namespace lazuli {

#define LAZULI_RULE(name) Rule name##_rule();
#include <lazuli/passes/rules/rules.def>

// All of them, in the order they are tried at one root.
std::span<const Rule> named_rules();

// Pass: applies the rules that are on.
Graph fuse_named(Graph graph, PassContext& context);

}  // namespace lazuli
