// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/op.h>

#include <type_traits>
#include <unordered_map>

namespace lazuli {
namespace {

template <class T, std::size_t Index = 0>
constexpr std::size_t alternative() {
  if constexpr (std::is_same_v<std::variant_alternative_t<Index, Attrs>, T>)
    return Index;
  else
    return alternative<T, Index + 1>();
}

// Rows are added one by one: as one initialiser they would all be temporaries at once, and the code that cleans them up
// after an exception takes compilers minutes.
template <class T>
[[gnu::noinline]] void add_row(std::vector<OpInfo>& ops, Op op, std::string_view name, int min, int max, unsigned flags,
                               RowRule rows, int name_weight) {
  ops.push_back({op, name, min, max, flags, rows, name_weight, alternative<T>(), T{}});
}

std::vector<OpInfo> make_table() {
  using namespace op_flags;
  std::vector<OpInfo> ops;
#define LAZULI_OP(name, min, max, attrs, shape, flags, rows, cost, picture, weight) \
  add_row<attrs>(ops, Op::name, #name, min, max, flags, RowRule::rows, weight);
#include <lazuli/graph/ops.def>
  return ops;
}

const std::vector<OpInfo>& table() {
  static const std::vector<OpInfo> ops = make_table();
  return ops;
}

std::string field_text(bool value) { return value ? "true" : "false"; }
std::string field_text(std::int64_t value) { return fmt::format("{}", value); }
std::string field_text(const Number& number) { return fmt::format("{}", number.value); }
std::string field_text(DType value) { return std::string(to_string(value)); }
std::string field_text(const std::string& value) { return value; }
std::string field_text(const Dims& value) { return to_string(value); }

}  // namespace

std::span<const OpInfo> all_ops() { return table(); }
const OpInfo& info(Op op) { return table()[static_cast<std::size_t>(op)]; }

std::optional<Op> parse_op(std::string_view name) {
  static const auto* by_name = [] {
    auto* map = new std::unordered_map<std::string_view, Op>;
    for (const OpInfo& op : table()) map->emplace(op.name, op.op);
    return map;
  }();
  const auto found = by_name->find(name);
  return found == by_name->end() ? std::nullopt : std::optional(found->second);
}

std::string to_string(const Attrs& attrs) {
  std::string text;
  if (const auto* custom = std::get_if<CustomAttrs>(&attrs))
    return custom->op.attributes().empty() ? text : fmt::format("{{{}}}", custom->op.attributes());
  std::visit(
      [&](const auto& fields) {
        fields.visit(fields, [&](const char* name, const auto& value) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, BodyRef>)
            text += fmt::format("{}{}={}", text.empty() ? "{" : ", ", name, field_text(value));
        });
      },
      attrs);
  return text.empty() ? text : text + "}";
}

void append_key(const Attrs& attrs, std::string& key, NumberKey numbers) {
  auto append_bytes = [&](const auto& value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  auto append_number = [&](const Number& number) {
    if (numbers != NumberKey::none) append_bytes(number.value);
    if (numbers == NumberKey::values_and_slots) append_bytes(number.slot);
  };
  key.push_back(static_cast<char>(attrs.index()));
  if (const auto* custom = std::get_if<CustomAttrs>(&attrs)) custom->op.append_key(key);
  std::visit(
      [&](const auto& fields) {
        fields.visit(fields, [&](const char*, const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Number>) {
            append_number(value);
          } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, BodyRef>) {
            value.append_key(key, numbers);
          } else if constexpr (requires { value.size(); }) {
            append_bytes(value.size());
            for (const auto& element : value) append_bytes(element);
          } else {
            append_bytes(value);
          }
        });
      },
      attrs);
}

}  // namespace lazuli
