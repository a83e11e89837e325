// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/text/cursor.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/types/countable.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <unordered_map>

namespace lazuli {
namespace {

// Bodies are parsed by recursion, the innermost ones of fused nodes; this stops hostile text.
constexpr int max_nesting = max_body_depth + 1;
constexpr std::int64_t max_index = std::numeric_limits<std::int32_t>::max();

template <class Known>
std::string expected_one_of(std::string_view word, const Known& known, std::string_view list,
                            std::vector<std::string> names = {}) {
  for (const auto& entry : known) names.emplace_back(entry.name);
  if (word.size() > max_word_in_errors) names.clear();
  const std::vector<std::string> near = near_matches(word, names, 1);
  return near.empty() ? fmt::format("expected {}", list)
                      : fmt::format("expected {}, did you mean '{}'?", list, near[0]);
}

class GraphParser {
 public:
  GraphParser(Cursor& cursor, int depth, const ParseOptions& options)
      : cursor_(cursor), depth_(depth), options_(options) {}

  // Up to and with the `return` statement.
  Graph parse() {
    cursor_.skip_lines();
    if (cursor_.accept_word("graph")) parse_header();
    for (cursor_.skip_lines(); !cursor_.accept_word("return"); cursor_.skip_lines()) {
      const char first = cursor_.peek();
      if (first != '%' && !(graph_.scheduled && first == '='))
        cursor_.fail_expected("a node ('%name = op ...') or 'return'");
      parse_node();
    }
    parse_return();
    cursor_.skip_lines();
    return std::move(graph_);
  }

 private:
  struct Name {
    std::string_view text;
    std::size_t position;
  };
  struct OperandText {
    ValueId value;  // node < 0: a number
    double number = 0;
    std::size_t position = 0;
  };

  void parse_header() {
    cursor_.expect('{');
    do {
      if (cursor_.accept_word("phase"))
        parse_phase();
      else if (depth_ == 0 && cursor_.accept_word("scheduled"))
        parse_scheduled();
      else
        cursor_.fail_expected(depth_ == 0 ? "'phase' or 'scheduled'" : "'phase'");
    } while (cursor_.accept(','));
    cursor_.expect('}');
    cursor_.expect_line_end();
  }

  void parse_scheduled() {
    cursor_.expect('=');
    take_field("'scheduled'", graph_.scheduled);
  }

  void parse_phase() {
    cursor_.expect('=');
    const std::size_t position = cursor_.position();
    const std::string_view word = cursor_.take_word("a phase");
    const Phase phases[] = {Phase::any, Phase::prefill, Phase::decode};
    const auto* phase =
        std::find_if(std::begin(phases), std::end(phases), [&](Phase p) { return to_string(p) == word; });
    if (phase == std::end(phases))
      cursor_.fail_at(position, "unknown phase '{}'; expected any, prefill or decode", word);
    graph_.phase = *phase;
  }

  void parse_return() {
    bool named = false;
    std::vector<std::string> names;
    if (cursor_.peek() == '%') {
      do {
        graph_.outputs.push_back(take_value());
        const bool has_name = cursor_.peek() == '"';
        names.push_back(has_name ? cursor_.take_string("a name") : std::string());
        named |= has_name;
      } while (cursor_.accept(','));
    }
    if (named) graph_.output_names = std::move(names);
    cursor_.expect_line_end();
  }

  Name take_value_name() {
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    cursor_.expect('%');
    return {cursor_.take_word("a value name", ".-"), position};
  }
  ValueId take_value() {
    const Name name = take_value_name();
    const auto found = values_.find(name.text);
    if (found == values_.end()) cursor_.fail_at(name.position, "%{} is used before it is defined", name.text);
    return found->second;
  }

  void parse_node() {
    std::vector<Name> results;
    if (cursor_.peek() == '%') {
      do results.push_back(take_value_name());
      while (cursor_.accept(','));
    }
    cursor_.expect('=');
    GraphNode node;
    const auto [op_position, factory] = take_op(node);
    if (cursor_.peek() == '"') node.label = cursor_.take_string("a label");
    const std::vector<OperandText> operands = take_operands(node);
    const auto count = static_cast<int>(operands.size());
    if (const OpInfo& known = info(node.op);
        !graph_.scheduled && (count < known.min_operands || count > known.max_operands))
      cursor_.fail_at(op_position, "{} takes {} operands, found {}", factory ? factory->first : known.name,
                      arity(known), count);
    node.attrs = factory ? take_custom(*factory) : take_attrs(node.op);
    add_operands(node, operands);
    const WrittenTypes written = take_types(node.op);
    take_scope(node);
    take_sources(node);
    if (node.op == Op::fused && cursor_.accept('{')) node.body = take_body();
    for_each_body(node.attrs, [&](const char* name, BodyRef& body) { take_named_body(name, body); });
    set_types(node, written, op_position);
    cursor_.expect_line_end();
    define(results, op_position, graph_.add(std::move(node)));
  }

