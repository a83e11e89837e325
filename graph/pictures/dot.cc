// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/pictures/dot/clusters.h>
#include <lazuli/graph/pictures/dot/labels.h>
#include <lazuli/graph/pictures/dot/layers.h>
#include <lazuli/graph/pictures/dot/styles.h>
#include <lazuli/graph/pictures/dot/text.h>
#include <lazuli/graph/pictures/pictures.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

using dot::quoted;

// From this size on the layout is cheap instead of pretty; otherwise `dot` takes minutes.
constexpr std::size_t large_graph = 1500;

class DotWriter {
 public:
  DotWriter(const Graph& graph, const DotOptions& options)
      : graph_(graph), options_(options), drawing_(graph, options), clusters_(drawing_), ports_(drawing_) {
    collect_outputs();
  }

  std::string write() {
    out_.reserve(clusters_.drawn_count() * 400);
    write_header();
    write_clusters();
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      if (drawing_.drawn(id)) write_edges(id);
    for (const dot::Port& port : ports_.all()) out_ += dot::port_edges(drawing_, clusters_, port);
    if (options_.collapsed) out_ += dot::layer_row(drawing_, clusters_, ports_);
    for (const auto& [source, indices] : outputs_)
      if (!stands_in_group(source)) write_output(source, indices);
    write_legend();
    return std::move(out_) + "}\n";
  }

 private:
  void write_header() {
    out_ +=
        "digraph lazuli {\n"
        "  graph [rankdir=TB newrank=true fontname=\"Helvetica\" nodesep=0.2 ranksep=0.3 ";
    out_ += clusters_.drawn_count() > large_graph ? "splines=line nslimit=1 nslimit1=1 mclimit=0.1 searchsize=8"
                                                  : "splines=spline";
    out_ +=
        "];\n"
        "  node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=11 margin=\"0.09,0.04\" "
        "height=0.3];\n"
        "  edge [color=\"#7a7a7a\" arrowsize=0.6 penwidth=0.9 fontname=\"Helvetica\" fontsize=9 "
        "fontcolor=\"#555555\"];\n";
  }

  void write_clusters() {
    std::vector<std::pair<std::size_t, std::size_t>> stack;  // cluster, children written so far
    open_cluster(dot::ClusterTree::root, stack);
    while (!stack.empty()) {
      auto& [cluster, next] = stack.back();
      if (next < clusters_[cluster].children.size()) {
        open_cluster(clusters_[cluster].children[next++], stack);
        continue;
      }
      if (cluster != dot::ClusterTree::root) out_ += "  }\n";
      stack.pop_back();
    }
  }

  void open_cluster(std::size_t id, std::vector<std::pair<std::size_t, std::size_t>>& stack) {
    const dot::Cluster& cluster = clusters_[id];
    if (id != dot::ClusterTree::root)
      fmt::format_to(std::back_inserter(out_),
                     "  subgraph {} {{\n"
                     "  label={} tooltip={} labeljust=l fontsize=12 fontcolor=\"#555555\" style=\"rounded,filled\" "
                     "color=\"#c9c9c9\" fillcolor=\"{}\";\n",
                     quoted({"cluster_" + cluster.path}), quoted({cluster.title}), quoted({cluster.path}),
                     stack.size() % 2 == 1 ? "#f7f7f7" : "#efefef");
    if (cluster.group != CollapsedGraph::no_group) {
      for (const dot::Port& port : ports_.all())
        if (port.group == cluster.group) out_ += dot::port_node(drawing_, port);
      for (const auto& [source, indices] : outputs_)
        if (stands_in_group(source) && options_.collapsed->group(source.node) == cluster.group)
          write_output(source, indices);
    }
    for (const std::size_t node : cluster.nodes) write_node(node, clusters_.picture(node, id));
    stack.emplace_back(id, 0);
  }

  void write_node(std::size_t id, const std::string& picture) {
    const auto kind = static_cast<std::size_t>(dot::kind_of(graph_.nodes[id].op));
    kinds_[kind] = true;
    const dot::Style& style = dot::styles[kind];
    const NodeNote note = options_.annotate ? options_.annotate(static_cast<std::int32_t>(id)) : NodeNote{};
    fmt::format_to(std::back_inserter(out_),
                   "  {0} [id=\"{0}\" label=<{1}> fillcolor=\"{2}\" color=\"{3}\" {4} tooltip={5}];\n", picture,
                   dot::node_label(drawing_, id, note), note.text.empty() ? style.fill : dot::heat_colour(note.heat),
                   style.border, style.more, dot::node_tooltip(drawing_, id));
  }

