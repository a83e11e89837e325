// SPDX-License-Identifier: MIT
// Elements of tensors, and the index arithmetic of kernels.h.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <cstring>

namespace lazuli::reference {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace

double Tensor::real(std::int64_t element) const {
  switch (dtype()) {
    case DType::f32:
      return load<float>(at(element));
    case DType::f16:
      return f16_to_f32(load<std::uint16_t>(at(element)));
    case DType::bf16:
      return bf16_to_f32(load<std::uint16_t>(at(element)));
    case DType::f64:
      return load<double>(at(element));
    default:
      fail_internal("{} was read as real", to_string(*type));
  }
}

void Tensor::set_real(std::int64_t element, double value) const {
  if (dtype() == DType::f64) return store(at(element), value);
  const auto rounded = static_cast<float>(value);
  switch (dtype()) {
    case DType::f32:
      return store(at(element), rounded);
    case DType::f16:
      return store(at(element), f32_to_f16(rounded));
    case DType::bf16:
      return store(at(element), f32_to_bf16(rounded));
    default:
      fail_internal("{} was written as real", to_string(*type));
  }
}

std::int64_t Tensor::integer(std::int64_t element) const {
  switch (dtype()) {
    case DType::i8:
      return load<std::int8_t>(at(element));
    case DType::u8:
      return load<std::uint8_t>(at(element));
    case DType::i16:
      return load<std::int16_t>(at(element));
    case DType::u16:
      return load<std::uint16_t>(at(element));
    case DType::i32:
      return load<std::int32_t>(at(element));
    case DType::u32:
      return load<std::uint32_t>(at(element));
    case DType::i64:
    case DType::u64:
      return load<std::int64_t>(at(element));
    case DType::bool_:
      return load<std::uint8_t>(at(element)) != 0;
    default:
      fail_internal("{} was read as integer", to_string(*type));
  }
}

void Tensor::set_integer(std::int64_t element, std::int64_t value) const {
  switch (dtype()) {
    case DType::i8:
      return store(at(element), static_cast<std::int8_t>(value));
    case DType::u8:
      return store(at(element), static_cast<std::uint8_t>(value));
    case DType::i16:
      return store(at(element), static_cast<std::int16_t>(value));
    case DType::u16:
      return store(at(element), static_cast<std::uint16_t>(value));
    case DType::i32:
      return store(at(element), static_cast<std::int32_t>(value));
    case DType::u32:
      return store(at(element), static_cast<std::uint32_t>(value));
    case DType::i64:
    case DType::u64:
      return store(at(element), value);
    case DType::bool_:
      return store(at(element), static_cast<std::uint8_t>(value != 0));
    default:
      fail_internal("{} was written as integer", to_string(*type));
  }
}

std::vector<double> real_values(const Tensor& tensor) {
  std::vector<double> values(static_cast<std::size_t>(tensor.elements()));
  if (is_quantised(tensor.dtype())) {
    std::vector<float> decoded(values.size());
    dequantise(tensor.dtype(), tensor.data, tensor.elements(), decoded.data());
    std::copy(decoded.begin(), decoded.end(), values.begin());
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = tensor.real(static_cast<std::int64_t>(i));
  return values;
}

Dims broadcast_strides(const Shape& from, const Shape& to) {
  const Dims own = contiguous_strides(from);
  Dims strides(to.size(), 0);
  for (std::size_t back = 1; back <= from.size(); ++back)
    if (from[from.size() - back] != 1) strides[to.size() - back] = own[from.size() - back];
  return strides;
}

AroundAxis::AroundAxis(const Shape& shape, std::int64_t axis) : size(shape[static_cast<std::size_t>(axis)]) {
  const auto middle = static_cast<std::size_t>(axis);
  for (std::size_t before = 0; before < middle; ++before) outer *= shape[before];
  for (std::size_t after = middle + 1; after < shape.size(); ++after) inner *= shape[after];
}

void check_index(std::int64_t index, std::int64_t position, std::int64_t size) {
  if (index < 0 || index >= size)
    fail(ErrorDetails{.kind = ErrorKind::execution,
                      .expected = fmt::format("an index in [0, {})", size),
                      .found = fmt::format("{} at position {}", index, position)},
         "index {} at position {} is outside [0, {})", index, position, size);
}

}  // namespace lazuli::reference
