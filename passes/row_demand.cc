// SPDX-License-Identifier: MIT
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/row_demand.h>
#include <lazuli/passes/row_map.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace lazuli {
namespace {

// Some indices of an axis: those an i32 value holds, or an arithmetic sequence.
struct Selection {
  ValueId index;  // node < 0: the sequence
  std::int64_t begin = 0, end = 0, step = 1;
  std::int64_t count = 0;

  bool by_index() const { return index.node >= 0; }
  auto key() const { return std::tuple(index, begin, end, step); }
};

// What the readers of a value ask for.
struct Demand {
  enum Kind : std::uint8_t { nothing, whole, rows } kind = nothing;
  int axis = 0;
  int selection = -1;

  bool operator==(const Demand&) const = default;
};
constexpr Demand whole_demand{Demand::whole};

// A node that picks indices of one axis of its operand 0.
struct Picker {
  int axis;
  int selection;
};

// Walks backwards and collects demands: a value all of whose readers ask for the same indices is computed for those
// alone, and asks its operands for them in turn.
class DemandAnalysis {
 public:
  explicit DemandAnalysis(const Graph& graph) : graph_(graph), demands_(graph.nodes.size()) {}

  void run() {
    for (ValueId output : graph_.outputs) ask(output, whole_demand);
    for (std::size_t id = graph_.nodes.size(); id-- > 0;) visit(static_cast<std::int32_t>(id));
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) settle(static_cast<std::int32_t>(id));
  }

  const Demand& demand(std::int32_t id) const { return demands_[static_cast<std::size_t>(id)]; }
  bool narrows() const {
    return std::any_of(pickers_.begin(), pickers_.end(), [&](const auto& entry) {
      return demand(node(entry.first).inputs[0].node).kind == Demand::rows;
    });
  }
  const std::vector<Selection>& selections() const { return selections_; }
  std::optional<Picker> picker(std::int32_t id) const {
    const auto found = pickers_.find(id);
    return found == pickers_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }

  void ask(ValueId value, Demand wanted) {
    Demand& demand = demands_[static_cast<std::size_t>(value.node)];
    if (demand.kind == Demand::nothing)
      demand = wanted;
    else if (demand != wanted)
      demand = whole_demand;
  }

  void visit(std::int32_t id) {
    Demand& demand = demands_[static_cast<std::size_t>(id)];
    const GraphNode& current = node(id);
    if (demand.kind == Demand::nothing) return;
    if (demand.kind == Demand::rows) {
      const auto axes = is_leaf(current.op) ? std::nullopt : operand_axes(graph_, current, demand.axis);
      if (axes) {
        for (std::size_t i = 0; i < current.inputs.size(); ++i)
          ask(current.inputs[i],
              (*axes)[i] == whole_operand ? whole_demand : Demand{Demand::rows, (*axes)[i], demand.selection});
        return;
      }
      demand = whole_demand;
    }
    if (const auto pick = find_picker(current)) {
      pickers_.emplace(id, *pick);
      ask(current.inputs[0], {Demand::rows, pick->axis, pick->selection});
      if (current.inputs.size() > 1) ask(current.inputs[1], whole_demand);
      return;
    }
    for (ValueId input : current.inputs) ask(input, whole_demand);
  }

  // Picking rows before a view instead of behind it saves nothing, unless what it views is narrowed as well.
  void settle(std::int32_t id) {
    Demand& demand = demands_[static_cast<std::size_t>(id)];
    if (demand.kind != Demand::rows) return;
    const GraphNode& current = node(id);
    const bool computes = !is_view(current.op) && current.op != Op::take;
    const bool fewer_lookups =
        current.op == Op::take && operand_axes(graph_, current, demand.axis)->at(1) != whole_operand;
    if (!computes && !fewer_lookups && this->demand(current.inputs[0].node).kind != Demand::rows) demand = whole_demand;
  }

  std::optional<Picker> find_picker(const GraphNode& node) {
    if (node.op == Op::take) return take_picker(node);
    if (node.op == Op::slice) return slice_picker(node);
    return std::nullopt;
  }

