// SPDX-License-Identifier: MIT
// Views, which the oracle copies, and the ops that move data.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/quantised.h>

#include <cstring>

namespace lazuli::reference {
namespace {

// result[index] = operand[first + index · strides]
void copy_strided(const Call& call, std::int64_t first, const Dims& strides) {
  const Tensor &x = call.operand(0), &result = call.result();
  const auto bytes = static_cast<std::size_t>(result.element_bytes());
  for_each_index(result.shape(), std::array{strides}, [&](std::int64_t i, const auto& offsets) {
    std::memcpy(result.at(i), x.at(first + offsets[0]), bytes);
  });
}

// Copies elements that follow each other in both tensors.
void copy_run(const Tensor& to, std::int64_t to_element, const Tensor& from, std::int64_t from_element,
              std::int64_t count) {
  std::memcpy(to.at(to_element), from.at(from_element), static_cast<std::size_t>(count * from.element_bytes()));
}

// The same to whole blocks of a quantised tensor, from one of f32.
void encode_run(const Tensor& to, std::int64_t to_element, const Tensor& from, std::int64_t from_element,
                std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::memcpy(values.data(), from.at(from_element), values.size() * sizeof(float));
  quantise(to.dtype(), values.data(), count, to.data + byte_size(to.dtype(), to_element));
}

void copy_all(const Tensor& to, const Tensor& from) { copy_run(to, 0, from, 0, from.elements()); }

}  // namespace

void reshape(const Call& call) { copy_all(call.result(), call.operand(0)); }

void transpose(const Call& call) {
  const Dims own = contiguous_strides(call.operand(0).shape());
  Dims strides;
  for (std::int64_t axis : call.as<TransposeAttrs>().permutation)
    strides.push_back(own[static_cast<std::size_t>(axis)]);
  copy_strided(call, 0, strides);
}

void slice(const Call& call) {
  const auto& attrs = call.as<SliceAttrs>();
  Dims strides = contiguous_strides(call.operand(0).shape());
  std::int64_t first = 0;
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    first += attrs.begin[axis] * strides[axis];
    if (call.result().shape()[axis] > 1) strides[axis] *= attrs.step[axis];  // otherwise any step is allowed
  }
  copy_strided(call, first, strides);
}

void broadcast_to(const Call& call) {
  copy_strided(call, 0, broadcast_strides(call.operand(0).shape(), call.result().shape()));
}

void concatenate(const Call& call) {
  const std::int64_t axis = call.as<AxisAttrs>().axis;
  const AroundAxis whole(call.result().shape(), axis);
  std::int64_t start = 0;
  for (const Tensor& part : call.operands) {
    const AroundAxis around(part.shape(), axis);
    for (std::int64_t o = 0; o < around.outer; ++o)
      copy_run(call.result(), whole.element(o, start, 0), part, around.element(o, 0, 0), around.size * around.inner);
    start += around.size;
  }
}

void slice_update(const Call& call) {
  const Tensor &base = call.operand(0), &update = call.operand(1), &result = call.result();
  const auto& [axis, ring] = call.as<SliceUpdateAttrs>();
  const std::int64_t start = call.operand(2).integer(0);
  if (start < 0)
    fail(ErrorDetails{.kind = ErrorKind::execution, .expected = "0 or more", .found = fmt::format("{}", start)},
         "start is {}, expected 0 or more", start);
  std::memcpy(result.data, base.data, static_cast<std::size_t>(base.type->bytes()));
  const AroundAxis to(base.shape(), axis), from(update.shape(), axis);
  for (std::int64_t o = 0; o < from.outer; ++o)
    for (std::int64_t row = 0; row < from.size; ++row) {
      const std::int64_t target = ring ? (start + row) % to.size : start + row;
      if (target >= to.size) continue;
      if (is_quantised(result.dtype()))
        encode_run(result, to.element(o, target, 0), update, from.element(o, row, 0), from.inner);
      else
        copy_run(result, to.element(o, target, 0), update, from.element(o, row, 0), from.inner);
    }
}

void take(const Call& call) {
  const Tensor &x = call.operand(0), &indices = call.operand(1), &result = call.result();
  const AroundAxis around(x.shape(), call.as<AxisAttrs>().axis);
  const std::int64_t count = indices.elements();
  for (std::int64_t position = 0; position < count; ++position) {
    const std::int64_t index = indices.integer(position);
    check_index(index, position, around.size);
    for (std::int64_t o = 0; o < around.outer; ++o) {
      const std::int64_t to = (o * count + position) * around.inner;
      if (is_quantised(x.dtype())) {  // axis 0: a row is a whole number of blocks
        const std::byte* row = x.data + byte_size(x.dtype(), index * around.inner);
        dequantise(x.dtype(), row, around.inner, reinterpret_cast<float*>(result.at(to)));
      } else {
        copy_run(result, to, x, around.element(o, index, 0), around.inner);
      }
    }
  }
}

void gather(const Call& call) {
  const Tensor &x = call.operand(0), &indices = call.operand(1);
  const AroundAxis from(x.shape(), call.as<AxisAttrs>().axis), to(indices.shape(), call.as<AxisAttrs>().axis);
  for (std::int64_t o = 0; o < to.outer; ++o)
    for (std::int64_t position = 0; position < to.size; ++position)
      for (std::int64_t i = 0; i < to.inner; ++i) {
        const std::int64_t element = to.element(o, position, i), index = indices.integer(element);
        check_index(index, element, from.size);
        copy_run(call.result(), element, x, from.element(o, index, i), 1);
      }
}

}  // namespace lazuli::reference
