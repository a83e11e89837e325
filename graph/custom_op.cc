// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/custom_op_calls.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

namespace lazuli {

struct CustomOpRef::Checked {
  std::shared_ptr<const CustomOp> op;
  std::string name, attributes;
  std::uint16_t name_number = 0;
  std::uint64_t identity = 0;  // of an op that is equal to itself alone
};

namespace {

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), inner);
}

// What stands between the braces of the text form and is read back as it is.
bool is_attribute_text(std::string_view text) {
  const auto fits = [](char c) { return c >= 0x20 && c < 0x7f && c != '{' && c != '}'; };
  return text.empty() || (std::all_of(text.begin(), text.end(), fits) && text.front() != ' ' && text.back() != ' ');
}

void check_name(std::string_view name) {
  if (!is_identifier(name))
    fail("custom: the op's name is \"{}\", expected letters, digits and underscores, no digit first", name);
  if (parse_op(name)) fail("custom: the op's name is \"{}\", which is that of an op of lazuli's", name);
}

// Calls `call`; what it throws becomes an Error that begins with `prefix`.
template <class Call>
auto called(std::string_view prefix, Call&& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    fail("{}{}", prefix, error.what());
  } catch (...) {
    fail("{}threw something that is no std::exception", prefix);
  }
}

std::string prefix_of(const CustomOpRef& op) { return fmt::format("{}: ", op.name()); }

std::string list(std::span<const Type> types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + to_string(type);
  return text.empty() ? "nothing" : text;
}

// The axes that count rows.
Shape leading_axes(const Type& type) {
  return type.shape.empty() ? Shape{} : Shape(type.shape.begin(), type.shape.end() - 1);
}

struct NameTable {
  std::mutex mutex;
  std::deque<std::string> names{"custom"};  // by number; they stay where they are
  std::map<std::string, std::uint16_t, std::less<>> numbers;
};
// Lives to the end: names are read while other statics die.
NameTable& name_table() {
  static auto* table = new NameTable;
  return *table;
}

}  // namespace

std::uint16_t custom_name_number(std::string_view name) {
  constexpr std::size_t most = 0xffff;
  NameTable& table = name_table();
  const std::lock_guard lock(table.mutex);
  if (const auto known = table.numbers.find(name); known != table.numbers.end()) return known->second;
  if (table.names.size() > most) return 0;
  const auto number = static_cast<std::uint16_t>(table.names.size());
  table.numbers.emplace(table.names.emplace_back(name), number);
  return number;
}

std::string_view custom_name(std::uint16_t number) {
  NameTable& table = name_table();
  const std::lock_guard lock(table.mutex);
  return table.names[number < table.names.size() ? number : 0];
}

CustomOpRef::CustomOpRef(std::shared_ptr<const CustomOp> op, bool has_members) {
  if (!op) fail("custom: no op was given");
  auto checked = std::make_shared<Checked>();
  checked->name = called("custom: name(): ", [&] { return op->name(); });
  check_name(checked->name);
  const std::string prefix = checked->name + ": ";
  checked->attributes = called(prefix + "attributes(): ", [&] { return op->attributes(); });
  if (!is_attribute_text(checked->attributes))
    fail("{}attributes() are \"{}\", expected printable ASCII without braces, no space at either end", prefix,
         checked->attributes);
  const RowRule rows = called(prefix + "rows(): ", [&] { return op->rows(); });
  if (rows != RowRule::none && rows != RowRule::leading && rows != RowRule::aligned)
    fail("{}rows() is the rule of an op of lazuli's, expected none, leading or aligned", prefix);
  checked->name_number = custom_name_number(checked->name);
  if (has_members && checked->attributes.empty()) checked->identity = op->id();
  checked->op = std::move(op);
  checked_ = std::move(checked);
}

const CustomOp& CustomOpRef::operator*() const {
  if (!checked_) fail("custom: no op was given");
  return *checked_->op;
}

std::string_view CustomOpRef::name() const { return checked_ ? std::string_view(checked_->name) : "custom"; }
std::string_view CustomOpRef::attributes() const {
  return checked_ ? std::string_view(checked_->attributes) : std::string_view();
}
std::uint16_t CustomOpRef::name_number() const { return checked_ ? checked_->name_number : 0; }

bool CustomOpRef::operator==(const CustomOpRef& other) const {
  if (checked_ == other.checked_) return true;
  if (!checked_ || !other.checked_) return false;
  std::string key, other_key;
  append_key(key);
  other.append_key(other_key);
  return key == other_key;
}

// Classes go by the address of what describes them: where two libraries describe one class each, its ops are not
// merged, and two classes of one name in hidden namespaces never are.
void CustomOpRef::append_key(std::string& key) const {
  const auto append_bytes = [&](const auto& value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const CustomOp* op = checked_ ? checked_->op.get() : nullptr;
  append_bytes(op ? &typeid(*op) : nullptr);
  append_bytes(checked_ ? checked_->identity : std::uint64_t{0});
  for (const std::string_view text : {name(), attributes()}) {
    append_bytes(text.size());
    key += text;
  }
}

std::int64_t CustomRows::operand_row_index(std::size_t i, std::int64_t row) const {
  const Shape from = leading_axes(operand_type(i)), to = leading_axes(result_type(0));
  if (!broadcastable_to(from, to))
    fail("operand {} is {}, which has no row for each of {}", i, to_string(operand_type(i)), to_string(result_type(0)));
  std::int64_t index = 0, stride = 1;
  for (std::size_t back = 1; back <= from.size(); ++back) {
    const std::int64_t size = from[from.size() - back], rows = to[to.size() - back];
    if (size != 1) index += row % rows * stride;
    stride *= size;
    row /= rows;
  }
  return index;
}

namespace {
std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}
}  // namespace

