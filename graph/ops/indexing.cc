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

// What a slice takes of an axis, as SliceAttrs has it: ends cut to the axis, nothing where they lie the wrong way
// round.
struct Range {
  std::int64_t begin, end;
};

Range range_of(const Slice& slice, std::int64_t size) {
  const bool forward = slice.step > 0;
  // Behind the last index in the direction of the step, and where it starts.
  const std::int64_t lowest = forward ? 0 : -1, highest = forward ? size : size - 1;
  const auto cut = [&](std::int64_t end) {
    return std::clamp<std::int64_t>(end < 0 ? end + size : end, lowest, highest);
  };
  const std::int64_t begin = slice.begin ? cut(*slice.begin)
                             : forward   ? lowest
                                         : highest,
                     end = slice.end ? cut(*slice.end)
                           : forward ? highest
                                     : lowest;
  return {begin, forward ? std::max(begin, end) : std::min(begin, end)};
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
      if (index.slice.step == 0) fail("at: step 0 along axis {}, expected another one{}", axis, where());
      const Range range = range_of(index.slice, size);
      begin[axis] = range.begin;
      end[axis] = range.end;
      // A longer step takes one element as well, and no size overflows.
      step[axis] = std::clamp(index.slice.step, -std::max<std::int64_t>(size, 1), std::max<std::int64_t>(size, 1));
      kept.push_back(sliced_size(range.begin, range.end, step[axis]));
    }
    ++axis;
  }
  kept.insert(kept.end(), shape().begin() + static_cast<std::ptrdiff_t>(axis), shape().end());
  const Array part = lazuli::slice(*this, std::move(begin), std::move(end), std::move(step));
  return part.shape() == kept ? part : reshape(part, std::move(kept));
}

Array Array::operator[](std::int64_t position) const { return at({position}); }

}  // namespace lazuli
