// SPDX-License-Identifier: MIT
// For tests that reduce by naive loops: the elements that meet along some axes of an array.
#pragma once

#include <lazuli/graph/types/shape.h>

#include <algorithm>
#include <vector>

namespace lazuli::test {

// One list for each element of the result of reducing `axes`, in row-major order.
inline std::vector<std::vector<double>> values_along(const Shape& shape, Dims axes, const std::vector<double>& values) {
  for (std::int64_t& axis : axes) axis += axis < 0 ? static_cast<std::int64_t>(shape.size()) : 0;
  const auto is_reduced = [&](std::size_t axis) {
    return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
  };
  std::int64_t results = 1;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) results *= is_reduced(axis) ? 1 : shape[axis];
  std::vector<std::vector<double>> lists(static_cast<std::size_t>(results));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::int64_t rest = static_cast<std::int64_t>(i), result = 0, stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis]) {
      if (is_reduced(axis)) continue;
      result += rest % shape[axis] * stride;
      stride *= shape[axis];
    }
    lists[static_cast<std::size_t>(result)].push_back(values[i]);
  }
  return lists;
}

}  // namespace lazuli::test
