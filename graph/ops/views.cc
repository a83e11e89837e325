// SPDX-License-Identifier: MIT
// Functions that are views: other orders, other shapes, parts.
#include <lazuli/graph/ops/ops_parts.h>

#include <algorithm>
#include <numeric>

namespace lazuli {
namespace {

// Ascending; each once.
Dims distinct_axes(Dims axes, std::size_t rank, std::string_view where) {
  const std::string given = to_string(axes);
  for (std::int64_t& axis : axes) axis = normalise_axis(axis, rank, where);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    reject_call(where, "axes {} name one axis twice", given);
  return axes;
}

Dims all_axes(std::size_t rank) {
  Dims axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

}  // namespace

Array squeeze(const Array& x, Dims axes) {
  axes = distinct_axes(std::move(axes), x.shape().size(), "squeeze");
  Shape shape = x.shape();
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    if (shape[static_cast<std::size_t>(*axis)] != 1)
      reject_call("squeeze", "axis {} of {} is not 1", *axis, to_string(x.type()));
    shape.erase(shape.begin() + *axis);
  }
  return reshape(x, std::move(shape));
}
Array squeeze(const Array& x) {
  Shape shape = x.shape();
  std::erase(shape, 1);
  return reshape(x, std::move(shape));
}
Array expand_dims(const Array& x, Dims axes) {
  const std::size_t rank = x.shape().size() + axes.size();
  axes = distinct_axes(std::move(axes), rank, "expand_dims");
  Shape shape = x.shape();
  for (std::int64_t axis : axes) shape.insert(shape.begin() + axis, 1);
  return reshape(x, std::move(shape));
}

Array flatten(const Array& x, std::int64_t start_axis, std::int64_t end_axis) {
  if (x.rank() == 0) return reshape(x, {1});
  const std::size_t first = axis_of(start_axis, x.shape().size(), "flatten"),
                    last = axis_of(end_axis, x.shape().size(), "flatten");
  if (first > last)
    reject_call("flatten", "axes {} to {} of {}, expected ascending ones", start_axis, end_axis, to_string(x.type()));
  Shape shape(x.shape().begin(), x.shape().begin() + static_cast<std::ptrdiff_t>(first));
  std::int64_t joined = 1;
  for (std::size_t axis = first; axis <= last; ++axis) joined *= x.shape()[axis];
  shape.push_back(joined);
  shape.insert(shape.end(), x.shape().begin() + static_cast<std::ptrdiff_t>(last) + 1, x.shape().end());
  return reshape(x, std::move(shape));
}

Array unflatten(const Array& x, std::int64_t axis, Shape shape) {
  const std::size_t at = axis_of(axis, x.shape().size(), "unflatten");
  const std::int64_t size = x.shape()[at];
  const Shape given = shape;
  if (const auto unknown = std::find(shape.begin(), shape.end(), -1); unknown != shape.end()) {
    *unknown = 1;
    const std::int64_t known = element_count(shape);
    *unknown = known > 0 ? size / known : 0;
  }
  const bool negative = std::any_of(shape.begin(), shape.end(), [](std::int64_t part) { return part < 0; });
  if (shape.empty() || negative || element_count(shape) != size)
    reject_call("unflatten", "{} does not fill axis {} of {}", to_string(given), at, to_string(x.type()));
  Shape result = x.shape();
  result.erase(result.begin() + static_cast<std::ptrdiff_t>(at));
  result.insert(result.begin() + static_cast<std::ptrdiff_t>(at), shape.begin(), shape.end());
  return reshape(x, std::move(result));
}

Array moveaxis(const Array& x, std::int64_t source, std::int64_t destination) {
  Dims permutation = all_axes(x.shape().size());
  const int from = normalise_axis(source, permutation.size(), "moveaxis"),
            to = normalise_axis(destination, permutation.size(), "moveaxis");
  permutation.erase(permutation.begin() + from);
  permutation.insert(permutation.begin() + to, from);
  return transpose(x, std::move(permutation));
}

Array flip(const Array& x, Dims axes) {
  axes = distinct_axes(std::move(axes), x.shape().size(), "flip");
  Dims begin(x.shape().size(), 0), end = x.shape(), step(x.shape().size(), 1);
  for (std::int64_t axis : axes) {
    const auto at = static_cast<std::size_t>(axis);
    if (end[at] == 0) continue;
    begin[at] = end[at] - 1;
    end[at] = -1;
    step[at] = -1;
  }
  return slice(x, std::move(begin), std::move(end), std::move(step));
}
Array flip(const Array& x) { return flip(x, all_axes(x.shape().size())); }

Array as_strided(const Array& x, Shape shape, Dims strides, std::int64_t offset) {
  return make_array(Op::as_strided, AsStridedAttrs{std::move(shape), std::move(strides), offset}, {x});
}

std::vector<Array> broadcast_arrays(const std::vector<Array>& arrays) {
  Shape shape;
  for (const Array& x : arrays) shape = broadcast_shapes(shape, x.shape(), "broadcast_arrays");
  std::vector<Array> result;
  for (const Array& x : arrays) result.push_back(broadcast_to(x, shape));
  return result;
}

std::vector<Array> meshgrid(const std::vector<Array>& axes, bool sparse, Indexing indexing) {
  std::vector<Array> grid;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].rank() != 1) reject_call("meshgrid", "axis {} is {}, expected [n]", i, to_string(axes[i].type()));
    Shape shape(axes.size(), 1);
    const bool exchanged = indexing == Indexing::xy && axes.size() > 1 && i < 2;
    shape[exchanged ? 1 - i : i] = axes[i].size(0);
    grid.push_back(reshape(axes[i], std::move(shape)));
  }
  return sparse ? grid : broadcast_arrays(grid);
}