  // Operands that are one value share an edge; views that are left out bring them about.
  void write_edges(std::size_t id) {
    const std::vector<ValueId>& inputs = graph_.nodes[id].inputs;
    std::vector<bool> written(inputs.size());
    for (std::size_t operand = 0; operand < inputs.size(); ++operand) {
      const ValueId source = drawing_.shown(inputs[operand]);
      if (written[operand] || drawing_.inlined(source)) continue;
      const dot::Port* port = ports_.of(id, operand);
      std::vector<std::string> operands;  // "operand 0: f32[4,8]"
      for (std::size_t other = operand; other < inputs.size(); ++other) {
        if (drawing_.shown(inputs[other]) != source || ports_.of(id, other) != port) continue;
        written[other] = true;
        operands.push_back(fmt::format("operand {}: {}", other, to_string(graph_.type(inputs[other]))));
      }
      const auto from = static_cast<std::size_t>(source.node);
      fmt::format_to(std::back_inserter(out_), "  {} -> n{} [{}tooltip={}];\n",
                     port ? port->id : clusters_.picture(from, clusters_.home(id)), id,
                     operands.size() == 1 ? std::string() : fmt::format("label=\" ×{}\" ", operands.size()),
                     quoted({fmt::format("{}", fmt::join(operands, ", "))}));
    }
  }

  // Results that one picture of a collapsed graph makes are one picture as well.
  void collect_outputs() {
    std::map<ValueId, std::size_t> known;
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ValueId source = drawing_.shown(graph_.outputs[i]);
      const auto [place, added] = known.try_emplace(source, outputs_.size());
      if (added || !options_.collapsed)
        outputs_.push_back({source, {static_cast<std::int64_t>(i)}});
      else
        outputs_[place->second].second.push_back(static_cast<std::int64_t>(i));
    }
  }

  bool stands_in_group(ValueId value) const {
    return options_.collapsed && !drawing_.inlined(value) &&
           options_.collapsed->group(value.node) != CollapsedGraph::no_group;
  }

  std::string output_name(const std::vector<std::int64_t>& indices) const {
    const auto first = static_cast<std::size_t>(indices[0]);
    const bool named = first < graph_.output_names.size() && !graph_.output_names[first].empty();
    if (indices.size() > 1) return fmt::format("{} outputs", indices.size());
    return named ? graph_.output_names[first] : fmt::format("output {}", first);
  }

  void write_output(ValueId source, const std::vector<std::int64_t>& indices) {
    const auto node = static_cast<std::size_t>(source.node);
    const std::string name = output_name(indices),
                      type = to_string(graph_.type(graph_.outputs[static_cast<std::size_t>(indices[0])]));
    std::string label = dot::bold(name);
    if (drawing_.inlined(source)) label += "<BR/>" + dot::small(dot::inlined_text(drawing_, node), "#404040");
    fmt::format_to(std::back_inserter(out_),
                   "  out{0} [id=\"out{0}\" label=<{1}> shape=oval peripheries=2 style=filled fillcolor=\"#e3edf9\" "
                   "color=\"#4a76a8\" tooltip={2}];\n",
                   indices[0], label, quoted({name, type, indices.size() > 1 ? index_ranges(indices) : std::string()}));
    if (!drawing_.inlined(source))
      fmt::format_to(std::back_inserter(out_), "  {} -> out{} [tooltip={}];\n",
                     clusters_.picture(node, dot::ClusterTree::root), indices[0], quoted({type}));
  }

  // The graph's own label: it stays out of the layout. It comes last, as clusters would inherit it.
  void write_legend() {
    std::string cells;
    for (std::size_t kind = 0; kind < dot::styles.size(); ++kind)
      if (kinds_[kind])
        cells += fmt::format("<TD BGCOLOR=\"{}\" COLOR=\"{}\" BORDER=\"1\">{}</TD>", dot::styles[kind].fill,
                             dot::styles[kind].border, dot::styles[kind].name);
    if (cells.empty()) return;
    out_ +=
        "  labelloc=t; labeljust=l; fontsize=9;\n  label=<<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"4\">"
        "<TR>" +
        cells + "</TR></TABLE>>;\n";
  }

  const Graph& graph_;
  const DotOptions& options_;
  const dot::Drawing drawing_;
  const dot::ClusterTree clusters_;
  const dot::Ports ports_;
  std::vector<std::pair<ValueId, std::vector<std::int64_t>>> outputs_;  // what is drawn, the outputs that it is
  std::array<bool, dot::kinds> kinds_{};
  std::string out_;
};

}  // namespace

std::string to_dot(const Graph& graph, const DotOptions& options) { return DotWriter(graph, options).write(); }

}  // namespace lazuli
