// SPDX-License-Identifier: MIT
// Functions that copy elements to other places.
#include <lazuli/graph/ops/ops_parts.h>

#include <algorithm>

namespace lazuli {
namespace {

// Positions begin, begin + step, ... of an axis, `count` of them; step 0 repeats one.
struct Run {
  std::int64_t begin, step, count;
};

// The index that position `i` of an axis of `size` shows.
std::int64_t source_index(std::int64_t i, std::int64_t size, PadMode mode) {
  const auto modulo = [](std::int64_t value, std::int64_t by) { return ((value % by) + by) % by; };
  switch (mode) {
    case PadMode::edge:
      return std::clamp<std::int64_t>(i, 0, size - 1);
    case PadMode::reflect: {
      if (size == 1) return 0;
      const std::int64_t place = modulo(i, 2 * size - 2);
      return std::min(place, 2 * size - 2 - place);
    }
    case PadMode::symmetric: {
      const std::int64_t place = modulo(i, 2 * size);
      return std::min(place, 2 * size - 1 - place);
    }
    default:
      return modulo(i, size);
  }
}

// The positions -before to size + after as runs of the axis.
std::vector<Run> runs_of(std::int64_t size, PadWidth width, PadMode mode) {
  std::vector<Run> runs;
  for (std::int64_t i = -width.before; i < size + width.after; ++i) {
    const std::int64_t index = source_index(i, size, mode);
    if (!runs.empty()) {
      Run& run = runs.back();
      const std::int64_t step = index - (run.begin + (run.count - 1) * run.step);
      const bool goes_on = run.count == 1 ? step >= -1 && step <= 1 : step == run.step;
      if (goes_on) {
        run.step = step;
        ++run.count;
        continue;
      }
    }
    runs.push_back({index, 0, 1});
  }
  return runs;
}

Array run_of_axis(const Array& x, std::size_t axis, const Run& run) {
  Dims begin(x.shape().size(), 0), end = x.shape(), step(x.shape().size(), 1);
  begin[axis] = run.begin;
  if (run.step == 0) {
    Shape shape = x.shape();
    shape[axis] = run.count;
    end[axis] = run.begin + 1;
    return broadcast_to(slice(x, std::move(begin), std::move(end), std::move(step)), std::move(shape));
  }
  step[axis] = run.step;
  end[axis] = run.begin + run.count * run.step;
  return slice(x, std::move(begin), std::move(end), std::move(step));
}

Array pad_axis(const Array& x, std::size_t axis, PadWidth width, PadMode mode) {
  if (width.before == 0 && width.after == 0) return x;
  if (x.shape()[axis] == 0) reject_call("pad", "axis {} of {} is empty", axis, to_string(x.type()));
  std::vector<Array> parts;
  for (const Run& run : runs_of(x.shape()[axis], width, mode)) parts.push_back(run_of_axis(x, axis, run));
  return parts.size() == 1 ? parts[0] : concatenate(parts, static_cast<std::int64_t>(axis));
}

std::string_view name_of(Scatter reduction) {
  switch (reduction) {
    case Scatter::add:
      return "add";
    case Scatter::multiply:
      return "mul";
    case Scatter::max:
      return "max";
    case Scatter::min:
      return "min";
    default:
      return "replace";
  }
}

// Along a new axis behind `axis`, which then join.
Array repeat_axis(const Array& x, std::int64_t repeats, std::size_t axis) {
  const auto behind = static_cast<std::ptrdiff_t>(axis) + 1;
  Shape apart = x.shape(), joined = x.shape();
  apart.insert(apart.begin() + behind, 1);
  Shape wide = apart;
  wide[axis + 1] = repeats;
  joined[axis] *= repeats;
  return reshape(broadcast_to(reshape(x, std::move(apart)), std::move(wide)), std::move(joined));
}

}  // namespace

Array tile(const Array& x, Dims repetitions) {
  Shape sizes = x.shape();
  const std::size_t rank = std::max(sizes.size(), repetitions.size());
  sizes.insert(sizes.begin(), rank - sizes.size(), 1);
  repetitions.insert(repetitions.begin(), rank - repetitions.size(), 1);
  Shape apart, wide, joined;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (repetitions[axis] < 0)
      reject_call("tile", "repetitions {} of {}, expected 0 or more", to_string(repetitions), to_string(x.type()));
    apart.insert(apart.end(), {1, sizes[axis]});
    wide.insert(wide.end(), {repetitions[axis], sizes[axis]});
    joined.push_back(repetitions[axis] * sizes[axis]);
  }
  return reshape(broadcast_to(reshape(x, std::move(apart)), std::move(wide)), std::move(joined));
}

