// SPDX-License-Identifier: MIT
// Named axes: sizes that a run of a program brings, each with a name and an upper bound. The shape of an array holds
// the bound, so that whatever looks at shapes goes on working. The named axis is the first one that is longer than 1:
// what a run of fewer rows holds is then the beginning of what one of the bound would hold.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

struct Type;

struct LAZULI_API NamedAxis {
  const std::string* name = nullptr;  // dimension_name of it; null: the array has no named axis
  int axis = 0;

  explicit operator bool() const { return name != nullptr; }
  bool operator==(const NamedAxis&) const = default;
};

// The one string of this name, which lives as long as the process: equal names have equal addresses. Throws an Error
// unless it is letters, digits and underscores and begins with no digit.
LAZULI_API const std::string* dimension_name(std::string_view name);

// Type `type` with axis `axis` named; its size there is the bound, at least 2. Throws an Error where the axis is not
// the first one longer than 1.
LAZULI_API Type with_named_axis(Type type, int axis, std::string_view name);
// What is wrong with the named axis of a type; "" where nothing is, or where it has none.
LAZULI_API std::string named_axis_fault(const Type& type);

// The upper bound of a type that has a named axis.
LAZULI_API std::int64_t bound_of(const Type& type);
// The type in a run where the named axis has this size: it has no name any more. One without a name stays.
LAZULI_API Type at_size(Type type, std::int64_t size);

// "[tokens<=512,64]"
LAZULI_API std::string shape_text(const std::vector<std::int64_t>& shape, const NamedAxis& named);

}  // namespace lazuli
