// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/rules/rewrite.h>

#include <algorithm>

namespace lazuli {

RuleBuilder& RuleBuilder::before(pattern::Pattern pattern) {
  spellings_.push_back(std::move(pattern));
  return *this;
}

Rule RuleBuilder::make(Finish finish) const {
  Rule rule;
  rule.name = name_;
  for (const pattern::Pattern& spelling : spellings_)
    for (Op op : pattern::root_ops(spelling))
      if (std::find(rule.roots.begin(), rule.roots.end(), op) == rule.roots.end()) rule.roots.push_back(op);
  rule.attempt = [spellings = spellings_, finish = std::move(finish)](const Graph& graph, const UseCounts& uses,
                                                                      std::int32_t root, NumberGuards& numbers) {
    pattern::Mismatch furthest;
    for (const pattern::Pattern& spelling : spellings) {
      pattern::Mismatch mismatch;
      if (const auto found = pattern::match(spelling, graph, uses, {root, 0}, numbers, &mismatch))
        return finish(graph, uses, root, *found, numbers);
      if (mismatch.depth > furthest.depth) furthest = std::move(mismatch);
    }
    return Attempt{std::nullopt, std::move(furthest.reason)};
  };
  return rule;
}

Rule RuleBuilder::fuse() const {
  return make(
      [](const Graph& graph, const UseCounts& uses, std::int32_t root, const pattern::Match& found, NumberGuards&) {
        std::vector<ValueId> operands;
        for (const auto& [name, value] : found.variables) operands.push_back(value);
        return fuse_nodes(graph, uses, root, found.nodes, found.scalar_nodes, operands);
      });
}

Rule RuleBuilder::after(pattern::Pattern pattern) const {
  return make([pattern = std::move(pattern)](const Graph& graph, const UseCounts&, std::int32_t root,
                                             const pattern::Match& found, NumberGuards& numbers) {
    const Type& expected = graph.type({root, 0});
    if (const auto inverted = pattern::inverted_constant(pattern); inverted && !numbers.fix(found.number(*inverted)))
      return Attempt{std::nullopt, fmt::format("1 / {} differs from run to run", *inverted)};
    Replacement replacement;
    for (const auto& [name, value] : found.variables) replacement.operands.push_back(value);
    replacement.body = pattern::build(pattern, found, graph, expected.dtype);
    const Type& built = replacement.body.type(replacement.body.outputs[0]);
    if (built != expected)
      return Attempt{std::nullopt, fmt::format("would give {} instead of {}", to_string(built), to_string(expected))};
    replacement.covers = {root};
    replacement.fuse = false;
    return Attempt{std::move(replacement), {}};
  });
}

namespace {

// Whether a loop over `space` computes a value of `shape` once per element (or once per row), not over and over.
bool fits_loop(const Shape& shape, const Shape& space) {
  if (element_count(shape) == element_count(space)) return true;
  if (shape.empty() || space.empty() || shape.back() != 1) return false;
  return element_count(shape) == element_count(Shape(space.begin(), space.end() - 1));
}

}  // namespace

Attempt fuse_nodes(const Graph& graph, const UseCounts& uses, std::int32_t root, std::vector<std::int32_t> covers,
                   std::vector<std::int32_t> shared, std::span<const ValueId> operands) {
  sort_unique(covers);
  const std::vector<int> readers = inner_reads(graph, covers);
  for (std::size_t i = 0; i < covers.size(); ++i) {
    const ValueId value{covers[i], 0};
    const GraphNode& node = graph.node(value);
    if (node.op == Op::custom)
      return {std::nullopt, fmt::format("the {} is a custom op, which runs by itself", node.name())};
    if (is_control_flow(node.op))
      return {std::nullopt, fmt::format("the {} is control flow, which runs by itself", node.name())};
    const bool is_operand = std::find(operands.begin(), operands.end(), value) != operands.end();
    if (value.node != root && (uses[value] != readers[i] || is_operand))
      return {std::nullopt, fmt::format("the {} has a second reader", node.name())};
    if (!fits_loop(node.type().shape, graph.type({root, 0}).shape))
      return {std::nullopt, fmt::format("the {} is {}, the result {}: it would be computed anew for each row",
                                        node.name(), to_string(node.type()), to_string(graph.type({root, 0})))};
  }
  Replacement replacement;
  replacement.covers = covers;
  std::vector<std::int32_t> inside = std::move(covers);
  inside.insert(inside.end(), shared.begin(), shared.end());
  sort_unique(inside);
  const ValueId result{root, 0};
  Region region = cut_region(graph, inside, {&result, 1}, operands);
  replacement.operands = std::move(region.operands);
  replacement.body = std::move(region.body);
  return {std::move(replacement), {}};
}

namespace {

struct ListedRule {
  const Rule* rule;
  bool enabled;
};
using RulesByOp = std::vector<std::vector<ListedRule>>;

RulesByOp index_by_root(std::span<const Rule> rules, const PassContext* context) {
  RulesByOp by_op(all_ops().size());
  for (const Rule& rule : rules) {
    const bool enabled = !context || context->is_enabled(rule.name);
    if (!enabled && !context->note) continue;  // nobody asks where it would have fired
    for (Op op : rule.roots) by_op[static_cast<std::size_t>(op)].push_back({&rule, enabled});
  }
  return by_op;
}

struct Site {
  const Rule* rule;
  Replacement replacement;
};

// One sweep over a graph: finds the sites backwards, then writes the new graph forwards.
class Sweep {
 public:
  // `first`: declined places are told once, not again by every sweep.
  Sweep(const Graph& graph, const RulesByOp& rules, NumberGuards& numbers, PassContext* context, bool first)
      : graph_(graph),
        rules_(rules),
        numbers_(numbers),
        context_(context),
        first_(first),
        uses_(graph),
        covered_(graph.nodes.size()),
        site_of_(graph.nodes.size(), -1) {}

