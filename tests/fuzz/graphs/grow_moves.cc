// SPDX-License-Identifier: MIT
// What moves data by places, and blocks of quantised dtypes.
#include <lazuli/graph/types/quantised.h>
#include <lazuli/tests/fuzz/graphs/grow.h>

#include <algorithm>

namespace lazuli::fuzz::grow {
namespace {

std::int64_t some_axis(Builder& b, ValueId x) {
  return b.choice.below(1 << 16) % static_cast<std::int64_t>(b.shape_of(x).size());
}

std::vector<DType> quantised_dtypes(bool encoded) {
  std::vector<DType> list;
  for (const DTypeInfo& each : all_dtypes())
    if (is_quantised(each.dtype) && (!encoded || has_quantiser(each.dtype))) list.push_back(each.dtype);
  return list;
}

std::string reduction(Builder& b, DType dtype) {
  constexpr const char* all[] = {"replace", "add", "mul", "max", "min"};
  const char* drawn = b.choice.of(all);
  return dtype == DType::bool_ ? "replace" : drawn;
}

}  // namespace

bool concatenate(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  const std::int64_t axis = some_axis(b, x);
  std::vector<ValueId> parts{x};
  const std::int64_t others = b.choice.between(0, 2);
  for (std::int64_t i = 0; i < others; ++i) {
    Type other = b.type(x);
    const bool itself = b.choice.chance(30), behind = b.choice.chance(50);
    other.shape[static_cast<std::size_t>(axis)] = b.size();
    const ValueId part = itself ? x : b.viewed_leaf(other);
    parts.insert(behind ? parts.end() : parts.begin(), part);
  }
  return b.add(op, AxisAttrs{axis}, parts);
}

bool slice_update(Builder& b, Op op) {
  const bool encoded = !b.in_body() && b.choice.chance(15), ring = b.choice.chance(40);
  const double part = b.choice.unit();
  ValueId base;
  if (encoded) {
    const DType dtype = b.choice.of(quantised_dtypes(true));
    base = b.leaf({dtype, {b.a_few() + 2, 256}});
  } else {
    base = b.any(is_plain, 1);
  }
  const std::int64_t axis = encoded ? 0 : some_axis(b, base);
  Type update = b.type(base);
  if (encoded) update.dtype = DType::f32;
  std::int64_t& rows = update.shape[static_cast<std::size_t>(axis)];
  const std::int64_t size = rows;
  rows = static_cast<std::int64_t>(part * static_cast<double>(size + 1));
  const ValueId start = b.indices({}, 0, size + 1);
  const ValueId written = b.viewed_leaf(update);
  return b.add(op, SliceUpdateAttrs{axis, ring}, {base, written, start});
}

bool take(Builder& b, Op op) {
  const bool decoded = !b.in_body() && b.choice.chance(20);
  ValueId x;
  if (decoded) {
    const DType dtype = b.choice.of(quantised_dtypes(false));
    const Type table{dtype, {b.a_few() + 3, 256}};
    x = b.choice.chance(70) ? b.constant(table, Values::weights) : b.leaf(table);
  } else {
    x = b.any(is_plain, 1);
  }
  const std::int64_t axis = decoded ? 0 : some_axis(b, x), size = b.shape_of(x)[static_cast<std::size_t>(axis)];
  const Shape shape = b.shape(0, 2);
  if (size == 0) return false;
  return b.add(op, AxisAttrs{axis}, {x, b.indices(shape, 0, size - 1)});
}

bool gather(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  const std::int64_t axis = some_axis(b, x), size = b.shape_of(x)[static_cast<std::size_t>(axis)];
  Shape shape = b.shape_of(x);
  shape[static_cast<std::size_t>(axis)] = b.size();
  if (size == 0) return false;
  return b.add(op, AxisAttrs{axis}, {x, b.indices(shape, 0, size - 1)});
}

bool pad(Builder& b, Op op) {
  const ValueId x = b.any(is_plain);
  PadAttrs attrs;
  for (std::size_t axis = 0; axis < b.shape_of(x).size(); ++axis) {
    attrs.before.push_back(b.choice.chance(50) ? 0 : b.a_few());
    attrs.after.push_back(b.choice.chance(50) ? 0 : b.a_few());
  }
  const DType dtype = b.type(x).dtype;
  const ValueId value = b.choice.chance(70) ? b.number(b.some_number(dtype), dtype) : b.leaf({dtype, {}});
  return b.add(op, attrs, {x, value});
}

namespace {

std::int64_t smallest(const Shape& shape, std::size_t begin, std::size_t count) {
  std::int64_t size = shape[begin];
  for (std::size_t axis = begin; axis < begin + count; ++axis) size = std::min(size, shape[axis]);
  return size;
}

}  // namespace

bool gather_nd(Builder& b, Op op) {
  const ValueId x = b.any(is_plain, 1);
  const Shape& shape = b.shape_of(x);
  const std::size_t rank = shape.size();
  const std::size_t batch = rank > 1 && b.choice.chance(35) ? 1 : 0;
  const auto k = 1 + static_cast<std::size_t>(b.choice.below(1 << 16)) % (rank - batch);
  const std::int64_t size = smallest(shape, batch, k);
  Shape indices(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(batch));
  const Shape more = b.shape(0, 2);
  indices.insert(indices.end(), more.begin(), more.end());
  indices.push_back(static_cast<std::int64_t>(k));
  if (size == 0) return false;
  return b.add(op, GatherNdAttrs{static_cast<std::int64_t>(batch)}, {x, b.indices(indices, 0, size - 1)});
}

bool scatter(Builder& b, Op op) {
  const ValueId base = b.any(is_plain, 1);
  const DType dtype = b.type(base).dtype;
  const std::int64_t axis = some_axis(b, base), size = b.shape_of(base)[static_cast<std::size_t>(axis)];
  Shape shape = b.shape_of(base);
  shape[static_cast<std::size_t>(axis)] = b.size();
  const std::string how = reduction(b, dtype);
  if (size == 0) return false;
  const ValueId indices = b.indices(shape, 0, size - 1);
  return b.add(op, ScatterAttrs{axis, how}, {base, indices, b.viewed_leaf({dtype, shape})});
}

bool scatter_nd(Builder& b, Op op) {
  const ValueId base = b.any(is_plain, 1);
  const DType dtype = b.type(base).dtype;
  const Shape& shape = b.shape_of(base);
  const auto k = 1 + static_cast<std::size_t>(b.choice.below(1 << 16)) % shape.size();
  const std::int64_t size = smallest(shape, 0, k);
  Shape indices = b.shape(0, 2), updates = indices;
  indices.push_back(static_cast<std::int64_t>(k));
  updates.insert(updates.end(), shape.begin() + static_cast<std::ptrdiff_t>(k), shape.end());
  const std::string how = reduction(b, dtype);
  if (size == 0 || element_count(updates) > 1 << 14) return false;
  const ValueId places = b.indices(indices, 0, size - 1);
  return b.add(op, ScatterNdAttrs{how}, {base, places, b.viewed_leaf({dtype, updates})});
}

bool quantise(Builder& b, Op op) {
  const DType dtype = b.choice.of(quantised_dtypes(true));
  const DType real = b.dtype(is_real_32);
  if (b.in_body()) return false;
  return b.add(op, CastAttrs{dtype}, {b.viewed_leaf({real, {b.a_few(), 256}})});
}
bool dequantise(Builder& b, Op op) {
  const DType dtype = b.choice.of(quantised_dtypes(false));
  if (b.in_body()) return false;
  for (std::size_t i = b.operands().size(); i-- > 0;)
    if (is_quantised(b.type(b.operands()[i]).dtype) && b.choice.chance(60))
      return b.add(op, NoAttrs{}, {b.operands()[i]});
  const Type held{dtype, {b.a_few(), 256}};
  return b.add(op, NoAttrs{}, {b.choice.chance(50) ? b.leaf(held) : b.constant(held, Values::weights)});
}

}  // namespace lazuli::fuzz::grow
