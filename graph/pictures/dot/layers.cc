// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/pictures/dot/layers.h>
#include <lazuli/graph/pictures/dot/text.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace lazuli::dot {
namespace {

constexpr std::size_t max_port_lines = 3;
constexpr std::string_view passage_style = "style=dashed penwidth=1.5 color=\"#4a76a8\" fontcolor=\"#4a76a8\"";

bool in_layer(const Drawing& drawing, ValueId value) {
  return drawing.options().collapsed->group(value.node) != CollapsedGraph::no_group;
}

// "rms_norm of the layer before", "slice_update of layer 18".
std::string port_line(const Drawing& drawing, const Port::Source& source) {
  const std::string crossing = drawing.options().collapsed->crossing(source.edges);
  return fmt::format("{} {}", drawing.node(source.shown).name(),
                     crossing.starts_with("next ") ? fmt::format("of the {} before", crossing.substr(5)) : crossing);
}

// The pictures of a group's first and last nodes.
struct Ends {
  std::string first, last;
};

Ends ends_of(const Drawing& drawing, const Ports& ports, std::int32_t group) {
  Ends ends;
  for (const std::int32_t id : drawing.options().collapsed->groups()[static_cast<std::size_t>(group)].nodes[0]) {
    if (!drawing.drawn(static_cast<std::size_t>(id))) continue;
    ends.last = fmt::format("n{}", id);
    if (ends.first.empty() && !is_leaf(drawing.node(static_cast<std::size_t>(id)).op)) ends.first = ends.last;
  }
  for (const Port& port : ports.all()) {
    if (port.group != group) continue;
    ends.first = port.id;
    break;
  }
  return ends;
}

std::string group_nodes(const Drawing& drawing, const std::vector<Ends>& ends) {
  std::string text;
  for (std::size_t group = 0; group < ends.size(); ++group) {
    fmt::format_to(std::back_inserter(text),
                   "  group{0} [id=\"group{0}\" label={1} style=\"filled,bold\" fillcolor=\"#dfe8f3\" "
                   "color=\"#4a76a8\"];\n",
                   group, quoted({drawing.options().collapsed->title(static_cast<std::int32_t>(group))}));
    if (group > 0) fmt::format_to(std::back_inserter(text), "  group{} -> group{} [style=invis];\n", group - 1, group);
  }
  return text;
}

// Where two groups read from each other, one arrow has two heads.
std::string arrows_between_groups(const std::vector<Passage>& passages) {
  std::string text;
  for (const Passage& passage : passages) {
    const bool both =
        std::binary_search(passages.begin(), passages.end(), Passage{passage.to, passage.from, passage.label});
    if (passage.from == passage.to || (both && passage.from > passage.to)) continue;
    const auto [left, right] = std::minmax(passage.from, passage.to);
    fmt::format_to(std::back_inserter(text), "  group{} -> group{} [label={} dir={} {}];\n", left, right,
                   quoted({passage.label}),
                   both                   ? "both"
                   : passage.from == left ? "forward"
                                          : "back",
                   passage_style);
  }
  return text;
}

// Outside all layers, and reads nothing that is drawn there.
bool comes_first(const Drawing& drawing, const ClusterTree& clusters, std::size_t id) {
  if (!drawing.drawn(id) || clusters.repeated(id) || in_layer(drawing, {static_cast<std::int32_t>(id), 0}))
    return false;
  const std::vector<ValueId>& inputs = drawing.node(id).inputs;
  return std::all_of(inputs.begin(), inputs.end(), [&](ValueId input) {
    const ValueId shown = drawing.shown(input);
    return drawing.inlined(shown) || clusters.repeated(static_cast<std::size_t>(shown.node));
  });
}

}  // namespace

Ports::Ports(const Drawing& drawing) {
  if (!drawing.options().collapsed) return;
  for (std::size_t id = 0; id < drawing.graph().nodes.size(); ++id)
    if (drawing.drawn(id) &&
        drawing.options().collapsed->group(static_cast<std::int32_t>(id)) != CollapsedGraph::no_group)
      for (std::size_t operand = 0; operand < drawing.node(id).inputs.size(); ++operand) add(drawing, id, operand);
}

const Port* Ports::of(std::size_t reader, std::size_t operand) const {
  const auto known = of_.find({reader, operand});
  return known == of_.end() ? nullptr : &ports_[known->second];
}