  static std::string arity(const OpInfo& op) {
    return op.min_operands == op.max_operands ? std::to_string(op.min_operands)
                                              : fmt::format("{} to {}", op.min_operands, op.max_operands);
  }

  void define(const std::vector<Name>& results, std::size_t op_position, ValueId value) {
    const std::size_t outputs = graph_.node(value).types.size();
    if (results.size() != outputs)
      cursor_.fail_at(results.empty() ? op_position : results[0].position, "{} gives {} results, found {} names",
                      op_name(graph_.node(value)), outputs, results.size());
    for (const Name& name : results) {
      if (!values_.try_emplace(name.text, value).second)
        cursor_.fail_at(name.position, "%{} is defined twice", name.text);
      ++value.output;
    }
  }

  static std::string_view op_name(const GraphNode& node) {
    return node.op == Op::custom ? node.name() : to_string(node.op);
  }

  using CustomOps = decltype(ParseOptions::custom_ops);
  struct OpText {
    std::size_t position;                        // where the op's name stands
    const CustomOps::value_type* own = nullptr;  // of an op of the caller's
  };

  OpText take_op(GraphNode& node) {
    cursor_.skip_spaces();
    OpText text{cursor_.position()};
    const std::string_view word = cursor_.take_word("an op");
    if (const auto own = options_.custom_ops.find(word); own != options_.custom_ops.end()) {
      text.own = &*own;
      node.op = Op::custom;
      return text;
    }
    const std::optional<Op> op = parse_op(word);
    if (!op || op == Op::custom) fail_unknown_op(text.position, word);
    node.op = *op;
    return text;
  }

  [[noreturn]] void fail_unknown_op(std::size_t position, std::string_view word) const {
    std::vector<std::string> names;
    for (const OpInfo& known : all_ops())
      if (known.op != Op::custom) names.emplace_back(known.name);
    for (const auto& [name, factory] : options_.custom_ops) names.push_back(name);
    const char* expected =
        options_.custom_ops.empty() ? "an op of ops.def" : "an op of ops.def or of ParseOptions::custom_ops";
    cursor_.fail_at(position, "unknown op '{}'; {}", word.substr(0, max_word_in_errors),
                    expected_one_of(word, std::span<const OpInfo>(), expected, std::move(names)));
  }

  Attrs take_custom(const CustomOps::value_type& own) {
    const auto& [name, factory] = own;
    std::string_view attributes;
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    if (cursor_.accept('{')) {
      attributes = cursor_.take_up_to_brace();
      cursor_.expect('}');
    }
    CustomOpRef op;
    try {
      op = factory(attributes);
    } catch (const std::exception& error) {
      cursor_.fail_at(position, "{}: {}", name, error.what());
    }
    if (op.name() != name) cursor_.fail_at(position, "the op made for '{}' is called '{}'", name, op.name());
    return CustomAttrs{std::move(op)};
  }

  std::vector<OperandText> take_operands(const GraphNode& node) {
    std::vector<OperandText> operands;
    if ((is_leaf(node.op) && !graph_.scheduled) || !(cursor_.peek() == '%' || cursor_.at_number())) return operands;
    do {
      cursor_.skip_spaces();
      OperandText& operand = operands.emplace_back();
      operand.position = cursor_.position();
      if (cursor_.at_number() && cursor_.at_inexact_integer())
        cursor_.fail_expected("a number that a double holds; larger integers are written as (high << 32) | low");
      if (cursor_.at_number())
        operand.number = cursor_.take_number<double>("a number");
      else
        operand.value = take_value();
    } while (cursor_.accept(','));
    return operands;
  }

  // Numbers become scalar nodes of their own, before the node that reads them.
  void add_operands(GraphNode& node, const std::vector<OperandText>& operands) {
    DType met = DType::f32;
    for (std::size_t i = node.op == Op::select ? 1 : 0; i < operands.size(); ++i)
      if (operands[i].value.node >= 0) met = graph_.type(operands[i].value).dtype;
    node.inputs.reserve(operands.size());
    for (std::size_t i = 0; i < operands.size(); ++i) {
      ValueId value = operands[i].value;
      if (value.node < 0) {
        GraphNode scalar;
        scalar.op = Op::scalar;
        const bool is_index = info(node.op).has(op_flags::indexed) && i + 1 == operands.size();
        scalar.attrs = ScalarAttrs{operands[i].number, is_index ? DType::i32 : met};
        scalar.types = infer(scalar, operands[i].position);
        set_own_source(scalar);
        value = graph_.add(std::move(scalar));
      }
      node.inputs.push_back(value);
    }
  }

