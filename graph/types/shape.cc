// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/shape.h>

#include <algorithm>

namespace lazuli {

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (std::int64_t size : shape) count *= size;
  return count;
}

Dims contiguous_strides(const Shape& shape) {
  Dims strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

std::string to_string(const Type& type) {
  return fmt::format("{}{}", to_string(type.dtype), shape_text(type.shape, type.named));
}

int normalise_axis(std::int64_t axis, std::size_t rank, std::string_view where) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank)
    fail(built_here({.kind = ErrorKind::shape,
                     .op = std::string(where),
                     .expected = rank == 0 ? "no axis" : fmt::format("{} to {}", -signed_rank, signed_rank - 1),
                     .found = fmt::format("axis {}", axis)}),
         "{}: axis {} is out of range for an array of rank {}", where, axis, rank);
  return static_cast<int>(axis < 0 ? axis + signed_rank : axis);
}

Shape broadcast_shapes(const Shape& a, const Shape& b, std::string_view where) {
  Shape result(std::max(a.size(), b.size()));
  for (std::size_t back = 1; back <= result.size(); ++back) {
    const std::int64_t left = back <= a.size() ? a[a.size() - back] : 1;
    const std::int64_t right = back <= b.size() ? b[b.size() - back] : 1;
    if (left != right && left != 1 && right != 1)
      fail(ErrorDetails{.kind = ErrorKind::shape,
                        .op = std::string(where),
                        .expected = fmt::format("a shape that broadcasts with {}", to_string(a)),
                        .found = to_string(b)},
           "{}: shapes {} and {} do not broadcast", where, to_string(a), to_string(b));
    result[result.size() - back] = left == 1 ? right : left;
  }
  return result;
}

bool broadcastable_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  for (std::size_t back = 1; back <= from.size(); ++back) {
    const std::int64_t size = from[from.size() - back];
    if (size != 1 && size != to[to.size() - back]) return false;
  }
  return true;
}

}  // namespace lazuli
