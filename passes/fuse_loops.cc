// SPDX-License-Identifier: MIT
#include <lazuli/passes/fuse_loops.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/loop_groups.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>
#include <queue>

namespace lazuli {
namespace {

// What a rule would take if it were on stays out of loops: a rule switched off shows what its nodes cost by themselves.
std::vector<bool> nodes_of_disabled_rules(const Graph& graph, PassContext& context) {
  std::vector<Rule> disabled;
  for (const Rule& rule : rules_of(context))
    if (!context.is_enabled(rule.name)) disabled.push_back(rule);
  if (disabled.empty()) return std::vector<bool>(graph.nodes.size());
  return nodes_matched(graph, disabled, context.numbers);
}

// "rms_norm_add": the group's heaviest ops in order, at most three; never the name of a rule.
std::string loop_name(const Graph& graph, std::span<const std::int32_t> members, std::span<const Rule> rules) {
  constexpr std::size_t max_words = 3;
  const auto weight = [](Op op) { return info(op).name_weight; };
  std::vector<Op> ops;
  for (std::int32_t member : members) {
    const Op op = graph.nodes[static_cast<std::size_t>(member)].op;
    if (weight(op) > 0 && (ops.empty() || ops.back() != op)) ops.push_back(op);
  }
  for (int lightest = 1; ops.size() > max_words && lightest < 3; ++lightest)
    std::erase_if(ops, [&](Op op) { return weight(op) == lightest; });
  ops.erase(std::unique(ops.begin(), ops.end()), ops.end());
  if (ops.empty() || ops.size() > max_words) return "loop";
  std::string name;
  for (Op op : ops) {
    if (!name.empty()) name += '_';
    name += to_string(op);
  }
  const auto taken = [&](const Rule& rule) { return rule.name == name; };
  return std::any_of(rules.begin(), rules.end(), taken) ? "loop" : name;
}

// Writes the graph with each group as one node, in an order that keeps close to the old one: a group is ready when all
// its operands are, which may be after nodes that stood behind its first member.
class LoopWriter {
 public:
  LoopWriter(const Graph& graph, PassContext& context, LoopGroups groups)
      : graph_(graph),
        context_(context),
        groups_(std::move(groups)),
        rules_(rules_of(context)),
        uses_(graph),
        rewriter_(graph) {
    for (std::size_t group = 0; group < groups_.members.size(); ++group)
      if (groups_.members[group].size() == 1)
        groups_.group_of[static_cast<std::size_t>(groups_.members[group][0])] = -1;
  }

  Graph write() {
    count_waiting();
    std::priority_queue<std::int32_t, std::vector<std::int32_t>, std::greater<>> ready;
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      if (unit(static_cast<std::int32_t>(id)) == static_cast<std::int32_t>(id) && waiting_[id] == 0)
        ready.push(static_cast<std::int32_t>(id));
    while (!ready.empty()) {
      const std::int32_t next = ready.top();
      ready.pop();
      emit(next);
      for (std::int32_t reader : readers_[static_cast<std::size_t>(next)])
        if (--waiting_[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
    }
    return rewriter_.finish();
  }

 private:
  // A group goes by its last member.
  std::int32_t unit(std::int32_t id) const {
    const std::int32_t group = groups_.group_of[static_cast<std::size_t>(id)];
    return group < 0 ? id : groups_.members[static_cast<std::size_t>(group)].back();
  }

  void count_waiting() {
    waiting_.assign(graph_.nodes.size(), 0);
    readers_.resize(graph_.nodes.size());
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      const std::int32_t reader = unit(static_cast<std::int32_t>(id));
      for (ValueId input : graph_.nodes[id].inputs) {
        const std::int32_t source = unit(input.node);
        if (source == reader) continue;
        readers_[static_cast<std::size_t>(source)].push_back(reader);
        ++waiting_[static_cast<std::size_t>(reader)];
      }
    }
  }

  void emit(std::int32_t id) {
    const std::int32_t group = groups_.group_of[static_cast<std::size_t>(id)];
    if (group < 0)
      rewriter_.copy(id);
    else
      emit_group(groups_.members[static_cast<std::size_t>(group)]);
  }

  // Values of members that somebody outside reads.
  std::vector<ValueId> results(std::span<const std::int32_t> members) const {
    const std::vector<int> inner = inner_reads(graph_, members);
    std::vector<ValueId> read;
    for (std::size_t i = 0; i < members.size(); ++i)
      if (uses_[{members[i], 0}] > inner[i]) read.push_back({members[i], 0});
    return read;
  }

  void emit_group(std::span<const std::int32_t> members) {
    const std::vector<ValueId> read = results(members);
    Region region = cut_region(graph_, members, read);
    const std::string name = loop_name(graph_, members, rules_);
    std::vector<Type> types;
    for (ValueId operand : region.operands) types.push_back(graph_.type(operand));
    std::string reason;
    if (types.empty())
      reason = "it reads nothing but numbers";  // a fused node has operands
    else if (!context_.can_run(Op::fused, FusedAttrs{name}, types))
      reason = no_kernel_text(types);
    note(members, reason);
    if (!reason.empty()) {
      for (std::int32_t member : members) rewriter_.copy(member);
      return;
    }
    for (ValueId& operand : region.operands) operand = rewriter_.mapped(operand);
    GraphNode fused = make_fused(name, std::move(region.operands), bodies_.share(std::move(region.body)));
    fused.scope = graph_.nodes[static_cast<std::size_t>(members[0])].scope;
    for (std::int32_t member : members)
      fused.scope = common_scope(fused.scope, graph_.nodes[static_cast<std::size_t>(member)].scope);
    fused.from = sources_of(members);
    const ValueId added = rewriter_.add(std::move(fused));
    for (std::size_t i = 0; i < read.size(); ++i) rewriter_.map(read[i], {added.node, static_cast<std::int32_t>(i)});
  }

  void note(std::span<const std::int32_t> members, std::string reason) const {
    if (!context_.note) return;
    const bool fired = reason.empty();
    const Scope::Ref& scope = graph_.nodes[static_cast<std::size_t>(members.back())].scope;
    context_.note({"fuse_loops", fired, std::move(reason), members.back(), scope, sources_of(members)});
  }

  std::vector<Source> sources_of(std::span<const std::int32_t> members) const {
    std::vector<Source> from;
    for (std::int32_t member : members) from = merge_sources(from, graph_.nodes[static_cast<std::size_t>(member)].from);
    return from;
  }

  const Graph& graph_;
  PassContext& context_;
  LoopGroups groups_;
  std::vector<Rule> rules_;
  UseCounts uses_;
  GraphRewriter rewriter_;
  BodyPool bodies_;
  std::vector<int> waiting_;
  std::vector<std::vector<std::int32_t>> readers_;
};

}  // namespace

Graph fuse_loops(Graph graph, PassContext& context) {
  graph = remove_dead(std::move(graph));
  LoopGroups groups = group_loops(graph, nodes_of_disabled_rules(graph, context), context.note != nullptr);
  for (StayedOut& apart : groups.apart) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(apart.node)];
    const GraphNode& reader = graph.nodes[static_cast<std::size_t>(apart.reader)];
    context.note(
        {"fuse_loops", false, std::move(apart.reason), apart.node, node.scope, merge_sources(node.from, reader.from)});
  }
  return LoopWriter(graph, context, std::move(groups)).write();
}

}  // namespace lazuli