  Attrs take_attrs(Op op) {
    Attrs attrs = info(op).default_attrs;
    if (op == Op::input) attrs = InputAttrs{next_input_};
    if (cursor_.accept('{')) {
      std::vector<std::string_view> seen;
      do seen.push_back(take_attribute(op, attrs, seen));
      while (cursor_.accept(','));
      cursor_.expect('}');
    }
    if (op == Op::input)
      next_input_ = std::max(next_input_, std::min(std::get<InputAttrs>(attrs).index, max_index) + 1);
    return attrs;
  }

  std::string_view take_attribute(Op op, Attrs& attrs, const std::vector<std::string_view>& seen) {
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    const std::string_view name = cursor_.take_word("an attribute");
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      cursor_.fail_at(position, "attribute '{}' is given twice", name);
    cursor_.expect('=');
    std::vector<std::string_view> known;
    bool found = false;
    auto take = [&](const char* field, auto& value) {
      if constexpr (!std::is_same_v<std::remove_reference_t<decltype(value)>, BodyRef>) {
        known.push_back(field);
        if (name != field) return;
        found = true;
        cursor_.skip_spaces();
        const std::size_t value_position = cursor_.position();
        take_field(fmt::format("attribute '{}' of {}", name, to_string(op)), value);
        if constexpr (std::is_same_v<std::remove_reference_t<decltype(value)>, Shape>)
          if (name == "shape") check_size(value, value_position);
      }
    };
    std::visit([&](auto& fields) { fields.visit(fields, take); }, attrs);
    if (!found && known.empty()) cursor_.fail_at(position, "unknown attribute '{}'; {} has none", name, to_string(op));
    if (!found)
      cursor_.fail_at(position, "unknown attribute '{}' of {}; expected {}", name, to_string(op),
                      fmt::join(known, ", "));
    return name;
  }

  void take_field(const std::string& where, bool& value) {
    value = cursor_.accept_word("true");
    if (!value && !cursor_.accept_word("false")) cursor_.fail_expected(where + " to be true or false");
  }
  void take_field(const std::string& where, std::int64_t& value) {
    value = cursor_.take_number<std::int64_t>(where + " to be an integer");
  }
  void take_field(const std::string& where, Number& number) {
    number = cursor_.take_number<double>(where + " to be a number");
  }
  void take_field(const std::string& where, std::string& value) { value = cursor_.take_name(where + " to be a name"); }
  void take_field(const std::string& where, DType& value) { value = take_dtype(where + " to be a dtype"); }
  void take_field(const std::string& where, Dims& value) { value = take_dims(where + " to be a list like [2,3]"); }

  DType take_dtype(const std::string& what) {
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    const std::string_view word = cursor_.take_word(what);
    const std::optional<DType> dtype = parse_dtype(word);
    if (dtype) return *dtype;
    cursor_.fail_at(position, "unknown dtype '{}'; {}", word.substr(0, max_word_in_errors),
                    expected_one_of(word, all_dtypes(), "a dtype of dtype.def"));
  }

  Dims take_dims(std::string_view what) {
    if (!cursor_.accept('[')) cursor_.fail_expected(what);
    Dims dims;
    if (cursor_.accept(']')) return dims;
    do dims.push_back(cursor_.take_number<std::int64_t>("an integer"));
    while (cursor_.accept(','));
    cursor_.expect(']');
    return dims;
  }

  Type take_type() {
    Type type;
    type.dtype = take_dtype("a type like f32[2,3]");
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    type.shape = take_sizes(type.named);
    for (std::int64_t size : type.shape)
      if (size < 0) cursor_.fail_at(position, "shape {} has a negative size", to_string(type.shape));
    check_size(type.shape, position);
    // A listing of launches may hold parts of such arrays.
    if (const std::string fault = named_axis_fault(type); !fault.empty() && !graph_.scheduled)
      cursor_.fail_at(position, "{}", fault);
    return type;
  }

  // As take_dims; one size may be a bound with a name, as in [tokens<=512,64].
  Shape take_sizes(NamedAxis& named) {
    if (!cursor_.accept('[')) cursor_.fail_expected("a shape like [2,3]");
    Shape sizes;
    if (cursor_.accept(']')) return sizes;
    do {
      if (const std::string_view word = cursor_.peek_word(); !word.empty() && (word[0] < '0' || word[0] > '9')) {
        if (named) cursor_.fail_expected("a number, as one axis has a name already");
        named = {dimension_name(cursor_.take_word("a name")), static_cast<int>(sizes.size())};
        if (!cursor_.accept('<') || !cursor_.accept('=')) cursor_.fail_expected("'<=' and the bound of the named axis");
      }
      sizes.push_back(cursor_.take_number<std::int64_t>("an integer"));
    } while (cursor_.accept(','));
    cursor_.expect(']');
    return sizes;
  }