  std::optional<Picker> take_picker(const GraphNode& node) {
    const Type &x = graph_.type(node.inputs[0]), &index = graph_.type(node.inputs[1]);
    const auto axis = static_cast<int>(node.as<AxisAttrs>().axis);
    // Of an index with a named axis a run has fewer: what they pick from may not be as long as that.
    if (index.named) return std::nullopt;
    const bool narrows = index.elements() > 0 && index.elements() < x.shape[static_cast<std::size_t>(axis)];
    if (!narrows || !can_hoist(node.inputs[1])) return std::nullopt;
    Selection selection;
    selection.index = node.inputs[1];
    selection.count = index.elements();
    return Picker{axis, selection_id(selection)};
  }

  std::optional<Picker> slice_picker(const GraphNode& node) {
    const auto& slice = node.as<SliceAttrs>();
    const Shape& sizes = graph_.type(node.inputs[0]).shape;
    std::optional<Picker> pick;
    if (node.type().elements() == 0) return std::nullopt;
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
      const bool reverses = slice.step[axis] < 0 && sizes[axis] > 1;
      if (node.type().shape[axis] == sizes[axis] && !reverses) continue;
      if (pick) return std::nullopt;
      Selection selection{{}, slice.begin[axis], slice.end[axis], slice.step[axis], node.type().shape[axis]};
      pick = Picker{static_cast<int>(axis), selection_id(selection)};
    }
    return pick;
  }

  // The index is needed before the op that makes the rows it picks from. Only what is computed from leaves by a few
  // small ops can move there.
  bool can_hoist(ValueId index) const {
    constexpr std::size_t max_nodes = 32;
    std::vector<std::int32_t> pending{index.node};
    for (std::size_t seen = 0; !pending.empty(); ++seen) {
      const GraphNode& current = node(pending.back());
      pending.pop_back();
      const bool small = is_leaf(current.op) || is_elementwise(current.op) || current.op == Op::reshape ||
                         current.op == Op::broadcast_to;
      if (!small || seen == max_nodes) return false;
      for (ValueId input : current.inputs) pending.push_back(input.node);
    }
    return true;
  }

  int selection_id(const Selection& selection) {
    const auto [found, is_new] = selection_ids_.emplace(selection.key(), static_cast<int>(selections_.size()));
    if (is_new) selections_.push_back(selection);
    return found->second;
  }

  const Graph& graph_;
  std::vector<Demand> demands_;
  std::vector<Selection> selections_;
  std::map<std::tuple<ValueId, std::int64_t, std::int64_t, std::int64_t>, int> selection_ids_;
  std::map<std::int32_t, Picker> pickers_;
};

// Writes the graph with each value as its demand wants it.
class DemandWriter {
 public:
  DemandWriter(const Graph& graph, const DemandAnalysis& analysis)
      : graph_(graph), analysis_(analysis), rewriter_(graph), written_(graph.nodes.size()) {}

