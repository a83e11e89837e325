// SPDX-License-Identifier: MIT
// What a pass is, and what it may ask of the world outside: the backend and the caller's choices come in as callbacks.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>
#include <lazuli/passes/number_guards.h>
#include <lazuli/passes/verdict_sink.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

class FoldCache;
struct Rule;

// Every callback may be left empty.
struct LAZULI_API PassContext : VerdictSink {  // `note` receives what rules did and why they did not
  // Can the backend run this op on operands of these types? Fused nodes are asked for with the rule's name in their
  // attributes. Empty: everything runs.
  std::function<bool(Op, const Attrs&, std::span<const Type>)> supports;
  // Computes a graph without inputs. Empty: constants are not folded.
  std::function<std::vector<BufferRef>(const Graph&)> evaluate;
  // Is the rule, pass or choice of this name on? Empty: everything is.
  std::function<bool(std::string_view)> enabled;
  // Rules of the caller's, tried at a root before the named ones; they outlive the context. Null: none.
  const std::vector<Rule>* own_rules = nullptr;
  // Results of constant folding, shared by the programs of one session. Empty: each run folds anew.
  std::shared_ptr<FoldCache> folded;
  // The way to the values of numbers. As it is made: literals alone are known.
  NumberGuards numbers;

  bool is_enabled(std::string_view name) const { return !enabled || enabled(name); }
  bool can_run(Op op, const Attrs& attrs, std::span<const Type> operands) const {
    return !supports || supports(op, attrs, operands);
  }
};

enum class LAZULI_API PassKind : std::uint8_t {
  always,  // keeps every op a node of its own; on at every fusion level
  fusing,  // makes fused nodes; on at the level `all` only
};

struct LAZULI_API Pass {
  std::string name;
  std::function<Graph(Graph graph, PassContext& context)> run;
  PassKind kind = PassKind::always;
  // Not one of ours: what it makes is verified whatever the options say.
  bool foreign = false;
};

}  // namespace lazuli
