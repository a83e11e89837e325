// SPDX-License-Identifier: MIT
// Views.
#include <lazuli/tests/fuzz/graphs/grow.h>

#include <algorithm>

namespace lazuli::fuzz::grow {
namespace {

std::size_t place(Builder& b, std::size_t count) {
  return count == 0 ? 0 : static_cast<std::size_t>(b.choice.below(1 << 16)) % count;
}

Shape without_ones(const Shape& shape) {
  Shape kept;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(kept), [](std::int64_t size) { return size != 1; });
  return kept;
}

// One axis as two, where its size is no prime.
Shape split_axis(Shape shape, std::size_t axis) {
  if (shape.empty()) return {1};
  for (const std::int64_t part : {4, 2, 3, 5, 7})
    if (shape[axis] > part && shape[axis] % part == 0) {
      shape[axis] /= part;
      shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, part);
      break;
    }
  return shape;
}

Shape joined_axes(Shape shape, std::size_t axis) {
  if (shape.size() < 2) return shape;
  axis %= shape.size() - 1;
  shape[axis] *= shape[axis + 1];
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
  return shape;
}

}  // namespace

bool reshape(Builder& b, Op op) {
  const ValueId x = b.any(is_plain);
  Shape shape = b.shape_of(x);
  const std::size_t at = place(b, shape.size() + 1), axis = shape.empty() ? 0 : at % shape.size();
  switch (b.choice.below(5)) {
    case 0:
      shape = {element_count(shape)};
      break;
    case 1:
      shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(at), 1);
      break;
    case 2:
      shape = without_ones(shape);
      break;
    case 3:
      shape = split_axis(shape, axis);
      break;
    default:
      shape = joined_axes(shape, axis);
  }
  return b.add(op, ReshapeAttrs{shape}, {x});
}

bool transpose(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 2);
  Dims permutation;
  for (std::size_t axis = 0; axis < b.shape_of(x).size(); ++axis)
    permutation.insert(permutation.begin() + static_cast<std::ptrdiff_t>(place(b, axis + 1)),
                       static_cast<std::int64_t>(axis));
  return b.add(op, TransposeAttrs{permutation}, {x});
}

bool slice(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  const Shape& shape = b.shape_of(x);
  SliceAttrs attrs;
  for (const std::int64_t size : shape) {
    const bool whole = b.choice.chance(50), backwards = b.choice.chance(25);
    const double from = b.choice.unit() * 0.6, to = 0.4 + b.choice.unit() * 0.65;
    const std::int64_t stride = b.choice.between(1, 3);
    std::int64_t begin = whole ? 0 : static_cast<std::int64_t>(from * static_cast<double>(size));
    std::int64_t end = whole ? size : std::min(size, static_cast<std::int64_t>(to * static_cast<double>(size)) + 1);
    end = std::max(begin, end);
    const bool turned = backwards && end > begin;
    attrs.begin.push_back(turned ? end - 1 : begin);
    attrs.end.push_back(turned ? begin - 1 : end);
    attrs.step.push_back(turned ? -stride : whole && stride < 3 ? 1 : stride);
  }
  return b.add(op, attrs, {x});
}

bool broadcast_to(Builder& b, Op op) {
  const ValueId x = b.any(is_plain);
  Shape shape = b.shape_of(x);
  for (std::int64_t& size : shape)
    if (size == 1 && b.choice.chance(70)) size = b.size();
  if (shape.size() < 4 && b.choice.chance(60)) shape.insert(shape.begin(), b.size());
  return b.add(op, ReshapeAttrs{shape}, {x});
}

bool as_strided(Builder& b, Op op) {
  const ValueId x = b.any(is_plain);
  const std::int64_t count = element_count(b.shape_of(x));
  const std::int64_t few = b.a_few(), window = std::min(count, few);
  const auto at = static_cast<std::int64_t>(b.choice.unit() * static_cast<double>(count));
  switch (b.choice.below(5)) {
    case 0:  // windows that overlap
      return b.add(op, AsStridedAttrs{{count - window + 1, window}, {1, 1}, 0}, {x});
    case 1:  // from the end
      return b.add(op, AsStridedAttrs{{count}, {-1}, std::max<std::int64_t>(count - 1, 0)}, {x});
    case 2:  // one element, again and again
      return b.add(op, AsStridedAttrs{{few, 3}, {0, 0}, at}, {x});
    case 3:  // every other one
      return b.add(op, AsStridedAttrs{{count / 2}, {2}, 0}, {x});
    default:
      return b.add(op, AsStridedAttrs{{2, window, (count - window) / 2}, {window / 2, 1, 1}, 0}, {x});
  }
}

}  // namespace lazuli::fuzz::grow