  Graph write() {
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph_.nodes.size()); ++id) write_node(id);
    return rewriter_.finish();
  }

 private:
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }

  void write_node(std::int32_t id) {
    if (written_[static_cast<std::size_t>(id)]) return;
    const Demand& demand = analysis_.demand(id);
    const bool is_dead = demand.kind == Demand::nothing && !is_leaf(node(id).op);
    if (is_dead) return;
    written_[static_cast<std::size_t>(id)] = true;
    if (demand.kind == Demand::rows && !is_leaf(node(id).op))
      write_narrowed(id, demand);
    else if (const auto pick = analysis_.picker(id);
             pick && analysis_.demand(node(id).inputs[0].node).kind == Demand::rows)
      write_picked(id, *pick);
    else
      rewriter_.copy(id);
  }

  // The operand holds the picked rows alone: nothing is left to pick. An index of rank 0 drops the axis, one of several
  // axes spreads it over as many.
  void write_picked(std::int32_t id, const Picker& pick) {
    const GraphNode& picker = node(id);
    ValueId rows = rows_of(picker.inputs[0], {Demand::rows, pick.axis, pick.selection});
    if (rewriter_.result().type(rows) != picker.type())
      rows = add_node(rewriter_.result(), Op::reshape, ReshapeAttrs{picker.type().shape}, {rows}, picker.scope,
                      picker.from);
    rewriter_.map({id, 0}, rows);
  }

  void write_narrowed(std::int32_t id, const Demand& demand) {
    const GraphNode& old = node(id);
    const auto axes = operand_axes(graph_, old, demand.axis);
    std::vector<ValueId> inputs;
    for (std::size_t i = 0; i < old.inputs.size(); ++i)
      inputs.push_back((*axes)[i] == whole_operand
                           ? rewriter_.mapped(old.inputs[i])
                           : rows_of(old.inputs[i], {Demand::rows, (*axes)[i], demand.selection}));
    const std::int64_t count = selection(demand).count;
    narrowed_[id] = add_node(rewriter_.result(), old.op, narrowed_attrs(old, demand.axis, count), std::move(inputs),
                             old.scope, old.from);
  }

  const Selection& selection(const Demand& demand) const {
    return analysis_.selections()[static_cast<std::size_t>(demand.selection)];
  }

  // The selected rows of a value: computed so, or picked from the whole value, once.
  ValueId rows_of(ValueId value, const Demand& demand) {
    if (const auto found = narrowed_.find(value.node); found != narrowed_.end())
      return {found->second.node, value.output};
    const auto [found, is_new] = picked_.emplace(std::tuple(value, demand.axis, demand.selection), ValueId{});
    if (is_new) found->second = pick(value, demand);
    return found->second;
  }

  ValueId pick(ValueId value, const Demand& demand) {
    const Selection& wanted = selection(demand);
    const GraphNode& origin = graph_.node(value);
    const ValueId whole = rewriter_.mapped(value);
    if (wanted.by_index())
      return add_node(rewriter_.result(), Op::take, AxisAttrs{demand.axis}, {whole, index_of(demand.selection)},
                      origin.scope, origin.from);
    const Shape& sizes = graph_.type(value).shape;
    SliceAttrs slice{Dims(sizes.size(), 0), sizes, Dims(sizes.size(), 1)};
    const auto axis = static_cast<std::size_t>(demand.axis);
    slice.begin[axis] = wanted.begin;
    slice.end[axis] = wanted.end;
    slice.step[axis] = wanted.step;
    return add_node(rewriter_.result(), Op::slice, std::move(slice), {whole}, origin.scope, origin.from);
  }

  // The index as i32[n], so that picking keeps the axis.
  ValueId index_of(int id) {
    if (const auto found = indices_.find(id); found != indices_.end()) return found->second;
    const Selection& wanted = analysis_.selections()[static_cast<std::size_t>(id)];
    hoist(wanted.index.node);
    ValueId index = rewriter_.mapped(wanted.index);
    if (graph_.type(wanted.index).shape.size() != 1) {
      const GraphNode& origin = graph_.node(wanted.index);
      index =
          add_node(rewriter_.result(), Op::reshape, ReshapeAttrs{{wanted.count}}, {index}, origin.scope, origin.from);
    }
    indices_.emplace(id, index);
    return index;
  }

  void hoist(std::int32_t index) {
    std::vector<std::int32_t> needed, pending{index};
    while (!pending.empty()) {
      const std::int32_t id = pending.back();
      pending.pop_back();
      if (written_[static_cast<std::size_t>(id)]) continue;
      needed.push_back(id);
      for (ValueId input : node(id).inputs) pending.push_back(input.node);
    }
    std::sort(needed.begin(), needed.end());
    for (std::int32_t id : needed) write_node(id);
  }

  const Graph& graph_;
  const DemandAnalysis& analysis_;
  GraphRewriter rewriter_;
  std::vector<bool> written_;
  std::map<std::int32_t, ValueId> narrowed_;
  std::map<std::tuple<ValueId, int, int>, ValueId> picked_;
  std::map<int, ValueId> indices_;
};

}  // namespace

Graph row_demand(Graph graph, PassContext&) {
  DemandAnalysis analysis(graph);
  analysis.run();
  if (!analysis.narrows()) return graph;
  return DemandWriter(graph, analysis).write();
}

}  // namespace lazuli
