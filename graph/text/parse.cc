// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/text/text.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>
#include <unordered_map>

namespace lazuli {
namespace {

// Bodies are parsed by recursion; fused nodes do not nest, so this only stops hostile text.
constexpr int max_body_depth = 8;
constexpr std::size_t max_word_in_errors = 40;
constexpr std::int64_t max_index = std::numeric_limits<std::int32_t>::max();

template <class Known>
std::string expected_one_of(std::string_view word, const Known& known, std::string_view list) {
  std::vector<std::string> names;
  if (word.size() <= max_word_in_errors)
    for (const auto& entry : known) names.emplace_back(entry.name);
  const std::vector<std::string> near = near_matches(word, names, 1);
  return near.empty() ? fmt::format("expected {}", list)
                      : fmt::format("expected {}, did you mean '{}'?", list, near[0]);
}

// Position in the text and the smallest pieces: characters, words, numbers, strings.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::size_t position() const { return position_; }

  template <class... Args>
  [[noreturn]] void fail_at(std::size_t position, fmt::format_string<Args...> text, Args&&... args) const {
    fail_at(position, ErrorDetails{}, fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_at(std::size_t position, ErrorDetails details, const std::string& text) const {
    const std::string_view before = text_.substr(0, position);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    fail(std::move(details), "line {}, column {}: {}", std::count(before.begin(), before.end(), '\n') + 1,
         position - line_start + 1, text);
  }
  [[noreturn]] void fail_expected(std::string_view what) {
    skip_spaces();
    fail_at(position_, "expected {}, found {}", what, found());
  }

  // Blanks and a comment, up to the end of the line.
  void skip_spaces() {
    while (position_ < text_.size() &&
           (text_[position_] == ' ' || text_[position_] == '\t' || text_[position_] == '\r'))
      ++position_;
    if (position_ < text_.size() && text_[position_] == '#')
      position_ = std::min(text_.find('\n', position_), text_.size());
  }
  void skip_lines() {
    for (skip_spaces(); position_ < text_.size() && text_[position_] == '\n'; skip_spaces()) ++position_;
  }

  char peek() {
    skip_spaces();
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  bool at_end() { return peek() == '\0' && position_ >= text_.size(); }
  bool accept(char c) {
    if (at_end() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail_expected(fmt::format("'{}'", c));
  }
  void expect_line_end() {
    if (at_end() || peek() == '\n' || peek() == '}') return;
    fail_expected("the end of the line");
  }

  // Letters, digits and underscores, and the characters of `more`; "" when there is none.
  std::string_view peek_word(std::string_view more = {}) {
    skip_spaces();
    std::size_t end = position_;
    while (end < text_.size() && (is_word_character(text_[end]) || more.find(text_[end]) != more.npos)) ++end;
    return text_.substr(position_, end - position_);
  }
  std::string_view take_word(std::string_view what, std::string_view more = {}) {
    const std::string_view word = peek_word(more);
    if (word.empty()) fail_expected(what);
    position_ += word.size();
    return word;
  }
  bool accept_word(std::string_view word) {
    if (peek_word() != word) return false;
    position_ += word.size();
    return true;
  }

  bool at_number() {
    const char c = peek();
    const std::string_view word = peek_word();
    return (c >= '0' && c <= '9') || c == '-' || c == '.' || word == "inf" || word == "nan";
  }
  template <class T>
  T take_number(std::string_view what) {
    skip_spaces();
    T value{};
    const char* begin = text_.data() + position_;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(begin, end, value);
    const bool whole = stop == end || !(is_word_character(*stop) || *stop == '.');
    if (error == std::errc::result_out_of_range) fail_expected(fmt::format("{} within range", what));
    if (error != std::errc() || !whole) fail_expected(what);
    position_ += static_cast<std::size_t>(stop - begin);
    return value;
  }

  std::string take_string(std::string_view what) {
    if (peek() != '"') fail_expected(what);
    const std::size_t start = position_++;
    std::string value;
    while (true) {
      if (position_ >= text_.size() || text_[position_] == '\n')
        fail_at(start, "the string has no closing '\"' on its line");
      const char c = text_[position_++];
      if (c == '"') return value;
      value += c == '\\' ? take_escape() : c;
    }
  }
  // A word, or a string where the name has other characters.
  std::string take_name(std::string_view what) {
    return peek() == '"' ? take_string(what) : std::string(take_word(what, ".-"));
  }

 private:
  static bool is_word_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }

  char take_escape() {
    const std::size_t start = position_ - 1;
    const char kind = position_ < text_.size() ? text_[position_++] : '\0';
    switch (kind) {
      case '"':
      case '\\':
        return kind;
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'x': {
        unsigned char value = 0;
        const std::string_view digits = text_.substr(position_, 2);
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        if (error != std::errc() || stop != digits.data() + 2) break;
        position_ += 2;
        return static_cast<char>(value);
      }
      default:
        break;
    }
    fail_at(start, "unknown escape; expected \\\", \\\\, \\n, \\t or \\x and two hexadecimal digits");
  }

  std::string found() {
    if (at_end()) return "the end of the text";
    if (text_[position_] == '\n') return "the end of the line";
    const std::string_view word = peek_word("%.-").substr(0, max_word_in_errors);
    return fmt::format("'{}'", word.empty() ? text_.substr(position_, 1) : word);
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

class GraphParser {
 public:
  GraphParser(Cursor& cursor, int depth) : cursor_(cursor), depth_(depth) {}

  // Up to and with the `return` statement.
  Graph parse() {
    cursor_.skip_lines();
    if (cursor_.accept_word("graph")) parse_header();
    for (cursor_.skip_lines(); !cursor_.accept_word("return"); cursor_.skip_lines()) {
      if (cursor_.peek() != '%') cursor_.fail_expected("a node ('%name = op ...') or 'return'");
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
    if (!cursor_.accept_word("phase")) cursor_.fail_expected("'phase'");
    cursor_.expect('=');
    const std::size_t position = cursor_.position();
    const std::string_view word = cursor_.take_word("a phase");
    const Phase phases[] = {Phase::any, Phase::prefill, Phase::decode};
    const auto* phase =
        std::find_if(std::begin(phases), std::end(phases), [&](Phase p) { return to_string(p) == word; });
    if (phase == std::end(phases))
      cursor_.fail_at(position, "unknown phase '{}'; expected any, prefill or decode", word);
    graph_.phase = *phase;
    cursor_.expect('}');
    cursor_.expect_line_end();
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
    do results.push_back(take_value_name());
    while (cursor_.accept(','));
    cursor_.expect('=');
    GraphNode node;
    const std::size_t op_position = take_op(node);
    if (cursor_.peek() == '"') node.label = cursor_.take_string("a label");
    const std::vector<OperandText> operands = take_operands(node);
    const auto count = static_cast<int>(operands.size());
    if (const OpInfo& known = info(node.op); count < known.min_operands || count > known.max_operands)
      cursor_.fail_at(op_position, "{} takes {} operands, found {}", known.name, arity(known), count);
    node.attrs = take_attrs(node.op);
    add_operands(node, operands);
    take_types(node, op_position);
    take_scope(node);
    take_sources(node);
    if (node.op == Op::fused && cursor_.accept('{')) node.body = take_body();
    cursor_.expect_line_end();
    define(results, graph_.add(std::move(node)));
  }

  static std::string arity(const OpInfo& op) {
    return op.min_operands == op.max_operands ? std::to_string(op.min_operands)
                                              : fmt::format("{} to {}", op.min_operands, op.max_operands);
  }

  void define(const std::vector<Name>& results, ValueId value) {
    const std::size_t outputs = graph_.node(value).types.size();
    if (results.size() != outputs)
      cursor_.fail_at(results[0].position, "{} gives {} results, found {} names", to_string(graph_.node(value).op),
                      outputs, results.size());
    for (const Name& name : results) {
      if (!values_.try_emplace(name.text, value).second)
        cursor_.fail_at(name.position, "%{} is defined twice", name.text);
      ++value.output;
    }
  }

  // Returns where the op's name stands.
  std::size_t take_op(GraphNode& node) {
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    const std::string_view word = cursor_.take_word("an op");
    const std::optional<Op> op = parse_op(word);
    if (!op)
      cursor_.fail_at(position, "unknown op '{}'; {}", word.substr(0, max_word_in_errors),
                      expected_one_of(word, all_ops(), "an op of ops.def"));
    node.op = *op;
    return position;
  }

  std::vector<OperandText> take_operands(const GraphNode& node) {
    std::vector<OperandText> operands;
    if (is_leaf(node.op) || !(cursor_.peek() == '%' || cursor_.at_number())) return operands;
    do {
      cursor_.skip_spaces();
      OperandText& operand = operands.emplace_back();
      operand.position = cursor_.position();
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
      known.push_back(field);
      if (name != field) return;
      found = true;
      take_field(fmt::format("attribute '{}' of {}", name, to_string(op)), value);
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
    type.shape = take_dims("a shape like [2,3]");
    for (std::int64_t size : type.shape)
      if (size < 0) cursor_.fail_at(position, "shape {} has a negative size", to_string(type.shape));
    return type;
  }

  // The inferred types, checked against the written ones where there are any.
  void take_types(GraphNode& node, std::size_t op_position) {
    const bool declared = node.op == Op::input || node.op == Op::constant || node.op == Op::fused;
    const bool colon = cursor_.accept(':');
    cursor_.skip_spaces();
    const std::size_t position = cursor_.position();
    std::vector<Type> written;
    if (colon || (declared && !cursor_.peek_word().empty())) {
      do written.push_back(take_type());
      while (cursor_.accept(','));
    } else if (declared) {
      cursor_.fail_expected(fmt::format("': type' (that of {} cannot be inferred)", to_string(node.op)));
    }
    node.types = declared ? written : infer(node, op_position);
    if (written.empty() || written == node.types) return;
    cursor_.fail_at(position, "the type of {} is written {}, inferred {}", to_string(node.op), list(written),
                    list(node.types));
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
    try {
      return infer_types(node.op, node.attrs, operands);
    } catch (const Error& error) {
      cursor_.fail_at(position, error.details(), error.what());
    }
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
    if (depth_ == 0) node.from = {{static_cast<std::int32_t>(graph_.nodes.size()), node.op}};
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
      take_op(named);
      source.op = named.op;
    } while (cursor_.accept(','));
  }

  std::shared_ptr<const Graph> take_body() {
    if (depth_ + 1 > max_body_depth) cursor_.fail_at(cursor_.position(), "bodies nest deeper than {}", max_body_depth);
    auto body = std::make_shared<const Graph>(GraphParser(cursor_, depth_ + 1).parse());
    cursor_.expect('}');
    return body;
  }

  Cursor& cursor_;
  int depth_;
  Graph graph_;
  std::int64_t next_input_ = 0;
  std::unordered_map<std::string_view, ValueId> values_;
  std::unordered_map<std::string, Scope::Ref> scopes_;
};

}  // namespace

Graph parse_graph(std::string_view text) {
  Cursor cursor(text);
  Graph graph = GraphParser(cursor, 0).parse();
  if (!cursor.at_end()) cursor.fail_expected("the end of the text after 'return'");
  return graph;
}

}  // namespace lazuli