Array diagonal(const Array& x, std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
  const Dims planes = distinct_axes({axis1, axis2}, x.shape().size(), "diagonal");
  const std::int64_t row_axis = normalise_axis(axis1, x.shape().size(), "diagonal");
  Dims permutation = all_axes(x.shape().size());
  std::erase_if(permutation, [&](std::int64_t axis) { return axis == planes[0] || axis == planes[1]; });
  permutation.push_back(row_axis);
  permutation.push_back(planes[0] + planes[1] - row_axis);
  const Array moved = transpose(x, permutation);
  const std::int64_t rows = moved.size(-2), columns = moved.size(-1);
  const std::int64_t first_row = std::min(std::max<std::int64_t>(-offset, 0), rows),
                     first_column = std::min(std::max<std::int64_t>(offset, 0), columns);
  const std::int64_t length = std::min(rows - first_row, columns - first_column);
  // Elements of the diagonal lie columns + 1 apart in the plane seen as one axis.
  const Array flat = flatten(moved, -2);
  Dims begin(flat.shape().size(), 0), end = flat.shape(), step(flat.shape().size(), 1);
  begin.back() = length > 0 ? first_row * columns + first_column : 0;
  end.back() = length > 0 ? begin.back() + (length - 1) * (columns + 1) + 1 : 0;
  step.back() = columns + 1;
  return slice(flat, std::move(begin), std::move(end), std::move(step));
}

std::vector<Array> split(const Array& x, std::int64_t parts, std::int64_t axis) {
  const std::size_t at = axis_of(axis, x.shape().size(), "split");
  const std::int64_t size = x.shape()[at];
  if (parts < 1 || size % parts != 0)
    reject_call("split", "{} equal parts of axis {} of {}; expected a divisor of {}", parts, at, to_string(x.type()),
                size);
  std::vector<Array> result;
  for (std::int64_t part = 0; part < parts; ++part)
    result.push_back(slice_axis(x, axis, part * (size / parts), (part + 1) * (size / parts)));
  return result;
}
std::vector<Array> split(const Array& x, const Dims& positions, std::int64_t axis) {
  const std::size_t at = axis_of(axis, x.shape().size(), "split");
  const std::int64_t size = x.shape()[at];
  std::vector<Array> result;
  std::int64_t begin = 0;
  for (std::size_t part = 0; part <= positions.size(); ++part) {
    const std::int64_t end = part < positions.size() ? positions[part] : size;
    if (end < 0 || end > size)
      reject_call("split", "position {} is outside [0, {}] of axis {} of {}", end, size, at, to_string(x.type()));
    result.push_back(slice_axis(x, axis, begin, std::max(begin, end)));
    begin = end;
  }
  return result;
}

}  // namespace lazuli
