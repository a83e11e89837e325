// The named fusions, one a file.
#pragma once

#include <lazuli/passes/rules/rewrite.h>

#include <span>

namespace lazuli {

Rule altup_predict_rule();
Rule altup_correct_rule();
Rule gelu_mul_rule();
Rule gelu_tanh_rule();
Rule softcap_rule();
Rule tanh_mul_rule();

// All of them, in the order they are tried at one root.
std::span<const Rule> named_rules();

// Pass: applies the rules that are on.
Graph fuse_named(Graph graph, PassContext& context);

}  // namespace lazuli