Array repeat(const Array& x, std::int64_t repeats, std::int64_t axis) {
  const std::size_t at = axis_of(axis, x.shape().size(), "repeat");
  if (repeats < 0) reject_call("repeat", "{} repeats of {}, expected 0 or more", repeats, to_string(x.type()));
  return repeat_axis(x, repeats, at);
}
Array repeat(const Array& x, std::int64_t repeats) { return repeat(flatten(x), repeats, 0); }

Array roll(const Array& x, std::int64_t shift, std::int64_t axis) {
  const std::size_t at = axis_of(axis, x.shape().size(), "roll");
  const std::int64_t size = x.shape()[at];
  const std::int64_t first = size == 0 ? 0 : ((-shift % size) + size) % size;  // the index that comes to 0
  if (first == 0) return x;
  return concatenate({slice_axis(x, axis, first, size), slice_axis(x, axis, 0, first)}, axis);
}
Array roll(const Array& x, const Dims& shifts, const Dims& axes) {
  if (shifts.size() != axes.size())
    reject_call("roll", "shifts {} and axes {}, expected a shift for each axis", to_string(shifts), to_string(axes));
  Array result = x;
  for (std::size_t i = 0; i < axes.size(); ++i) result = roll(result, shifts[i], axes[i]);
  return result;
}
Array roll(const Array& x, std::int64_t shift) { return reshape(roll(flatten(x), shift, 0), x.shape()); }

Array pad(const Array& x, const std::vector<PadWidth>& widths, PadMode mode, const Array& value) {
  const std::size_t rank = x.shape().size();
  if (widths.size() != 1 && widths.size() != rank)
    reject_call("pad", "{} widths given for {}, expected 1 or {}", widths.size(), to_string(x.type()), rank);
  PadAttrs attrs;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const PadWidth width = widths[widths.size() == 1 ? 0 : axis];
    if (width.before < 0 || width.after < 0)
      reject_call("pad", "widths {} and {} of axis {} of {}, expected 0 or more", width.before, width.after, axis,
                  to_string(x.type()));
    attrs.before.push_back(width.before);
    attrs.after.push_back(width.after);
  }
  if (mode == PadMode::constant) return make_array(Op::pad, std::move(attrs), {x, beside("pad", value, x.dtype())});
  Array result = x;
  for (std::size_t axis = 0; axis < rank; ++axis)
    result = pad_axis(result, axis, {attrs.before[axis], attrs.after[axis]}, mode);
  return result;
}

Array diag(const Array& x, std::int64_t k) {
  if (x.rank() == 2) return diagonal(x, k);
  if (x.rank() != 1) reject_call("diag", "operand is {}, expected [n] or a matrix", to_string(x.type()));
  const std::int64_t size = x.size(0) + std::max(k, -k);
  const Array rows = pad(x, {{k < 0 ? -k : 0, k > 0 ? k : 0}});
  return select(eye(size, size, k, DType::bool_), expand_dims(rows, 1), scalar(0, x.dtype()));
}
Array trace(const Array& x, std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
  return sum(diagonal(x, offset, axis1, axis2), {-1});
}

Array take(const Array& x, const Array& indices) { return take(flatten(x), indices, 0); }
Array gather_nd(const Array& x, const Array& indices, std::int64_t batch_dims) {
  return make_array(Op::gather_nd, GatherNdAttrs{batch_dims}, {x, indices});
}
Array scatter(const Array& base, const Array& indices, const Array& updates, std::int64_t axis, Scatter reduction) {
  const int along = normalise_axis(axis, base.shape().size(), "scatter");
  const Array update = beside("scatter", updates, base.dtype());
  const bool spreads = broadcastable_to(update.shape(), indices.shape());
  return make_array(Op::scatter, ScatterAttrs{along, std::string(name_of(reduction))},
                    {base, indices, spreads ? broadcast_to(update, indices.shape()) : update});
}
Array scatter_nd(const Array& base, const Array& indices, const Array& updates, Scatter reduction) {
  return make_array(Op::scatter_nd, ScatterNdAttrs{std::string(name_of(reduction))}, {base, indices, updates});
}

}  // namespace lazuli
