// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/pictures/dot/labels.h>
#include <lazuli/graph/pictures/dot/text.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::dot {
namespace {

constexpr std::size_t max_replaced = 8;   // distinct op names listed in a node
constexpr std::size_t max_constants = 6;  // weights listed in a node
constexpr std::size_t max_label = 40;     // bytes of a weight's name
constexpr std::size_t max_sources = 24;   // sources listed in a tooltip

constexpr std::string_view grey = "#8a8a8a", dark = "#333333", type_grey = "#404040", brown = "#5f5226",
                           green = "#2d6b33", red = "#7a1500";

// What a reader wants to know of the attributes; the tooltip has them all.
struct ShortAttrs {
  const Type* operand;      // 0; null: there is none
  const SliceAttrs* other;  // those of a slice in another layer that the same picture is of; null: there is none
  std::int64_t layer;       // of the picture

  std::string operator()(const ReduceAttrs& attrs) const {
    return fmt::format("{} {}", attrs.axes.size() == 1 ? "axis" : "axes", fmt::join(attrs.axes, ","));
  }
  std::string operator()(const AxisAttrs& attrs) const { return fmt::format("axis {}", attrs.axis); }
  std::string operator()(const CumulativeAttrs& attrs) const {
    return fmt::format("axis {}{}{}", attrs.axis, attrs.reverse ? ", reverse" : "",
                       attrs.exclusive ? ", exclusive" : "");
  }
  std::string operator()(const TopKAttrs& attrs) const { return fmt::format("k {}", attrs.k); }
  std::string operator()(const TransposeAttrs& attrs) const {
    return fmt::format("{}", fmt::join(attrs.permutation, ","));
  }
  std::string operator()(const SliceAttrs& attrs) const {
    std::string text;
    for (std::size_t axis = 0; axis < attrs.begin.size() && axis < attrs.end.size(); ++axis) {
      text += text.empty() ? "[" : ", ";
      text += range(attrs, axis);
      if (axis < attrs.step.size() && attrs.step[axis] != 1) text += fmt::format(":{}", attrs.step[axis]);
    }
    return text.empty() ? text : text + "]";
  }
  std::string operator()(const SliceUpdateAttrs& attrs) const {
    return fmt::format("axis {}{}", attrs.axis, attrs.ring ? ", ring" : "");
  }
  std::string operator()(const SoftcapAttrs& attrs) const { return fmt::format("cap {}", attrs.cap.value); }
  std::string operator()(const RopeAttrs& attrs) const { return fmt::format("base {}", attrs.base.value); }
  std::string operator()(const AttentionAttrs& attrs) const {
    return attrs.window > 0 ? fmt::format("window {}", attrs.window) : std::string();
  }
  std::string operator()(const AltupAttrs& attrs) const { return fmt::format("active {}", attrs.active); }
  std::string operator()(const CustomAttrs& attrs) const { return std::string(attrs.op.attributes()); }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }

 private:
  // ":" of a whole axis, "2:4", and "i", "i:i+2" where it goes by the number of the layer.
  std::string range(const SliceAttrs& attrs, std::size_t axis) const {
    const std::int64_t begin = attrs.begin[axis], end = attrs.end[axis];
    if (begin == 0 && operand && axis < operand->shape.size() && end == operand->shape[axis]) return ":";
    if (!other || other->begin[axis] == begin) return fmt::format("{}:{}", begin, end);
    return end == begin + 1 ? by_layer(begin) : fmt::format("{}:{}", by_layer(begin), by_layer(end));
  }
  std::string by_layer(std::int64_t place) const { return place == layer ? "i" : fmt::format("i{:+}", place - layer); }
};

// "mul ×3", "tanh": each once.
std::vector<std::string> counted(const std::vector<std::string_view>& ops) {
  std::vector<std::pair<std::string_view, int>> counts;
  for (const std::string_view op : ops) {
    const auto known = std::find_if(counts.begin(), counts.end(), [&](const auto& count) { return count.first == op; });
    if (known == counts.end())
      counts.emplace_back(op, 1);
    else
      ++known->second;
  }
  std::vector<std::string> names;
  for (const auto& [op, count] : counts)
    names.push_back(count == 1 ? std::string(op) : fmt::format("{} ×{}", op, count));
  if (names.size() > max_replaced) {
    const std::size_t more = names.size() - max_replaced;
    names.resize(max_replaced);
    names.push_back(fmt::format("{} more", more));
  }
  return names;
}

