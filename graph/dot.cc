#include <lazuli/graph/error.h>
#include <lazuli/graph/views.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>
#include <unordered_map>

namespace lazuli {
namespace {

// From this size on the layout is cheap instead of pretty; otherwise `dot` takes minutes.
constexpr std::size_t large_graph = 1500;
constexpr std::size_t max_replaced = 8;   // distinct op names listed in a node
constexpr std::size_t max_constants = 6;  // weights listed in a node
constexpr std::size_t max_sources = 24;   // sources listed in a tooltip

// Length of the UTF-8 sequence at the start of `text`; 0 when it is not one. Graphviz rejects anything else.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool no_character = (lead == 0xed && byte(1) >= 0xa0) || (lead == 0xf4 && byte(1) >= 0x90);
  return overlong || no_character ? 0 : length;
}

// Text of HTML-like labels; control characters and bytes that are no UTF-8 become U+FFFD.
std::string html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0 || (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)))
      out += "\xef\xbf\xbd";
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

// A quoted DOT string. Graphviz reads escapes and entities inside, so both are escaped; lines are joined by "\n".
std::string quoted(std::initializer_list<std::string_view> lines) {
  std::string out = "\"";
  for (std::string_view line : lines) {
    if (line.empty()) continue;
    if (out.size() > 1) out += "\\n";
    for (char c : html(line)) {
      if (c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

// Graphviz rejects markup around nothing, so `text` must not be empty.
std::string bold(std::string_view text) { return fmt::format("<B>{}</B>", html(text)); }
std::string small(std::string_view text, const char* colour) {
  return fmt::format("<FONT POINT-SIZE=\"9\" COLOR=\"{}\">{}</FONT>", colour, html(text));
}

enum class Kind : std::uint8_t { input, constant, matrix, elementwise, reduction, movement, view, fused };

struct Style {
  const char* name;  // in the legend
  const char* fill;
  const char* border;
  const char* more;  // DOT attributes besides
};

// By Kind.
constexpr std::array<Style, 8> styles = {{
    {"input", "#e3edf9", "#4a76a8", "shape=oval"},
    {"constant", "#f4f0e6", "#a39876", "shape=box style=\"filled\""},
    {"matmul, attention", "#fbe3c8", "#c47a2c", ""},
    {"elementwise", "#ffffff", "#9a9a9a", ""},
    {"reduction, norm", "#e8e2f4", "#7d68a8", ""},
    {"moves data", "#fdf6d2", "#b5a135", ""},
    {"view", "#ffffff", "#bdbdbd", "style=\"rounded,dashed\" penwidth=0.7 fontcolor=\"#8a8a8a\""},
    {"fused", "#d8efd5", "#3f8f45", "penwidth=2"},
}};

Kind kind_of(Op op) {
  switch (op) {
    case Op::input: return Kind::input;
    case Op::fused: return Kind::fused;
    case Op::rope: return Kind::elementwise;
    case Op::matmul:
    case Op::linear:
    case Op::expert_linear:
    case Op::attention:
    case Op::altup_predict:
    case Op::altup_correct: return Kind::matrix;
    case Op::softmax:
    case Op::rms_norm:
    case Op::argmax:
    case Op::top_k: return Kind::reduction;
    default: break;
  }
  if (is_leaf(op)) return Kind::constant;
  if (is_view(op)) return Kind::view;
  if (is_elementwise(op)) return Kind::elementwise;
  return is_reduction(op) ? Kind::reduction : Kind::movement;
}

// White over amber to red, light enough for dark text.
std::string heat_colour(double heat) {
  constexpr double stops[3][3] = {{255, 255, 255}, {255, 226, 168}, {245, 158, 130}};
  const double place = std::isfinite(heat) ? std::clamp(heat, 0.0, 1.0) * 2 : 0;
  const int left = place < 1 ? 0 : 1;
  int rgb[3];
  for (int i = 0; i < 3; ++i)
    rgb[i] = static_cast<int>(std::lround(stops[left][i] + (place - left) * (stops[left + 1][i] - stops[left][i])));
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

// What a reader wants to know of the attributes; the tooltip has them all.
struct ShortAttrs {
  const Type* operand;  // 0; null: there is none

  std::string operator()(const ReduceAttrs& attrs) const {
    return fmt::format("{} {}", attrs.axes.size() == 1 ? "axis" : "axes", fmt::join(attrs.axes, ","));
  }
  std::string operator()(const AxisAttrs& attrs) const { return fmt::format("axis {}", attrs.axis); }
  std::string operator()(const TopKAttrs& attrs) const { return fmt::format("k {}", attrs.k); }
  std::string operator()(const TransposeAttrs& attrs) const {
    return fmt::format("{}", fmt::join(attrs.permutation, ","));
  }
  std::string operator()(const SliceAttrs& attrs) const {
    std::string text;
    for (std::size_t axis = 0; axis < attrs.begin.size() && axis < attrs.end.size(); ++axis) {
      const bool whole =
          attrs.begin[axis] == 0 && operand && axis < operand->shape.size() && attrs.end[axis] == operand->shape[axis];
      text += text.empty() ? "[" : ", ";
      text += whole ? ":" : fmt::format("{}:{}", attrs.begin[axis], attrs.end[axis]);
      if (axis < attrs.step.size() && attrs.step[axis] != 1) text += fmt::format(":{}", attrs.step[axis]);
    }
    return text.empty() ? text : text + "]";
  }
  std::string operator()(const SliceUpdateAttrs& attrs) const {
    return fmt::format("axis {}{}", attrs.axis, attrs.ring ? ", ring" : "");
  }
  std::string operator()(const SoftcapAttrs& attrs) const { return fmt::format("cap {}", attrs.cap); }
  std::string operator()(const RopeAttrs& attrs) const { return fmt::format("base {}", attrs.base); }
  std::string operator()(const AttentionAttrs& attrs) const {
    return attrs.window > 0 ? fmt::format("window {}", attrs.window) : std::string();
  }
  std::string operator()(const AltupAttrs& attrs) const { return fmt::format("active {}", attrs.active); }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

// "mul ×3 · tanh" of the nodes that `node` stands for; "" where that is only itself. Leaves and views are left out.
std::vector<std::string> replaced_ops(const GraphNode& node) {
  std::vector<Op> ops;
  for (const Source& source : node.from)
    if (!is_leaf(source.op) && !is_view(source.op)) ops.push_back(source.op);
  if (ops.empty() && node.body)
    for (const GraphNode& inner : node.body->nodes)
      if (!is_leaf(inner.op) && !is_view(inner.op)) ops.push_back(inner.op);
  if (ops == std::vector<Op>{node.op}) return {};
  std::vector<std::pair<Op, int>> counts;
  for (Op op : ops) {
    const auto known = std::find_if(counts.begin(), counts.end(), [&](const auto& count) { return count.first == op; });
    if (known == counts.end())
      counts.emplace_back(op, 1);
    else
      ++known->second;
  }
  std::vector<std::string> names;
  for (const auto& [op, count] : counts)
    names.push_back(count == 1 ? std::string(to_string(op)) : fmt::format("{} ×{}", to_string(op), count));
  if (names.size() > max_replaced) {
    const std::size_t more = names.size() - max_replaced;
    names.resize(max_replaced);
    names.push_back(fmt::format("{} more", more));
  }
  return names;
}

std::string_view infix(Op op) {
  switch (op) {
    case Op::add: return "+";
    case Op::sub: return "−";
    case Op::mul: return "×";
    case Op::div: return "/";
    case Op::pow: return "^";
    case Op::equal: return "=";
    case Op::not_equal: return "≠";
    case Op::less: return "<";
    case Op::less_equal: return "≤";
    case Op::greater: return ">";
    case Op::greater_equal: return "≥";
    default: return {};
  }
}

class DotWriter {
 public:
  DotWriter(const Graph& graph, const DotOptions& options) : graph_(graph), options_(options) {
    connect_through_views();
    place_in_clusters();
  }

  std::string write() {
    out_.reserve(graph_.nodes.size() * 400);
    write_header();
    write_clusters();
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      if (drawn(id)) write_edges(id);
    write_outputs();
    write_legend();
    return std::move(out_) + "}\n";
  }

 private:
  struct Cluster {
    std::string path, title;
    std::vector<std::size_t> nodes, children;
  };

  const GraphNode& node(std::size_t id) const { return graph_.nodes[id]; }
  bool hidden_view(std::size_t id) const { return !options_.views && is_view(node(id).op) && !node(id).inputs.empty(); }
  bool inlined(std::size_t id) const {
    return node(id).op == Op::scalar || (node(id).op == Op::constant && !options_.constants);
  }
  bool drawn(std::size_t id) const { return !inlined(id) && !hidden_view(id); }

  // The value whose picture a reader of `value` is connected to.
  ValueId shown(ValueId value) const {
    const ValueId behind = through_[static_cast<std::size_t>(value.node)];
    return behind.node < 0 ? value : behind;
  }
  std::size_t shown_node(ValueId value) const { return static_cast<std::size_t>(shown(value).node); }

  void connect_through_views() {
    through_.resize(graph_.nodes.size());
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
      if (hidden_view(id)) through_[id] = shown(node(id).inputs[0]);
  }

  // A name followed by a number is one level: "layers.3.mlp" lies in "layers.3".
  std::size_t cluster_of(const std::string& path) {
    std::size_t parent = 0;
    for (std::size_t begin = 0; begin < path.size();) {
      std::size_t end = std::min(path.find('.', begin), path.size());
      if (end < path.size()) {
        const std::size_t digits = std::min(path.find_first_not_of("0123456789", end + 1), path.size());
        if (digits > end + 1 && (digits == path.size() || path[digits] == '.')) end = digits;
      }
      const auto [known, added] = cluster_ids_.try_emplace(path.substr(0, end), clusters_.size());
      if (added) {
        clusters_[parent].children.push_back(clusters_.size());
        clusters_.push_back({path.substr(0, end), path.substr(begin, end - begin), {}, {}});
      }
      parent = known->second;
      begin = end + 1;
    }
    return parent;
  }

  // Inputs stand with their readers. One that clusters all over the graph read (positions, lengths) is drawn in each of
  // them: its edges would cross every layer.
  void place_in_clusters() {
    clusters_.emplace_back();
    home_.resize(graph_.nodes.size());
    repeated_.resize(graph_.nodes.size());
    std::set<std::pair<std::size_t, std::size_t>> readings;  // input, cluster
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      if (!drawn(id) || node(id).op == Op::input) continue;
      home_[id] = own_cluster(id);
      for (ValueId input : node(id).inputs)
        if (const std::size_t source = shown_node(input); node(source).op == Op::input)
          readings.emplace(source, home_[id]);
    }
    for (ValueId output : graph_.outputs)
      if (const std::size_t source = shown_node(output); node(source).op == Op::input) readings.emplace(source, 0);
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      if (!drawn(id)) continue;
      ++drawn_count_;
      std::vector<std::size_t> readers;
      for (auto reading = readings.lower_bound({id, 0}); reading != readings.end() && reading->first == id; ++reading)
        readers.push_back(reading->second);
      repeated_[id] = readers.size() >= 3;
      if (node(id).op == Op::input) home_[id] = readers.size() == 1 || repeated_[id] ? readers[0] : own_cluster(id);
      if (!repeated_[id]) readers = {home_[id]};
      for (std::size_t cluster : readers) clusters_[cluster].nodes.push_back(id);
    }
  }
  std::size_t own_cluster(std::size_t id) { return node(id).scope ? cluster_of(*node(id).scope) : 0; }
  std::string picture(std::size_t id, std::size_t cluster) const {
    return repeated_[id] && cluster != home_[id] ? fmt::format("n{}_{}", id, cluster) : fmt::format("n{}", id);
  }

  void write_header() {
    out_ +=
        "digraph lazuli {\n"
        "  graph [rankdir=TB newrank=true fontname=\"Helvetica\" nodesep=0.2 ranksep=0.3 ";
    out_ +=
        drawn_count_ > large_graph ? "splines=line nslimit=1 nslimit1=1 mclimit=0.1 searchsize=8" : "splines=spline";
    out_ +=
        "];\n"
        "  node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=11 margin=\"0.09,0.04\" "
        "height=0.3];\n"
        "  edge [color=\"#7a7a7a\" arrowsize=0.6 penwidth=0.9];\n";
  }

  void write_clusters() {
    std::vector<std::pair<std::size_t, std::size_t>> stack;  // cluster, children written so far
    open_cluster(0, stack);
    while (!stack.empty()) {
      auto& [cluster, next] = stack.back();
      if (next < clusters_[cluster].children.size()) {
        open_cluster(clusters_[cluster].children[next++], stack);
        continue;
      }
      if (cluster != 0) out_ += "  }\n";
      stack.pop_back();
    }
  }

  void open_cluster(std::size_t id, std::vector<std::pair<std::size_t, std::size_t>>& stack) {
    const Cluster& cluster = clusters_[id];
    if (id != 0)
      fmt::format_to(std::back_inserter(out_),
                     "  subgraph {} {{\n"
                     "  label={} tooltip={} labeljust=l fontsize=12 fontcolor=\"#555555\" style=\"rounded,filled\" "
                     "color=\"#c9c9c9\" fillcolor=\"{}\";\n",
                     quoted({"cluster_" + cluster.path}), quoted({cluster.title}), quoted({cluster.path}),
                     stack.size() % 2 == 1 ? "#f7f7f7" : "#efefef");
    for (std::size_t node : cluster.nodes) write_node(node, picture(node, id));
    stack.emplace_back(id, 0);
  }

  void write_node(std::size_t id, const std::string& picture) {
    const GraphNode& node = graph_.nodes[id];
    const auto kind = static_cast<std::size_t>(kind_of(node.op));
    kinds_[kind] = true;
    const Style& style = styles[kind];
    const NodeNote note = options_.annotate ? options_.annotate(static_cast<std::int32_t>(id)) : NodeNote{};
    std::vector<std::string> lines = label_lines(node);
    append_note(note, lines);
    fmt::format_to(std::back_inserter(out_),
                   "  {0} [id=\"{0}\" label=<{1}> fillcolor=\"{2}\" color=\"{3}\" {4} tooltip={5}];\n", picture,
                   fmt::join(lines, "<BR/>"), !note.text.empty() ? heat_colour(note.heat) : style.fill, style.border,
                   style.more, tooltip(id, node));
  }

  std::vector<std::string> label_lines(const GraphNode& node) const {
    const bool named = node.op == Op::input || node.op == Op::constant;
    const bool plain = is_view(node.op);
    const std::string_view name = named && !node.label.empty() ? std::string_view(node.label)
                                  : node.name().empty()        ? to_string(node.op)
                                                               : node.name();
    std::string title = plain ? html(name) : bold(name);
    if (node.op == Op::input && node.label.empty()) title += fmt::format(" {}", node.as<InputAttrs>().index);
    const Type* operand = node.inputs.empty() ? nullptr : &graph_.type(node.inputs[0]);
    if (const std::string attrs = std::visit(ShortAttrs{operand}, node.attrs); !attrs.empty())
      title += " " + small(attrs, plain ? "#8a8a8a" : "#333333");
    std::vector<std::string> lines{title};
    if (const std::string formula = scalar_formula(node); !formula.empty()) lines.push_back(small(formula, "#333333"));
    append_replaced(node, lines);
    append_constants(node, lines);
    for (const Type& type : node.types) lines.push_back(small(to_string(type), plain ? "#8a8a8a" : "#404040"));
    return lines;
  }

  // "x × 0.5": shows the numbers among the operands, which are not nodes of the picture. "" when there are none.
  std::string scalar_formula(const GraphNode& node) const {
    std::vector<std::string> operands;
    bool found = false;
    int variables = 0;
    for (ValueId input : node.inputs) {
      const GraphNode& operand = graph_.nodes[shown_node(input)];
      const bool number = operand.op == Op::scalar;
      found |= number;
      operands.push_back(number ? scalar_text(operand) : std::string(1, "xyzuvw"[variables++ % 6]));
    }
    if (!found) return {};
    if (is_view(node.op)) return operands[0];
    const std::string_view symbol = infix(node.op);
    if (!symbol.empty()) return fmt::format("{} {} {}", operands[0], symbol, operands[1]);
    return fmt::format("{}({})", node.name(), fmt::join(operands, ", "));
  }
  static std::string scalar_text(const GraphNode& scalar) {
    return fmt::format("{:.6g}", scalar.as<ScalarAttrs>().value);
  }

  static void append_note(const NodeNote& note, std::vector<std::string>& lines) {
    for (std::string_view rest = note.text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      if (end > 0) lines.push_back(small(rest.substr(0, end), "#7a1500"));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  static void append_replaced(const GraphNode& node, std::vector<std::string>& lines) {
    std::string line;
    const std::vector<std::string> names = replaced_ops(node);
    for (std::size_t i = 0; i < names.size(); ++i) {
      line += i == 0 ? "replaces " : " · ";
      line += names[i];
      if (i % 4 < 3 && i + 1 < names.size()) continue;
      lines.push_back(small(line, "#2d6b33"));
      line.clear();
    }
  }

  void append_constants(const GraphNode& node, std::vector<std::string>& lines) const {
    if (options_.constants) return;
    std::size_t count = 0;
    for (ValueId input : node.inputs) {
      const GraphNode& constant = graph_.nodes[shown_node(input)];
      if (constant.op != Op::constant || ++count > max_constants) continue;
      lines.push_back(small(constant_text(constant), "#5f5226"));
    }
    if (count > max_constants) lines.push_back(small(fmt::format("and {} more", count - max_constants), "#5f5226"));
  }
  static std::string constant_text(const GraphNode& constant) {
    return fmt::format("{} {}", constant.label.empty() ? "constant" : constant.label, to_string(constant.type()));
  }

  static std::string tooltip(std::size_t id, const GraphNode& node) {
    std::string sources;
    for (std::size_t i = 0; i < std::min(node.from.size(), max_sources); ++i)
      sources += fmt::format("{}{}:{}", i == 0 ? "from " : ", ", node.from[i].node, to_string(node.from[i].op));
    if (node.from.size() > max_sources) sources += fmt::format(" and {} more", node.from.size() - max_sources);
    return quoted({fmt::format("node {}: {} {}", id, to_string(node.op), to_string(node.attrs)),
                   node.scope ? std::string_view(*node.scope) : std::string_view(), sources});
  }

  void write_edges(std::size_t id) {
    for (std::size_t i = 0; i < node(id).inputs.size(); ++i) {
      const ValueId source = shown(node(id).inputs[i]);
      if (inlined(static_cast<std::size_t>(source.node))) continue;
      fmt::format_to(std::back_inserter(out_), "  {} -> n{} [tooltip={}];\n",
                     picture(static_cast<std::size_t>(source.node), home_[id]), id,
                     quoted({fmt::format("operand {}: {}", i, to_string(graph_.type(node(id).inputs[i])))}));
    }
  }

  void write_outputs() {
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const bool named = i < graph_.output_names.size() && !graph_.output_names[i].empty();
      const std::string name = named ? graph_.output_names[i] : fmt::format("output {}", i);
      const ValueId source = shown(graph_.outputs[i]);
      const GraphNode& producer = graph_.node(source);
      std::string label = bold(name);
      if (inlined(static_cast<std::size_t>(source.node)))
        label +=
            "<BR/>" + small(producer.op == Op::scalar ? scalar_text(producer) : constant_text(producer), "#404040");
      fmt::format_to(std::back_inserter(out_),
                     "  out{} [id=\"out{}\" label=<{}> shape=oval peripheries=2 style=filled fillcolor=\"#e3edf9\" "
                     "color=\"#4a76a8\" tooltip={}];\n",
                     i, i, label, quoted({name, to_string(graph_.type(graph_.outputs[i]))}));
      if (!inlined(static_cast<std::size_t>(source.node)))
        fmt::format_to(std::back_inserter(out_), "  {} -> out{} [tooltip={}];\n",
                       picture(static_cast<std::size_t>(source.node), 0), i,
                       quoted({to_string(graph_.type(graph_.outputs[i]))}));
    }
  }

  // The graph's own label: it stays out of the layout. It comes last, as clusters would inherit it.
  void write_legend() {
    std::string cells;
    for (std::size_t kind = 0; kind < styles.size(); ++kind)
      if (kinds_[kind])
        cells += fmt::format("<TD BGCOLOR=\"{}\" COLOR=\"{}\" BORDER=\"1\">{}</TD>", styles[kind].fill,
                             styles[kind].border, styles[kind].name);
    if (cells.empty()) return;
    out_ +=
        "  labelloc=t; labeljust=l; fontsize=9;\n  label=<<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"4\">"
        "<TR>" +
        cells + "</TR></TABLE>>;\n";
  }

  const Graph& graph_;
  const DotOptions& options_;
  std::vector<ValueId> through_;   // of hidden views: the value they show; node < 0 elsewhere
  std::vector<Cluster> clusters_;  // 0 is the graph itself
  std::unordered_map<std::string, std::size_t> cluster_ids_;
  std::vector<std::size_t> home_;  // the cluster of a node; of a repeated input that of its first picture
  std::vector<bool> repeated_;
  std::size_t drawn_count_ = 0;
  std::array<bool, styles.size()> kinds_{};
  std::string out_;
};

// Anonymous memory as a file. The child reads and writes files instead of pipes, so neither side can block on the
// other, and a child that stops reading raises no SIGPIPE in the host process.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view contents = {}) : descriptor_(memfd_create("lazuli", MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail("to_svg: cannot create a temporary file: {}", std::strerror(errno));
    while (!contents.empty()) {
      const ssize_t written = write(descriptor_, contents.data(), contents.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        const int error = errno;
        close(descriptor_);
        fail("to_svg: cannot write a temporary file: {}", std::strerror(error));
      }
      contents.remove_prefix(static_cast<std::size_t>(written));
    }
    lseek(descriptor_, 0, SEEK_SET);
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::string contents() const {
    const off_t size = lseek(descriptor_, 0, SEEK_END);
    std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t count = pread(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<std::size_t>(count);
    }
    text.resize(done);
    return text;
  }

 private:
  int descriptor_;
};

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail("to_svg: lost the process of 'dot': {}", std::strerror(errno));
  return status;
}

}  // namespace

std::string to_dot(const Graph& graph, const DotOptions& options) { return DotWriter(graph, options).write(); }

std::string to_svg(const Graph& graph, const DotOptions& options) {
  const MemoryFile input(to_dot(graph, options)), output, errors;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  std::string program = "dot", format = "-Tsvg";
  char* arguments[] = {program.data(), format.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) fail("to_svg: the program 'dot' is not installed; expected Graphviz (Debian package graphviz)");
  if (error != 0) fail("to_svg: cannot run 'dot' (Debian package graphviz): {}", std::strerror(error));
  if (const int status = wait_for(child); !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string message = errors.contents();
    fail("to_svg: 'dot' failed: {}", message.substr(0, message.find('\n')));
  }
  return output.contents();
}

}  // namespace lazuli
