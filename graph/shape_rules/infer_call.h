// SPDX-License-Identifier: MIT
// What shape rules share: the application of an op that they look at. Private to graph/; the rules of ops.def stand in
// the sources beside it, one function each.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/op.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::infer {

struct Call {
  Op op;
  const Attrs& attrs;
  std::span<const Type> operands;

  const Type& operand(std::size_t position) const { return operands[position]; }
  std::string found(std::size_t position) const { return to_string(operand(position)); }
  template <class T>
  const T& as() const {
    return std::get<T>(attrs);
  }
  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) const {
    reject_with({}, fmt::format(text, std::forward<Args>(args)...));
  }
  // The same with what was expected and what was found in its place, as data.
  template <class... Args>
  [[noreturn]] void reject_shape(std::string expected, std::string found, fmt::format_string<Args...> text,
                                 Args&&... args) const {
    reject_with({.kind = ErrorKind::shape, .expected = std::move(expected), .found = std::move(found)},
                fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void reject_dtype(std::string expected, std::string found, fmt::format_string<Args...> text,
                                 Args&&... args) const {
    reject_with({.kind = ErrorKind::dtype, .expected = std::move(expected), .found = std::move(found)},
                fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void reject_with(ErrorDetails details, const std::string& text) const {
    const auto* custom = std::get_if<CustomAttrs>(&attrs);
    const std::string_view name = custom ? custom->op.name() : to_string(op);
    details.op = name;
    throw Error(fmt::format("{}: {}", name, text), std::move(details));
  }
  void require_rank(std::size_t position, std::size_t rank, const char* layout) const {
    if (operand(position).shape.size() != rank)
      reject_shape(layout, found(position), "operand {} is {}, expected {}", position, found(position), layout);
  }
  void require_axis(std::int64_t axis, std::size_t rank) const {
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank))
      reject_shape(fmt::format("an axis below {}", rank), fmt::format("axis {}", axis),
                   "axis {} is out of range for rank {}", axis, rank);
  }
};

using Types = std::vector<Type>;

// One function for each shape rule; some serve several ops.
#define LAZULI_OP(name, min, max, attrs, shape, ...) Types shape(const Call& call);
#include <lazuli/graph/ops.def>

}  // namespace lazuli::infer