std::vector<std::string_view> computing_ops(const Graph& body) {
  std::vector<std::string_view> ops;
  for (const GraphNode& inner : body.nodes)
    if (!is_leaf(inner.op) && !is_view(inner.op)) ops.push_back(inner.name());
  return ops;
}

// Of the nodes that `node` stands for; empty where that is only itself. Leaves and views are left out.
std::vector<std::string> replaced_ops(const GraphNode& node) {
  std::vector<std::string_view> ops;
  for (const Source& source : node.from)
    if (!is_leaf(source.op) && !is_view(source.op)) ops.push_back(source.name());
  if (ops.empty() && node.body) ops = computing_ops(*node.body);
  if (ops == std::vector{node.op == Op::custom ? node.name() : to_string(node.op)}) return {};
  return counted(ops);
}

std::string_view infix(Op op) {
  switch (op) {
    case Op::add:
      return "+";
    case Op::sub:
      return "−";
    case Op::mul:
      return "×";
    case Op::div:
      return "/";
    case Op::pow:
      return "^";
    case Op::equal:
      return "=";
    case Op::not_equal:
      return "≠";
    case Op::less:
      return "<";
    case Op::less_equal:
      return "≤";
    case Op::greater:
      return ">";
    case Op::greater_equal:
      return "≥";
    default:
      return {};
  }
}

std::string scalar_text(const GraphNode& scalar) { return fmt::format("{:.6g}", scalar.as<ScalarAttrs>().value.value); }

// Names of folded weights spell their formula out.
std::string shortened(const std::string& label) {
  if (label.size() <= max_label) return label;
  return label.substr(0, max_label / 2) + "…" + label.substr(label.size() - max_label / 2);
}

// "blk.*.ffn_down.weight q4_0[640,2048]"; layers that are alike may have theirs in several types.
std::string constant_text(const Drawing& drawing, std::size_t id) {
  const GraphNode& constant = drawing.node(id);
  std::vector<std::string> dtypes;
  if (constant.types.empty()) return shortened(drawing.label(id));
  for (const std::int32_t member : drawing.members(id)) {
    const GraphNode& alike = drawing.node(static_cast<std::size_t>(member));
    std::string dtype(alike.types.empty() ? std::string_view() : to_string(alike.type().dtype));
    if (std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end()) dtypes.push_back(std::move(dtype));
  }
  return fmt::format("{} {}{}", constant.label.empty() ? "constant" : shortened(drawing.label(id)),
                     fmt::join(dtypes, "|"), to_string(constant.type().shape));
}

// "x × 0.5": shows the numbers among the operands, which are not nodes of the picture. "" when there are none.
std::string scalar_formula(const Drawing& drawing, const GraphNode& node) {
  std::vector<std::string> operands;
  bool found = false;
  int variables = 0;
  for (const ValueId input : node.inputs) {
    const GraphNode& operand = drawing.node(drawing.shown(input));
    const bool number = operand.op == Op::scalar;
    found |= number;
    operands.push_back(number ? scalar_text(operand) : std::string(1, "xyzuvw"[variables++ % 6]));
  }
  if (!found) return {};
  if (is_view(node.op)) return operands[0];
  const std::string_view symbol = infix(node.op);
  // Launches take what they like.
  if (!symbol.empty() && operands.size() == 2) return fmt::format("{} {} {}", operands[0], symbol, operands[1]);
  return fmt::format("{}({})", node.name(), fmt::join(operands, ", "));
}

std::string title(const Drawing& drawing, std::size_t id) {
  const GraphNode& node = drawing.node(id);
  const bool named = node.op == Op::input || node.op == Op::constant;
  const bool plain = is_view(node.op);
  std::string name(node.name().empty() ? to_string(node.op) : node.name());
  if (named && !node.label.empty()) name = drawing.label(id);
  std::string text = plain ? html(name) : bold(name);
  if (node.op == Op::input && node.label.empty()) text += fmt::format(" {}", node.as<InputAttrs>().index);
  const std::span<const std::int32_t> members = drawing.members(id);
  ShortAttrs short_attrs{node.inputs.empty() ? nullptr : &drawing.graph().type(node.inputs[0]), nullptr, 0};
  if (members.size() > 1) {
    short_attrs.other = std::get_if<SliceAttrs>(&drawing.node(static_cast<std::size_t>(members[1])).attrs);
    short_attrs.layer = drawing.options().collapsed->layer(static_cast<std::int32_t>(id));
  }
  if (const std::string attrs = std::visit(short_attrs, node.attrs); !attrs.empty())
    text += fmt::format(" {}", small(attrs, plain ? grey : dark));
  return text;
}

