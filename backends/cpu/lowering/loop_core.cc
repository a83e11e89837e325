// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/loop_core.h>

#include <algorithm>
#include <map>

namespace lazuli::cpu {
namespace {

class CoreBuilder {
 public:
  CoreBuilder(const Graph& body, std::span<const View> operands, std::span<const View> results)
      : body_(body), operands_(operands), results_(results) {}

  LoopCore build() {
    for (std::size_t id = 0; id < body_.nodes.size(); ++id) visit(static_cast<std::int32_t>(id));
    for (std::size_t output = 0; output < body_.outputs.size(); ++output)
      emit_output(body_.outputs[output], results_[output]);
    for (View& target : targets_) core_.operands.push_back(std::move(target));
    for (const GraphNode& current : core_.body.nodes) {
      core_.shape = broadcast_shapes(core_.shape, current.type().shape, "fused");
      core_.reduces = core_.reduces || is_reduction(current.op);
    }
    if (core_.shape.empty()) core_.shape = {1};
    return std::move(core_);
  }

 private:
  const GraphNode& node(ValueId value) const { return body_.node(value); }

  void visit(std::int32_t id) {
    const ValueId value{id, 0};
    const GraphNode& current = node(value);
    if (current.op == Op::input) {
      windows_[value] = operands_[static_cast<std::size_t>(current.as<InputAttrs>().index)];
    } else if (is_view(current.op) && windows_.contains(current.inputs[0])) {
      const std::optional<View> window = apply_view(current.op, current.attrs, windows_.at(current.inputs[0]));
      if (!window) throw CompileError(fmt::format("cpu: %{} {} in a fused body needs a copy", id, current.name()));
      windows_[value] = *window;
    } else if (current.op == Op::reshape || current.op == Op::concatenate) {
      return;  // of computed values: results only, see emit_output
    } else {
      GraphNode copy = current;
      for (ValueId& input : copy.inputs) input = computed(input);
      values_[value] = core_.body.add(std::move(copy));
    }
  }

  // The core value of a body value; windows become core inputs when first read.
  ValueId computed(ValueId value) {
    const auto found = values_.find(value);
    if (found != values_.end()) return found->second;
    const auto window = windows_.find(value);
    if (window == windows_.end()) {
      if (node(value).op == Op::reshape) return computed(node(value).inputs[0]);
      throw CompileError(fmt::format("cpu: {} cannot stand inside a fused body", node(value).name()));
    }
    GraphNode input;
    input.op = Op::input;
    input.attrs = InputAttrs{static_cast<std::int64_t>(core_.operands.size())};
    input.types = {{window->second.dtype, window->second.shape}};
    core_.operands.push_back(window->second);
    return values_[value] = core_.body.add(std::move(input));
  }

  void emit_output(ValueId root, const View& root_target) {
    std::vector<std::pair<ValueId, View>> pending{{root, root_target}};
    while (!pending.empty()) {
      auto [value, target] = std::move(pending.back());
      pending.pop_back();
      const GraphNode& current = node(value);
      const bool is_computed = !windows_.contains(value);
      if (is_computed && current.op == Op::concatenate) {
        const auto axis = static_cast<int>(current.as<AxisAttrs>().axis);
        std::int64_t begin = 0;
        for (ValueId part : current.inputs) {
          const std::int64_t size = body_.type(part).shape[static_cast<std::size_t>(axis)];
          pending.emplace_back(part, slice_view(target, axis, begin, begin + size));
          begin += size;
        }
      } else if (is_computed && current.op == Op::reshape) {
        const std::optional<View> reshaped =
            apply_view(Op::reshape, ReshapeAttrs{body_.type(current.inputs[0]).shape}, target);
        if (!reshaped) throw CompileError("cpu: a result of a fused body cannot be reshaped in place");
        pending.emplace_back(current.inputs[0], *reshaped);
      } else {
        core_.body.outputs.push_back(computed(value));
        targets_.push_back(std::move(target));
      }
    }
  }

  const Graph& body_;
  std::span<const View> operands_, results_;
  LoopCore core_;
  std::vector<View> targets_;
  std::map<ValueId, View> windows_;
  std::map<ValueId, ValueId> values_;
};

}  // namespace

LoopCore make_loop_core(const Graph& body, std::span<const View> operands, std::span<const View> results) {
  return CoreBuilder(body, operands, results).build();
}

// Without reductions an operand is narrow when it does not move along the columns; with them its shape decides, since a
// reduction over a broadcast operand still counts every column.
void mark_full_and_narrow(LoopCore& core, const LoopSpace& space) {
  const bool single_column = space.columns() == 1;
  std::vector<bool> full(core.body.nodes.size());
  for (std::size_t id = 0; id < core.body.nodes.size(); ++id) {
    GraphNode& node = core.body.nodes[id];
    if (node.op == Op::input) {
      const auto operand = static_cast<std::size_t>(node.as<InputAttrs>().index);
      full[id] = core.reduces ? !node.type().shape.empty() && node.type().shape.back() == core.shape.back()
                              : space.column_stride(operand) != 0;
    } else if (node.op == Op::broadcast_to) {
      full[id] = full[static_cast<std::size_t>(node.inputs[0].node)] ||
                 (core.reduces && !node.type().shape.empty() && node.type().shape.back() == core.shape.back());
      node.attrs = ReshapeAttrs{{full[id] && !single_column ? 2 : 1}};
    } else if (is_reduction(node.op)) {
      full[id] = false;
      node.attrs = ReduceAttrs{{0}, true};
    } else {
      for (ValueId input : node.inputs) full[id] = full[id] || full[static_cast<std::size_t>(input.node)];
    }
    if (single_column) full[id] = false;
    if (node.op == Op::scalar) continue;
    node.types[0].shape = {full[id] ? 2 : 1};
    node.types[0].named = {};  // kernels know no sizes: plain arrays and those with names share them
  }
  // A narrow value stored into every column of a result has to be spread out first.
  for (std::size_t output = 0; output < core.body.outputs.size(); ++output) {
    ValueId& value = core.body.outputs[output];
    const std::size_t operand = core.operands.size() - core.body.outputs.size() + output;
    if (full[static_cast<std::size_t>(value.node)] || space.column_stride(operand) == 0) continue;
    GraphNode spread;
    spread.op = Op::broadcast_to;
    spread.attrs = ReshapeAttrs{{2}};
    spread.inputs = {value};
    spread.types = {{core.body.type(value).dtype, {2}}};
    value = core.body.add(std::move(spread));
    full.push_back(true);
  }
}

}  // namespace lazuli::cpu
