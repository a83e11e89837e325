// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/text/text.h>

#include <iterator>

namespace lazuli {
namespace {

bool is_word(std::string_view text) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; };
  if (text.empty() || !letter(text[0])) return false;
  for (char c : text)
    if (!inner(c)) return false;
  return true;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f)
          fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
        else
          out += c;
    }
  }
  out += '"';
}

void append_name(std::string& out, std::string_view text) {
  if (is_word(text))
    out += text;
  else
    append_quoted(out, text);
}

void append_field(std::string& out, bool value) { out += value ? "true" : "false"; }
void append_field(std::string& out, std::int64_t value) { out += fmt::format_int(value).c_str(); }
// fmt prints the shortest decimal that reads back as the same double.
void append_field(std::string& out, const Number& number) {
  fmt::format_to(std::back_inserter(out), "{}", number.value);
}
void append_field(std::string& out, DType value) { out += to_string(value); }
void append_field(std::string& out, const std::string& value) { append_name(out, value); }
void append_field(std::string& out, const Dims& value) {
  out += '[';
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (i > 0) out += ',';
    append_field(out, value[i]);
  }
  out += ']';
}

void append_type(std::string& out, const Type& type) {
  out += to_string(type.dtype);
  if (type.named)
    out += shape_text(type.shape, type.named);
  else
    append_field(out, type.shape);
}

void append_attrs(std::string& out, const Attrs& attrs) {
  if (std::holds_alternative<CustomAttrs>(attrs)) {
    const std::string text = to_string(attrs);
    if (!text.empty()) out += ' ' + text;
    return;
  }
  const char* separator = " {";
  auto append = [&](const char* name, const auto& value) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, BodyRef>) {  // print_bodies prints those
      out += separator;
      out += name;
      out += '=';
      append_field(out, value);
      separator = ", ";
    }
  };
  std::visit([&](const auto& fields) { fields.visit(fields, append); }, attrs);
  if (separator[0] == ',') out += '}';
}

// Prints one graph; a body is printed by a printer of its own, because its values are numbered anew.
class Printer {
 public:
  Printer(const Graph& graph, std::string& out, int depth) : graph_(graph), out_(out), indent_(2 * depth, ' ') {
    first_value_.reserve(graph.nodes.size());
    std::size_t values = 0;
    for (const GraphNode& node : graph.nodes) {
      first_value_.push_back(values);
      values += node.types.size();
    }
  }

  void print() {
    print_header();
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) print_node(id);
    print_return();
  }

 private:
  void print_header() {
    const bool has_phase = graph_.phase != Phase::any;
    if (!has_phase && !graph_.scheduled) return;
    out_ += indent_;
    out_ += "graph {";
    if (has_phase) {
      out_ += "phase=";
      out_ += to_string(graph_.phase);
    }
    if (graph_.scheduled) out_ += has_phase ? ", scheduled=true" : "scheduled=true";
    out_ += "}\n";
  }

  // Broken graphs print too, so that they can be looked at.
  void append_value(ValueId value) {
    if (value.node < 0 || static_cast<std::size_t>(value.node) >= graph_.nodes.size() || value.output < 0 ||
        static_cast<std::size_t>(value.output) >= graph_.node(value).types.size()) {
      out_ += "%invalid";
      return;
    }
    out_ += '%';
    out_ += fmt::format_int(first_value_[static_cast<std::size_t>(value.node)] + static_cast<std::size_t>(value.output))
                .c_str();
  }

  void print_node(std::size_t id) {
    const GraphNode& node = graph_.nodes[id];
    out_ += indent_;
    for (std::size_t output = 0; output < node.types.size(); ++output) {
      if (output > 0) out_ += ", ";
      append_value({static_cast<std::int32_t>(id), static_cast<std::int32_t>(output)});
    }
    out_ += node.types.empty() ? "= " : " = ";
    out_ += node.op == Op::custom ? node.name() : to_string(node.op);
    if (!node.label.empty()) {
      out_ += ' ';
      append_quoted(out_, node.label);
    }
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      out_ += i == 0 ? " " : ", ";
      append_value(node.inputs[i]);
    }
    append_attrs(out_, node.attrs);
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      out_ += i == 0 ? " : " : ", ";
      append_type(out_, node.types[i]);
    }
    if (node.scope) {
      out_ += " @";
      append_name(out_, *node.scope);
    }
    print_sources(id, node);
    print_bodies(node);
    out_ += '\n';
  }

  void print_sources(std::size_t id, const GraphNode& node) {
    const bool in_body = !indent_.empty();
    if (in_body && node.from.empty()) return;
    if (!in_body && node.from.size() == 1 && node.from[0] == node.source(static_cast<std::int32_t>(id))) return;
    out_ += " !from";
    if (node.from.empty()) out_ += " none";
    for (std::size_t i = 0; i < node.from.size(); ++i) {
      out_ += i == 0 ? " " : ", ";
      append_field(out_, std::int64_t{node.from[i].node});
      out_ += ':';
      out_ += node.from[i].name();
    }
  }

  void print_bodies(const GraphNode& node) {
    if (node.body) print_body(*node.body);
    for_each_body(node.attrs, [&](const char* name, const BodyRef& body) {
      if (!body) return;
      out_ += ' ';
      out_ += name;
      print_body(*body);
    });
  }

  void print_body(const Graph& body) {
    out_ += " {\n";
    Printer(body, out_, static_cast<int>(indent_.size() / 2) + 1).print();
    out_ += indent_;
    out_ += '}';
  }

  void print_return() {
    out_ += indent_;
    out_ += "return";
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      out_ += i == 0 ? " " : ", ";
      append_value(graph_.outputs[i]);
      if (i < graph_.output_names.size()) {
        out_ += ' ';
        append_quoted(out_, graph_.output_names[i]);
      }
    }
    out_ += '\n';
  }

  const Graph& graph_;
  std::string& out_;
  std::string indent_;
  std::vector<std::size_t> first_value_;
};

}  // namespace

std::string to_text(const Graph& graph) {
  std::string text;
  text.reserve(graph.nodes.size() * 48);
  Printer(graph, text, 0).print();
  return text;
}

}  // namespace lazuli
