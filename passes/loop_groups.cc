// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/loop_groups.h>

#include <algorithm>
#include <set>

namespace lazuli {
namespace {

// Operands of generated loops have strides along three axes of rows.
constexpr std::size_t max_row_axes = 3;

struct Space {
  Shape rows;                         // without leading ones
  std::int64_t columns = 0;           // 0: narrow values only, so far
  const std::string* name = nullptr;  // of the named axis: a run has as many rows of each value

  static Space of(const Type& type) {
    const Shape& shape = type.shape;
    if (shape.empty()) return {};
    const auto rows = significant_sizes(shape);
    Space space;
    if (rows.size() > 1) space.rows.assign(rows.begin(), rows.end() - 1);
    space.columns = shape.back() == 1 ? 0 : shape.back();
    space.name = type.named.name;
    return space;
  }
  bool fits(const Space& other) const {
    return name == other.name && rows == other.rows && (columns == 0 || other.columns == 0 || columns == other.columns);
  }
  std::string text() const {
    Shape sizes = rows;
    sizes.push_back(std::max<std::int64_t>(columns, 1));
    return to_string(sizes);
  }
};

// Why a node or a group did not join. Texts are made of it where somebody asks.
enum class Refusal : std::uint8_t {
  none,
  no_loop_op,
  excluded,
  no_elements,
  axes,
  rank,
  space,
  nodes,
  operands,
  results
};

// Nodes that the op takes in a body, where rowwise composites are spelled out.
int body_size(Op op) {
  constexpr int longest_definition = 9;
  return is_rowwise(op) ? longest_definition : 1;
}

struct Read {
  ValueId value;
  int count;
};

struct Group {
  std::vector<Read> operands;  // values from outside, with how often members read them
  std::vector<Read> results;   // members' values, with how often they are read outside
  Space space;
  int level = 0;
  int size = 0;     // nodes in the body
  int parent = -1;  // the group this one was merged into
};

// Every edge between two groups, or a group and a node outside, goes from a lower level to a higher one. That keeps
// groups convex without looking at paths: whatever a group feeds stands above it and cannot feed it back.
class Grouping {
 public:
  Grouping(const Graph& graph, const std::vector<bool>& excluded, bool tell_why, const LoopLimits& limits)
      : graph_(graph),
        excluded_(excluded),
        tell_why_(tell_why),
        limits_(limits),
        uses_(graph),
        level_(graph.nodes.size()),
        group_(graph.nodes.size(), -1) {}

  LoopGroups run() {
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) place(static_cast<std::int32_t>(id));
    LoopGroups result;
    result.group_of.assign(graph_.nodes.size(), -1);
    result.members.resize(groups_.size());
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      if (group_[id] < 0) continue;
      const int group = root(group_[id]);
      result.group_of[id] = group;
      result.members[static_cast<std::size_t>(group)].push_back(static_cast<std::int32_t>(id));
    }
    if (tell_why_) result.apart = still_apart();
    return result;
  }

