// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/countable.h>
#include <lazuli/graph/types/named_axis.h>
#include <lazuli/graph/types/shape.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>

namespace lazuli {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(std::string_view name) {
  return !name.empty() && is_letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

const std::string* dimension_name(std::string_view name) {
  if (!is_name(name))
    fail(ErrorDetails{.op = "dimension",
                      .expected = "letters, digits and underscores, no digit first",
                      .found = std::string(name)},
         "dimension: the name \"{}\", expected letters, digits and underscores, no digit first", name);
  static std::mutex mutex;
  static auto* names = new std::unordered_set<std::string>;  // addresses of elements stay
  const std::lock_guard lock(mutex);
  return &*names->emplace(name).first;
}

std::string named_axis_fault(const Type& type) {
  if (!type.named) return {};
  const std::string& name = *type.named.name;
  const auto axis = static_cast<std::size_t>(type.named.axis);
  if (type.named.axis < 0 || axis >= type.shape.size())
    return fmt::format("{} names axis {} of rank {}", name, type.named.axis, type.shape.size());
  if (type.shape[axis] < 2)
    return fmt::format("{} is at most {}, expected a bound of 2 or more", name, type.shape[axis]);
  if (!is_countable(type.shape)) return fmt::format("{} has more than 2^56 elements", to_string(type));
  const auto first = type.shape.begin();
  if (std::all_of(first, first + type.named.axis, [](std::int64_t size) { return size == 1; })) return {};
  return fmt::format("{} is axis {} of {}, expected the first axis longer than 1", name, axis, to_string(type));
}

Type with_named_axis(Type type, int axis, std::string_view name) {
  type.named = {dimension_name(name), axis};
  if (const std::string fault = named_axis_fault(type); !fault.empty())
    fail(ErrorDetails{.kind = ErrorKind::shape,
                      .op = "dimension",
                      .expected = "the first axis longer than 1, bounded by 2 or more",
                      .found = to_string(type)},
         "dimension: {}", fault);
  return type;
}

std::int64_t bound_of(const Type& type) { return type.shape[static_cast<std::size_t>(type.named.axis)]; }

Type at_size(Type type, std::int64_t size) {
  if (!type.named) return type;
  type.shape[static_cast<std::size_t>(type.named.axis)] = size;
  type.named = {};
  return type;
}

std::string shape_text(const std::vector<std::int64_t>& shape, const NamedAxis& named) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ',';
    if (named && axis == static_cast<std::size_t>(named.axis)) text += *named.name + "<=";
    text += fmt::format_int(shape[axis]).c_str();
  }
  return text + ']';
}

}  // namespace lazuli