std::vector<Passage> Ports::passages(const CollapsedGraph& collapsed) const {
  std::set<Passage> found;
  for (const Port& port : ports_)
    for (const Port::Source& source : port.sources)
      if (const std::int32_t from = collapsed.group(source.shown.node); from != CollapsedGraph::no_group)
        found.insert({from, port.group, collapsed.crossing(source.edges)});
  return {found.begin(), found.end()};
}

void Ports::add(const Drawing& drawing, std::size_t reader, std::size_t operand) {
  const CollapsedGraph& collapsed = *drawing.options().collapsed;
  const std::int32_t group = collapsed.group(static_cast<std::int32_t>(reader));
  std::vector<ValueId> values;
  bool inside = true, same = true;
  for (const std::int32_t member : drawing.members(reader)) {
    const ValueId value = drawing.source(drawing.node(static_cast<std::size_t>(member)).inputs[operand]);
    inside = inside && collapsed.group(value.node) == group && collapsed.layer(value.node) == collapsed.layer(member);
    same = same && collapsed.group(value.node) == CollapsedGraph::no_group && (values.empty() || value == values[0]);
    values.push_back(value);
  }
  if (inside || same || drawing.inlined(drawing.shown(values[0]))) return;
  const auto [known, added] = known_.try_emplace({group, values}, ports_.size());
  of_.emplace(std::pair(reader, operand), known->second);
  if (!added) return;
  Port port{fmt::format("in{}_{}", group, ports_.size()), drawing.graph().type(values[0]), group, {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ValueId shown = drawing.shown(values[i]);
    auto source = std::find_if(port.sources.begin(), port.sources.end(),
                               [&](const Port::Source& other) { return other.shown == shown; });
    if (source == port.sources.end()) source = port.sources.insert(port.sources.end(), Port::Source{shown, {}});
    source->edges.emplace_back(values[i].node, drawing.members(reader)[i]);
  }
  ports_.push_back(std::move(port));
}

std::string port_node(const Drawing& drawing, const Port& port) {
  std::vector<std::string> lines;
  for (const Port::Source& source : port.sources) {
    if (!in_layer(drawing, source.shown)) continue;
    std::string line = small(port_line(drawing, source), "#404040");
    if (lines.size() < max_port_lines && std::find(lines.begin(), lines.end(), line) == lines.end())
      lines.push_back(std::move(line));
  }
  lines.push_back(small(to_string(port.type), "#404040"));
  return fmt::format("  {0} [id=\"{0}\" label=<{1}> style=dashed color=\"#9a9a9a\" tooltip={2}];\n", port.id,
                     fmt::join(lines, "<BR/>"), quoted({"a value from other layers"}));
}

std::string port_edges(const Drawing& drawing, const ClusterTree& clusters, const Port& port) {
  std::string text;
  for (const Port::Source& source : port.sources)
    if (!in_layer(drawing, source.shown))
      fmt::format_to(std::back_inserter(text), "  {} -> {} [label={} tooltip={}];\n",
                     clusters.picture(static_cast<std::size_t>(source.shown.node), ClusterTree::root), port.id,
                     quoted({drawing.options().collapsed->crossing(source.edges)}), quoted({to_string(port.type)}));
  return text;
}

std::string layer_row(const Drawing& drawing, const ClusterTree& clusters, const Ports& ports) {
  const CollapsedGraph& collapsed = *drawing.options().collapsed;
  const std::vector<Passage> passages = ports.passages(collapsed);
  std::vector<Ends> ends;
  for (std::size_t group = 0; group < collapsed.groups().size(); ++group)
    ends.push_back(ends_of(drawing, ports, static_cast<std::int32_t>(group)));
  if (ends.empty()) return {};
  std::string text = "  {rank=same;\n" + group_nodes(drawing, ends) + arrows_between_groups(passages) + "  }\n";
  for (std::size_t group = 0; group < ends.size(); ++group)
    if (!ends[group].first.empty())
      fmt::format_to(std::back_inserter(text), "  group{} -> {} [style=invis weight=8];\n", group, ends[group].first);
  for (std::size_t id = 0; id < drawing.graph().nodes.size(); ++id)
    if (comes_first(drawing, clusters, id))
      fmt::format_to(std::back_inserter(text), "  group0 -> n{} [style=invis];\n", id);
  for (const Passage& passage : passages)
    if (passage.from == passage.to)
      fmt::format_to(std::back_inserter(text), "  {} -> {} [label={} constraint=false {}];\n",
                     ends[static_cast<std::size_t>(passage.from)].last,
                     ends[static_cast<std::size_t>(passage.to)].first, quoted({passage.label}), passage_style);
  return text;
}

}  // namespace lazuli::dot