 private:
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }
  Group& group(int index) { return groups_[static_cast<std::size_t>(index)]; }

  int root(int index) {
    while (group(index).parent >= 0) {
      const int parent = group(index).parent;
      if (group(parent).parent >= 0) group(index).parent = group(parent).parent;
      index = parent;
    }
    return index;
  }
  int group_of(std::int32_t id) {
    const int index = group_[static_cast<std::size_t>(id)];
    return index < 0 ? -1 : root(index);
  }
  int level_of(std::int32_t id) {
    const int index = group_of(id);
    return index < 0 ? level_[static_cast<std::size_t>(id)] : group(index).level;
  }

  Refusal refusal_of(std::int32_t id) const {
    const GraphNode& candidate = node(id);
    if (!is_elementwise(candidate.op) && !is_rowwise(candidate.op) && !is_reduction(candidate.op))
      return Refusal::no_loop_op;
    if (excluded_[static_cast<std::size_t>(id)]) return Refusal::excluded;
    if (candidate.type().elements() == 0) return Refusal::no_elements;
    const Type& operand = graph_.type(candidate.inputs[0]);
    const auto last = static_cast<std::int64_t>(operand.shape.size()) - 1;
    if (const auto* over = std::get_if<AxisAttrs>(&candidate.attrs); over && over->axis != last) return Refusal::axes;
    if (is_reduction(candidate.op)) {
      const auto& reduce = candidate.as<ReduceAttrs>();
      // Over an axis of size one it could not be told from a reduction of a narrow value.
      if (!reduce.keep_dims || reduce.axes != Dims{last} || operand.shape.back() == 1) return Refusal::axes;
      // Over the rows of a run, which are no columns of a loop.
      if (operand.named && operand.named.axis == last) return Refusal::axes;
    }
    return space_of(id).rows.size() <= max_row_axes ? Refusal::none : Refusal::rank;
  }

  // The space a node asks for: reductions run over their operand.
  Space space_of(std::int32_t id) const {
    const GraphNode& candidate = node(id);
    return Space::of(is_reduction(candidate.op) ? graph_.type(candidate.inputs[0]) : candidate.type());
  }

  void place(std::int32_t id) {
    const GraphNode& placed = node(id);
    if (is_leaf(placed.op)) return;
    int highest = 0;
    for (ValueId input : placed.inputs) highest = std::max(highest, level_of(input.node));
    if (refusal_of(id) != Refusal::none) {
      // Views of leaves are ready from the start, like the leaves.
      level_[static_cast<std::size_t>(id)] = is_view(placed.op) && highest == 0 ? 0 : highest + 1;
      return;
    }
    Group merged = alone(id);
    std::vector<int> absorbed;
    merged.level = join_level(id, highest, merged, absorbed);
    for (ValueId input : placed.inputs) lift(input, merged, absorbed);
    if (tell_why_) note_apart(id, merged, absorbed);
    commit(id, std::move(merged), absorbed);
  }

  Group alone(std::int32_t id) const {
    Group single;
    single.results = {{{id, 0}, uses_[{id, 0}]}};
    single.space = space_of(id);
    single.size = body_size(node(id).op);
    for (ValueId input : node(id).inputs)
      if (graph_.node(input).op != Op::scalar) add_read(single.operands, {input, 1});
    return single;
  }

  static Read* find_read(std::vector<Read>& reads, ValueId value) {
    const auto found = std::find_if(reads.begin(), reads.end(), [&](const Read& read) { return read.value == value; });
    return found == reads.end() ? nullptr : &*found;
  }
  static void add_read(std::vector<Read>& reads, Read read) {
    if (Read* known = find_read(reads, read.value))
      known->count += read.count;
    else
      reads.push_back(read);
  }

  // Joins the groups of all operands on the highest level, if every one of them can take the node; otherwise the node
  // stands one level above.
  int join_level(std::int32_t id, int highest, Group& merged, std::vector<int>& absorbed) {
    if (highest == 0) return 1;
    const Group before = merged;
    for (ValueId input : node(id).inputs) {
      if (level_of(input.node) < highest) continue;
      const int candidate = group_of(input.node);
      if (std::find(absorbed.begin(), absorbed.end(), candidate) != absorbed.end()) continue;
      if (candidate >= 0 && absorb(candidate, merged) == Refusal::none) {
        absorbed.push_back(candidate);
        continue;
      }
      merged = before;
      absorbed.clear();
      return highest + 1;
    }
    return highest;
  }

  // A lower group that nobody else reads may run as late as its reader: it moves up and joins.
  void lift(ValueId input, Group& merged, std::vector<int>& absorbed) {
    const int candidate = group_of(input.node);
    if (candidate < 0 || std::find(absorbed.begin(), absorbed.end(), candidate) != absorbed.end()) return;
    for (const Read& result : group(candidate).results) {
      const Read* read = find_read(merged.operands, result.value);
      if (!read || read->count != result.count) return;
    }
    if (absorb(candidate, merged) == Refusal::none) absorbed.push_back(candidate);
  }

  // Adds a group to `merged` if the space and the limits allow it.
  Refusal absorb(int candidate, Group& merged) {
    const Group& other = group(candidate);
    if (!merged.space.fits(other.space)) return Refusal::space;
    if (merged.size + other.size > limits_.nodes) return Refusal::nodes;
    Group joined;
    joined.space = merged.space.columns == 0 ? other.space : merged.space;
    joined.size = merged.size + other.size;
    joined.level = merged.level;
    joined.results = other.results;
    joined.results.insert(joined.results.end(), merged.results.begin(), merged.results.end());
    const auto take_reads = [&](const std::vector<Read>& reads) {
      for (const Read& read : reads)
        if (Read* inner = find_read(joined.results, read.value))
          inner->count -= read.count;
        else
          add_read(joined.operands, read);
    };
    take_reads(other.operands);
    take_reads(merged.operands);
    std::erase_if(joined.results, [](const Read& result) { return result.count == 0; });
    if (static_cast<int>(joined.operands.size()) > limits_.operands) return Refusal::operands;
    if (static_cast<int>(joined.results.size()) > limits_.results) return Refusal::results;
    merged = std::move(joined);
    return Refusal::none;
  }

  void commit(std::int32_t id, Group merged, const std::vector<int>& absorbed) {
    const int index = static_cast<int>(groups_.size());
    for (int old : absorbed) {
      group(old) = {};
      group(old).parent = index;
    }
    group_[static_cast<std::size_t>(id)] = index;
    groups_.push_back(std::move(merged));
  }

  // Of operands that could be in a loop, those that `merged`, the group of the node, leaves out.
  void note_apart(std::int32_t id, const Group& merged, const std::vector<int>& absorbed) {
    for (ValueId input : node(id).inputs) {
      const int candidate = group_of(input.node);
      if (candidate < 0 || std::find(absorbed.begin(), absorbed.end(), candidate) != absorbed.end()) continue;
      Group tried = merged;
      const Refusal refusal = absorb(candidate, tried);
      apart_.push_back({input.node, id, text(refusal, input.node, id, group(candidate).space, merged.space)});
    }
  }

  std::string text(Refusal refusal, std::int32_t id, std::int32_t reader, const Space& space,
                   const Space& other) const {
    const std::string_view name = node(id).name(), reader_name = node(reader).name();
    switch (refusal) {
      case Refusal::no_loop_op:
        return custom_definition(node(id).as<CustomAttrs>().op, operand_types(graph_, node(id)))
                   ? fmt::format(
                         "the {} has a kernel of its own, which loops do not take; without composites it is "
                         "spelled out, and they do",
                         name)
                   : fmt::format("the {} has no decomposition, so loops do not take it", name);
      case Refusal::no_elements:
        return fmt::format("the {} has no elements", name);
      case Refusal::axes:
        return fmt::format("the {} {} of {}: loops over rows reduce the last axis, longer than 1, and keep it", name,
                           to_string(node(id).attrs), to_string(graph_.type(node(id).inputs[0])));
      case Refusal::rank:
        return fmt::format("the {} is {}: loops take at most {} axes of rows", name, to_string(node(id).type()),
                           max_row_axes);
      case Refusal::space:
        return fmt::format("the {} is in a loop over {}, the {} in one over {}", name, space.text(), reader_name,
                           other.text());
      case Refusal::nodes:
        return fmt::format("one loop of the {} and the {} would have more than {} nodes", name, reader_name,
                           limits_.nodes);
      case Refusal::operands:
        return fmt::format("one loop of the {} and the {} would have more than {} operands", name, reader_name,
                           limits_.operands);
      case Refusal::results:
        return fmt::format("one loop of the {} and the {} would have more than {} results", name, reader_name,
                           limits_.results);
      default:
        return fmt::format("the loop of the {} has other readers, which cannot wait for what else the {} reads", name,
                           reader_name);
    }
  }

  // What was apart when its reader was placed may have met it since. Two loops are told of once.
  std::vector<StayedOut> still_apart() {
    std::vector<StayedOut> told;
    std::set<std::pair<int, int>> seen;
    for (StayedOut& pair : apart_) {
      const int first = group_of(pair.node), second = group_of(pair.reader);
      if (first != second && seen.emplace(first, second).second) told.push_back(std::move(pair));
    }
    append_refused(told);
    return told;
  }

  // Nodes that no loop takes, beside one that could be in theirs.
  void append_refused(std::vector<StayedOut>& told) {
    std::vector<bool> beside(graph_.nodes.size());
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      for (ValueId input : graph_.nodes[id].inputs) {
        if (group_[id] >= 0) beside[static_cast<std::size_t>(input.node)] = true;
        if (group_[static_cast<std::size_t>(input.node)] >= 0) beside[id] = true;
      }
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph_.nodes.size()); ++id) {
      if (!beside[static_cast<std::size_t>(id)]) continue;
      const Refusal refusal = refusal_of(id);
      const bool never_asked = refusal == Refusal::no_loop_op && node(id).op != Op::custom;
      // What a rule that is off would take is told of by the rule.
      if (refusal != Refusal::none && !never_asked && refusal != Refusal::excluded)
        told.push_back({id, id, text(refusal, id, id, {}, {})});
    }
  }

  const Graph& graph_;
  const std::vector<bool>& excluded_;
  const bool tell_why_;
  const LoopLimits& limits_;
  UseCounts uses_;
  std::vector<int> level_;  // of nodes without a group
  std::vector<int> group_;
  std::vector<Group> groups_;
  std::vector<StayedOut> apart_;
};

}  // namespace

LoopGroups group_loops(const Graph& graph, const std::vector<bool>& excluded, bool tell_why, const LoopLimits& limits) {
  return Grouping(graph, excluded, tell_why, limits).run();
}

}  // namespace lazuli
