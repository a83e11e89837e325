// SPDX-License-Identifier: MIT
// What functions of ops.h that are made of other ops share. Private to graph/.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/ops/ops.h>

#include <string_view>
#include <utility>

namespace lazuli {

// Throws "name: text in scope".
template <class... Args>
[[noreturn]] void reject_call(std::string_view name, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(
      fmt::format("{}: {}{}", name, fmt::format(text, std::forward<Args>(args)...), Scope::where(Scope::current())));
}

// Whether x is a C++ number of the program, which takes the dtype of the array it meets.
bool is_number(const Array& x);

// A number as an operand of `where` beside arrays of this dtype; arrays stay. Throws where it is no value of the dtype.
Array beside(std::string_view where, const Array& x, DType dtype);

// The largest number of a real dtype.
double largest_finite(DType dtype);

inline std::size_t axis_of(std::int64_t axis, std::size_t rank, std::string_view where) {
  return static_cast<std::size_t>(normalise_axis(axis, rank, where));
}

}  // namespace lazuli