void append_names(std::string_view title, const std::vector<std::string>& names, std::vector<std::string>& lines) {
  std::string line;
  for (std::size_t i = 0; i < names.size(); ++i) {
    line += i == 0 ? title : " · ";
    line += names[i];
    if (i % 4 < 3 && i + 1 < names.size()) continue;
    lines.push_back(small(line, green));
    line.clear();
  }
}

void append_replaced(const GraphNode& node, std::vector<std::string>& lines) {
  append_names("replaces ", replaced_ops(node), lines);
  if (!is_control_flow(node.op)) return;
  for (const auto& [name, body] : bodies_of(node))
    append_names(fmt::format("{}: ", name), counted(computing_ops(*body)), lines);
}

// What stands in the bodies of control flow: "body: 3 mul(0, 2); 4 add(3, 1); gives 4".
std::string body_text(const NamedBody& of) {
  std::string text = fmt::format("{}: ", of.name);
  const auto list = [](const std::vector<ValueId>& values) {
    std::vector<std::string> names;
    for (const ValueId value : values)
      names.push_back(value.output == 0 ? fmt::format("{}", value.node)
                                        : fmt::format("{}:{}", value.node, value.output));
    return fmt::format("{}", fmt::join(names, ", "));
  };
  for (std::size_t id = 0; id < of.graph->nodes.size(); ++id) {
    const GraphNode& node = of.graph->nodes[id];
    if (node.op == Op::scalar)
      text += fmt::format("{} {}; ", id, scalar_text(node));
    else if (node.op != Op::input)
      text += fmt::format("{} {}({}); ", id, node.name(), list(node.inputs));
  }
  return text + "gives " + list(of.graph->outputs);
}
std::string body_texts(const GraphNode& node) {
  std::string text;
  if (is_control_flow(node.op))
    for (const NamedBody& body : bodies_of(node)) text += (text.empty() ? "" : " | ") + body_text(body);
  return text;
}

void append_constants(const Drawing& drawing, const GraphNode& node, std::vector<std::string>& lines) {
  if (drawing.options().constants) return;
  std::size_t count = 0;
  for (const ValueId input : node.inputs) {
    const ValueId constant = drawing.shown(input);
    if (drawing.node(constant).op != Op::constant || ++count > max_constants) continue;
    lines.push_back(small(constant_text(drawing, static_cast<std::size_t>(constant.node)), brown));
  }
  if (count > max_constants) lines.push_back(small(fmt::format("and {} more", count - max_constants), brown));
}

void append_note(const NodeNote& note, std::vector<std::string>& lines) {
  for (std::string_view rest = note.text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) lines.push_back(small(rest.substr(0, end), red));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace

std::string node_label(const Drawing& drawing, std::size_t id, const NodeNote& note) {
  const GraphNode& node = drawing.node(id);
  std::vector<std::string> lines{title(drawing, id)};
  if (const std::string formula = scalar_formula(drawing, node); !formula.empty())
    lines.push_back(small(formula, dark));
  append_replaced(node, lines);
  append_constants(drawing, node, lines);
  for (const Type& type : node.types) lines.push_back(small(to_string(type), is_view(node.op) ? grey : type_grey));
  append_note(note, lines);
  return fmt::format("{}", fmt::join(lines, "<BR/>"));
}

std::string node_tooltip(const Drawing& drawing, std::size_t id) {
  const GraphNode& node = drawing.node(id);
  std::string sources, others;
  for (std::size_t i = 0; i < std::min(node.from.size(), max_sources); ++i)
    sources += fmt::format("{}{}:{}", i == 0 ? "from " : ", ", node.from[i].node, node.from[i].name());
  if (node.from.size() > max_sources) sources += fmt::format(" and {} more", node.from.size() - max_sources);
  const std::span<const std::int32_t> members = drawing.members(id);
  if (members.size() > 1) others = fmt::format("stands for nodes {}", fmt::join(members, ", "));
  return quoted({fmt::format("node {}: {} {}", id, node.op == Op::custom ? node.name() : to_string(node.op),
                             to_string(node.attrs)),
                 node.scope ? std::string_view(*node.scope) : std::string_view(), sources, others, body_texts(node)});
}

std::string inlined_text(const Drawing& drawing, std::size_t id) {
  const GraphNode& leaf = drawing.node(id);
  return leaf.op == Op::scalar ? scalar_text(leaf) : constant_text(drawing, id);
}

}  // namespace lazuli::dot
