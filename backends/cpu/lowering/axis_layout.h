// SPDX-License-Identifier: MIT
// What steps that move data along an axis share: its layout, and the check of indices that come with a run.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/types/shape.h>

#include <cstdint>
#include <string>

namespace lazuli::cpu {

// The axes before, at and after one axis of a contiguous array: [outer, size, inner].
struct AxisLayout {
  std::int64_t outer = 1, size = 1, inner = 1;
};

inline AxisLayout layout_around(const Shape& shape, std::int64_t axis) {
  AxisLayout layout;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(shape.size()); ++i) {
    std::int64_t& count = i < axis ? layout.outer : i == axis ? layout.size : layout.inner;
    count *= shape[static_cast<std::size_t>(i)];
  }
  return layout;
}

// `position`: of the index among the indices.
inline std::int64_t checked_index(std::int32_t index, std::int64_t position, std::int64_t size,
                                  const std::string& where) {
  if (index < 0 || index >= size)
    throw ExecutionError(fmt::format("{}: index {} at position {} is outside [0, {})", where, index, position, size),
                         {.kind = ErrorKind::execution,
                          .expected = fmt::format("an index in [0, {})", size),
                          .found = fmt::format("{} at position {}", index, position)});
  return index;
}

}  // namespace lazuli::cpu