CustomOp::CustomOp() : id_(next_id()) {}
CustomOp::~CustomOp() = default;

void CustomOp::compute(const CustomRows&) const { fail("compute() is not defined, and has_kernel() says that it is"); }

std::optional<std::vector<Array>> CustomOp::decompose(std::span<const Array>) const { return std::nullopt; }

std::int64_t CustomOp::operations(std::span<const Type>, std::span<const Type> results) const {
  std::int64_t elements = 0;
  for (const Type& type : results) elements += type.elements();
  return elements;
}

namespace {

void check_result(const CustomOpRef& op, std::size_t i, const Type& type) {
  for (const std::int64_t size : type.shape)
    if (size < 0) fail("{}: infer() gives {} as result {}, expected no negative size", op.name(), to_string(type), i);
  const int block = info(type.dtype).block_elements;
  if (block > 1 && (type.shape.empty() || type.shape.back() % block != 0))
    fail("{}: infer() gives {} as result {}, expected whole blocks of {}", op.name(), to_string(type), i, block);
}

void check_rows(const CustomOpRef& op, std::span<const Type> operands, std::span<const Type> results) {
  const RowRule rule = op->rows();
  if (rule == RowRule::none) return;
  const Shape rows = leading_axes(results[0]);
  for (std::size_t i = 0; i < results.size(); ++i)
    if (results[i].shape.size() != results[0].shape.size() || leading_axes(results[i]) != rows)
      fail("{}: results are {}; with rows they differ in the last axis alone", op.name(), list(results));
  if (rule == RowRule::leading) {
    if (operands[0].shape.empty() || operands[0].shape.size() != results[0].shape.size() ||
        leading_axes(operands[0]) != rows)
      fail("{}: operand 0 is {}, the result {}; with leading rows they differ in the last axis alone", op.name(),
           to_string(operands[0]), to_string(results[0]));
    return;
  }
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (!broadcastable_to(leading_axes(operands[i]), rows))
      fail("{}: operand {} is {}, the result {}; with aligned rows the axes before the last broadcast to the result's",
           op.name(), i, to_string(operands[i]), to_string(results[0]));
}

}  // namespace

std::vector<Type> infer_custom(const CustomOpRef& op, std::span<const Type> operands) {
  const CustomOp& object = *op;
  std::vector<Type> results = called(prefix_of(op), [&] { return object.infer(operands); });
  if (results.empty() || results.size() > max_custom_arrays)
    fail("{}: infer() gives {} results, expected 1 to {}", op.name(), results.size(), max_custom_arrays);
  for (std::size_t i = 0; i < results.size(); ++i) check_result(op, i, results[i]);
  check_rows(op, operands, results);
  return results;
}

bool has_kernel(const CustomOpRef& op, std::span<const Type> operands) {
  return called(prefix_of(op) + "has_kernel(): ", [&] { return op->has_kernel(operands); });
}

std::optional<Graph> custom_definition(const CustomOpRef& op, std::span<const Type> operands) {
  std::vector<Array> leaves;
  for (const Type& type : operands) leaves.push_back(placeholder(type));
  const std::string prefix = prefix_of(op) + "decompose(): ";
  const auto values = called(prefix, [&] { return op->decompose(leaves); });
  if (!values) return std::nullopt;
  std::vector<Type> given;
  for (const Array& value : *values) given.push_back(called(prefix, [&] { return value.type(); }));
  if (const std::vector<Type> expected = infer_custom(op, operands); given != expected)
    fail("{}gives {}, expected {}, as infer() has it", prefix, list(given), list(expected));
  Graph definition = snapshot(*values, &leaves);  // leaves first: input i is operand i
  if (leaves.size() > operands.size())
    fail("{}reads {}, which is no operand; expected operands and constants alone", prefix,
         to_string(leaves[operands.size()].type()));
  return definition;
}

std::int64_t custom_operations(const CustomOpRef& op, std::span<const Type> operands, std::span<const Type> results) {
  return called(prefix_of(op) + "operations(): ", [&] { return op->operations(operands, results); });
}

std::int64_t custom_row_count(const CustomOpRef& op, std::span<const Type> results) {
  if (std::ranges::all_of(results, [](const Type& type) { return type.elements() == 0; })) return 0;
  return op->rows() == RowRule::none ? 1 : element_count(leading_axes(results[0]));
}

void compute_custom(const CustomOpRef& op, const CustomRows& rows) {
  called("", [&] { op->compute(rows); });
}

std::vector<Array> custom_results(const CustomOpRef& op, std::vector<Array> operands) {
  std::vector<Type> types;
  for (const Array& operand : operands) types.push_back(operand.type());
  std::vector<Array> results = make_node(Op::custom, CustomAttrs{op}, std::move(operands));
  try {
    if (!has_kernel(op, types) && !custom_definition(op, types))
      fail("{}: no kernel and no decomposition for {}", op.name(), list(types));
  } catch (const Error& error) {
    throw Error(error.what() + Scope::where(Scope::current()));
  }
  return results;
}

Array custom(const CustomOpRef& op, std::vector<Array> operands) {
  const std::vector<Array> results = custom_results(op, std::move(operands));
  if (results.size() != 1)
    fail("{}: has {} results, expected 1; custom_results gives them all{}", op.name(), results.size(),
         Scope::where(Scope::current()));
  return results[0];
}

}  // namespace lazuli
