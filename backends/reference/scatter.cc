// SPDX-License-Identifier: MIT
// Data moved by places: as_strided, pad, gather_nd and the scatters.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/base/fail.h>

#include <cmath>
#include <cstring>
#include <string_view>

namespace lazuli::reference {
namespace {

void copy_elements(const Tensor& to, std::int64_t to_element, const Tensor& from, std::int64_t from_element,
                   std::int64_t count) {
  std::memcpy(to.at(to_element), from.at(from_element), static_cast<std::size_t>(count * from.element_bytes()));
}

// As the ops add, mul, maximum and minimum.
template <class T>
T reduce(std::string_view reduction, T a, T b) {
  if (reduction == "add") return a + b;
  if (reduction == "mul") return a * b;
  if (a != a) return a;
  if (reduction == "max") return a >= b ? a : b;
  if (reduction == "min") return a <= b ? a : b;
  fail_internal("scatter: unknown reduction '{}'", reduction);
}

// Sums and products without a sign, which wraps; order with the sign that the dtype has.
std::int64_t reduced(std::string_view reduction, DType dtype, std::int64_t a, std::int64_t b) {
  if (dtype == DType::u64 || reduction == "add" || reduction == "mul")
    return static_cast<std::int64_t>(reduce(reduction, static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  return reduce(reduction, a, b);
}

void apply(std::string_view reduction, const Tensor& to, std::int64_t to_element, const Tensor& from,
           std::int64_t from_element) {
  if (reduction == "replace")
    copy_elements(to, to_element, from, from_element, 1);
  else if (is_real(to.dtype()))
    to.set_real(to_element, reduce(reduction, to.real(to_element), from.real(from_element)));
  else
    to.set_integer(to_element, reduced(reduction, to.dtype(), to.integer(to_element), from.integer(from_element)));
}

// Of x [sizes..., slice], the slice that the k indices from `position` on name, in elements behind `first`.
std::int64_t slice_at(const Tensor& indices, std::int64_t position, const Dims& sizes, std::int64_t first,
                      std::int64_t slice) {
  std::int64_t found = 0;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    const std::int64_t at = position + static_cast<std::int64_t>(axis), index = indices.integer(at);
    check_index(index, at, sizes[axis]);
    found = found * sizes[axis] + index;
  }
  return (first + found) * slice;
}

void copy_base(const Call& call) {
  std::memcpy(call.result().data, call.operand(0).data, static_cast<std::size_t>(call.result().type->bytes()));
}

}  // namespace

void as_strided(const Call& call) {
  const auto& attrs = call.as<AsStridedAttrs>();
  for_each_index(call.result().shape(), std::array{attrs.strides}, [&](std::int64_t i, const auto& offsets) {
    copy_elements(call.result(), i, call.operand(0), attrs.offset + offsets[0], 1);
  });
}

void pad(const Call& call) {
  const Tensor &x = call.operand(0), &result = call.result();
  for (std::int64_t i = 0; i < result.elements(); ++i) copy_elements(result, i, call.operand(1), 0, 1);
  const Dims strides = contiguous_strides(result.shape());
  std::int64_t first = 0;
  for (std::size_t axis = 0; axis < strides.size(); ++axis) first += call.as<PadAttrs>().before[axis] * strides[axis];
  for_each_index(x.shape(), std::array{strides},
                 [&](std::int64_t i, const auto& offsets) { copy_elements(result, first + offsets[0], x, i, 1); });
}

void gather_nd(const Call& call) {
  const Tensor &x = call.operand(0), &indices = call.operand(1), &result = call.result();
  const std::int64_t batch = call.as<GatherNdAttrs>().batch_dims, k = indices.shape().back();
  const auto begin = x.shape().begin() + batch;
  const Dims sizes(begin, begin + k);
  const std::int64_t slice = element_count({begin + k, x.shape().end()});
  const std::int64_t batches = element_count({x.shape().begin(), begin});
  if (result.elements() == 0) return;
  const std::int64_t tuples = result.elements() / slice, per_batch = tuples / batches;
  for (std::int64_t tuple = 0; tuple < tuples; ++tuple) {
    const std::int64_t from = slice_at(indices, tuple * k, sizes, tuple / per_batch * element_count(sizes), slice);
    copy_elements(result, tuple * slice, x, from, slice);
  }
}

void scatter(const Call& call) {
  const Tensor &indices = call.operand(1), &updates = call.operand(2), &result = call.result();
  const auto& [axis, reduction] = call.as<ScatterAttrs>();
  copy_base(call);
  const AroundAxis to(result.shape(), axis), from(indices.shape(), axis);
  for (std::int64_t o = 0; o < from.outer; ++o)
    for (std::int64_t position = 0; position < from.size; ++position)
      for (std::int64_t i = 0; i < from.inner; ++i) {
        const std::int64_t element = from.element(o, position, i), index = indices.integer(element);
        check_index(index, element, to.size);
        apply(reduction, result, to.element(o, index, i), updates, element);
      }
}

void scatter_nd(const Call& call) {
  const Tensor &indices = call.operand(1), &updates = call.operand(2), &result = call.result();
  copy_base(call);
  const std::int64_t k = indices.shape().back();
  const Dims sizes(result.shape().begin(), result.shape().begin() + k);
  const std::int64_t slice = element_count({result.shape().begin() + k, result.shape().end()});
  if (updates.elements() == 0) return;
  for (std::int64_t tuple = 0; tuple < updates.elements() / slice; ++tuple) {
    const std::int64_t to = slice_at(indices, tuple * k, sizes, 0, slice);
    for (std::int64_t i = 0; i < slice; ++i)
      apply(call.as<ScatterNdAttrs>().reduction, result, to + i, updates, tuple * slice + i);
  }
}

}  // namespace lazuli::reference