  bool find_sites() {
    for (std::int32_t id = static_cast<std::int32_t>(graph_.nodes.size()); id-- > 0;) {
      const auto& candidates = rules_[static_cast<std::size_t>(graph_.nodes[static_cast<std::size_t>(id)].op)];
      for (const auto& [rule, enabled] : candidates) {
        if (covered_[static_cast<std::size_t>(id)]) break;
        if (enabled)
          attempt(*rule, id);
        else
          explain_disabled(*rule, id);
      }
    }
    return !sites_.empty();
  }

  const std::vector<bool>& covered() const { return covered_; }

  Graph write(BodyPool& bodies) {
    GraphRewriter rewriter(graph_);
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      const int site = site_of_[id];
      if (site >= 0)
        replace(rewriter, static_cast<std::int32_t>(id), sites_[static_cast<std::size_t>(site)], bodies);
      else if (!inside_fused(id))
        rewriter.copy(static_cast<std::int32_t>(id));
    }
    return rewriter.finish();
  }

 private:
  // Inside nodes of a fused site have no other readers, so nothing will ask for them.
  bool inside_fused(std::size_t id) const { return covered_[id]; }

  void attempt(const Rule& rule, std::int32_t root) {
    Attempt attempt = rule.attempt(graph_, uses_, root, numbers_);
    if (attempt.replacement) check(rule, attempt);
    if (!attempt.replacement) {
      if (first_ && !attempt.reason.empty()) note(rule, root, std::move(attempt.reason), sources_of(root, {}));
      return;
    }
    note(rule, root, {}, sources_of(root, attempt.replacement->covers));
    for (std::int32_t id : attempt.replacement->covers) covered_[static_cast<std::size_t>(id)] = true;
    site_of_[static_cast<std::size_t>(root)] = static_cast<int>(sites_.size());
    sites_.push_back({&rule, std::move(*attempt.replacement)});
  }

  void explain_disabled(const Rule& rule, std::int32_t root) {
    if (!first_) return;
    const Attempt attempt = rule.attempt(graph_, uses_, root, numbers_);
    if (attempt.replacement)
      note(rule, root, context_->reason_off(rule.name), sources_of(root, attempt.replacement->covers));
  }