  void check_size(const Shape& shape, std::size_t position) const {
    if (!is_countable(shape)) cursor_.fail_at(position, "shape {} has more than 2^56 elements", to_string(shape));
  }

  struct WrittenTypes {
    std::vector<Type> types;
    std::size_t position;
  };

  bool is_declared(Op op) const { return op == Op::input || op == Op::constant || op == Op::fused || graph_.scheduled; }

  WrittenTypes take_types(Op op) {
    const bool colon = cursor_.accept(':');
    cursor_.skip_spaces();
    WrittenTypes written{{}, cursor_.position()};
    const bool is_type = is_declared(op) && !cursor_.peek_word().empty() && !is_control_flow(op);
    if (colon || is_type) {
      do written.types.push_back(take_type());
      while (cursor_.accept(','));
    } else if (is_declared(op) && !graph_.scheduled) {
      cursor_.fail_expected(fmt::format("': type' (that of {} cannot be inferred)", to_string(op)));
    }
    return written;
  }

  // The inferred types, checked against the written ones where there are any. Those of control flow follow from bodies.
  void set_types(GraphNode& node, const WrittenTypes& written, std::size_t op_position) {
    node.types = is_declared(node.op) ? written.types : infer(node, op_position);
    if (written.types.empty() || written.types == node.types) return;
    cursor_.fail_at(written.position, "the type of {} is written {}, inferred {}", op_name(node), list(written.types),
                    list(node.types));
  }

  void take_named_body(const char* name, BodyRef& body) {
    if (!cursor_.accept_word(name)) {
      if (graph_.scheduled) return;
      cursor_.fail_expected(fmt::format("'{} {{'", name));
    }
    cursor_.expect('{');
    body = BodyRef(*take_body());
  }

  static std::string list(const std::vector<Type>& types) {
    std::string text;
    for (const Type& type : types) text += (text.empty() ? "" : ", ") + to_string(type);
    return text;
  }

  std::vector<Type> infer(const GraphNode& node, std::size_t position) {
    std::vector<Type> operands;
    operands.reserve(node.inputs.size());
    for (ValueId input : node.inputs) operands.push_back(graph_.type(input));
    std::vector<Type> types;
    try {
      types = infer_types(node.op, node.attrs, operands);
    } catch (const Error& error) {
      cursor_.fail_at(position, error.details(), error.what());
    }
    for (const Type& type : types) check_size(type.shape, position);
    return types;
  }

  // Nodes of one scope share one string, as those a program builds.
  void take_scope(GraphNode& node) {
    if (!cursor_.accept('@')) return;
    const std::string path = cursor_.take_name("a scope like layers.0.mlp");
    Scope::Ref& scope = scopes_[path];
    if (!scope) scope = std::make_shared<const std::string>(path);
    node.scope = scope;
  }

  void set_own_source(GraphNode& node) const {
    if (depth_ == 0) node.from = {node.source(static_cast<std::int32_t>(graph_.nodes.size()))};
  }

  void take_sources(GraphNode& node) {
    if (!cursor_.accept('!')) return set_own_source(node);
    if (!cursor_.accept_word("from")) cursor_.fail_expected("'!from'");
    if (cursor_.accept_word("none")) return;
    do {
      Source& source = node.from.emplace_back();
      source.node = cursor_.take_number<std::int32_t>("the number of a source node");
      cursor_.expect(':');
      GraphNode named;
      const OpText text = take_op(named);
      source.op = named.op;
      if (text.own) source.custom_number = custom_name_number(text.own->first);
    } while (cursor_.accept(','));
  }

  std::shared_ptr<const Graph> take_body() {
    if (depth_ + 1 > max_nesting) cursor_.fail_at(cursor_.position(), "bodies nest deeper than {}", max_body_depth);
    auto body = std::make_shared<const Graph>(GraphParser(cursor_, depth_ + 1, options_).parse());
    cursor_.expect('}');
    return body;
  }

  Cursor& cursor_;
  int depth_;
  const ParseOptions& options_;
  Graph graph_;
  std::int64_t next_input_ = 0;
  std::unordered_map<std::string_view, ValueId> values_;
  std::unordered_map<std::string, Scope::Ref> scopes_;
};

}  // namespace

Graph parse_graph(std::string_view text, const ParseOptions& options) {
  Cursor cursor(text);
  Graph graph = GraphParser(cursor, 0, options).parse();
  if (!cursor.at_end()) cursor.fail_expected("the end of the text after 'return'");
  return graph;
}

}  // namespace lazuli
