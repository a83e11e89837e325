// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>

#include <algorithm>

namespace lazuli {
namespace {

std::string where() { return Scope::where(Scope::current()); }

std::int64_t checked_position(const Array& x, std::size_t axis, std::int64_t position) {
  const std::int64_t size = x.shape()[axis];
  if (position < -size || position >= size)
    fail("at: position {} is outside axis {} of {}, expected {} to {}{}", position, axis, to_string(x.type()), -size,
         size - 1, where());
  return position < 0 ? position + size : position;
}

std::int64_t cut_to_axis(std::int64_t end, std::int64_t size) {
  return std::clamp<std::int64_t>(end < 0 ? end + size : end, 0, size);
}

}  // namespace

Array Array::at(std::initializer_list<Index> indices) const {
  const std::size_t axes = shape().size();
  if (indices.size() > axes)
    fail("at: {} indices for {}, expected at most {}{}", indices.size(), to_string(type()), axes, where());
  Dims begin(axes, 0), end = shape(), step(axes, 1);
  Shape kept;
  std::size_t axis = 0;
  for (const Index& index : indices) {
    const std::int64_t size = shape()[axis];
    if (index.position) {
      begin[axis] = checked_position(*this, axis, *index.position);
      end[axis] = begin[axis] + 1;
    } else {
      if (index.slice.step < 1)
        fail("at: step {} along axis {}, expected 1 or more{}", index.slice.step, axis, where());
      begin[axis] = cut_to_axis(index.slice.begin.value_or(0), size);
      end[axis] = std::max(begin[axis], cut_to_axis(index.slice.end.value_or(size), size));
      step[axis] = index.slice.step;
      kept.push_back((end[axis] - begin[axis] + step[axis] - 1) / step[axis]);
    }
    ++axis;
  }
  kept.insert(kept.end(), shape().begin() + static_cast<std::ptrdiff_t>(axis), shape().end());
  const Array part = lazuli::slice(*this, std::move(begin), std::move(end), std::move(step));
  return part.shape() == kept ? part : reshape(part, std::move(kept));
}

Array Array::operator[](std::int64_t position) const { return at({position}); }

}  // namespace lazuli