  void check(const Rule& rule, Attempt& attempt) const {
    const Replacement& wanted = *attempt.replacement;
    for (std::int32_t id : wanted.covers)
      if (covered_[static_cast<std::size_t>(id)]) {
        attempt = {std::nullopt, fmt::format("the {} already belongs to another match",
                                             graph_.nodes[static_cast<std::size_t>(id)].name())};
        return;
      }
    if (!context_) return;
    if (!wanted.fuse) return check_custom_ops(attempt);
    std::vector<Type> types;
    for (ValueId operand : wanted.operands) types.push_back(graph_.type(operand));
    if (!context_->can_run(Op::fused, FusedAttrs{rule.name}, types)) attempt = {std::nullopt, no_kernel_text(types)};
  }

  // Nothing spells them out any more.
  void check_custom_ops(Attempt& attempt) const {
    const Graph& body = attempt.replacement->body;
    for (const GraphNode& node : body.nodes) {
      const std::vector<Type> types = operand_types(body, node);
      if (node.op != Op::custom || context_->can_run(node.op, node.attrs, types)) continue;
      attempt = {std::nullopt, fmt::format("the {}: {}", node.name(), no_kernel_text(types))};
      return;
    }
  }

  // Without a reason the rule fired.
  void note(const Rule& rule, std::int32_t root, std::string reason, std::vector<Source> from) const {
    if (!context_ || !context_->note) return;
    const bool fired = reason.empty();
    const Scope::Ref& scope = graph_.nodes[static_cast<std::size_t>(root)].scope;
    context_->note({rule.name, fired, std::move(reason), root, scope, std::move(from)});
  }

  std::vector<Source> sources_of(std::int32_t root, std::span<const std::int32_t> covers) const {
    std::vector<Source> from = graph_.nodes[static_cast<std::size_t>(root)].from;
    for (std::int32_t id : covers) from = merge_sources(from, graph_.nodes[static_cast<std::size_t>(id)].from);
    return from;
  }

  void replace(GraphRewriter& rewriter, std::int32_t root, const Site& site, BodyPool& bodies) {
    const GraphNode& old = graph_.nodes[static_cast<std::size_t>(root)];
    std::vector<ValueId> operands;
    for (ValueId operand : site.replacement.operands) operands.push_back(rewriter.mapped(operand));
    std::vector<Source> from = sources_of(root, site.replacement.covers);
    if (!site.replacement.fuse) {
      const auto values = append_graph(rewriter.result(), site.replacement.body, operands, old.scope, from);
      rewriter.map({root, 0}, values[0]);
      return;
    }
    GraphNode fused = make_fused(site.rule->name, std::move(operands), bodies.share(site.replacement.body));
    fused.scope = old.scope;
    fused.from = std::move(from);
    rewriter.map({root, 0}, rewriter.add(std::move(fused)));
  }

  const Graph& graph_;
  const RulesByOp& rules_;
  NumberGuards& numbers_;
  PassContext* context_;
  bool first_;
  UseCounts uses_;
  std::vector<bool> covered_;
  std::vector<int> site_of_;
  std::vector<Site> sites_;
};

}  // namespace

std::string no_kernel_text(std::span<const Type> operands) {
  std::vector<std::string> types;
  for (const Type& type : operands) types.push_back(to_string(type));
  return fmt::format("the backend has no kernel for it on {}", fmt::join(types, ", "));
}

Graph rewrite(Graph graph, std::span<const Rule> rules, PassContext& context, int sweeps) {
  const RulesByOp by_op = index_by_root(rules, &context);
  BodyPool bodies;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    Sweep pass(graph, by_op, context.numbers, &context, sweep == 0);
    if (!pass.find_sites()) return graph;
    graph = pass.write(bodies);
  }
  if (context.note)
    context.note({"rewrite", false, fmt::format("stopped after {} sweeps; the rules still change the graph", sweeps)});
  return graph;
}

std::vector<bool> nodes_matched(const Graph& graph, std::span<const Rule> rules, NumberGuards& numbers) {
  const RulesByOp by_op = index_by_root(rules, nullptr);
  Sweep sweep(graph, by_op, numbers, nullptr, true);
  sweep.find_sites();
  return sweep.covered();
}

}  // namespace lazuli
