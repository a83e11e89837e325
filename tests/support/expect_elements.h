// SPDX-License-Identifier: MIT
// For functions made of several ops: what each element must be, by a formula over its index.
#pragma once

#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <functional>
#include <vector>

namespace lazuli::test {

// Evaluates.
inline std::vector<double> values_of(const Array& x) {
  x.bytes();
  return values_of(x.type(), *x.result().buffer);
}

inline Dims index_of(std::int64_t element, const Shape& shape) {
  Dims index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; element /= shape[axis]) index[axis] = element % shape[axis];
  return index;
}

// Element `index` of an array whose values are in row-major order.
inline double at(const std::vector<double>& values, const Shape& shape, const Dims& index) {
  const Dims strides = contiguous_strides(shape);
  std::int64_t element = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) element += index[axis] * strides[axis];
  return values[static_cast<std::size_t>(element)];
}

// Different values next to each other, which every dtype but bool holds.
inline Array counting(DType dtype, Shape shape) {
  const Type type{dtype, std::move(shape)};
  std::vector<double> values(static_cast<std::size_t>(type.elements()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = dtype == DType::bool_ ? static_cast<double>(i % 3 == 0) : static_cast<double>(i % 101 + 1);
  return Array::from(buffer_of(type, values), type);
}

inline Array numbers(DType dtype, Shape shape, const std::vector<double>& values) {
  const Type type{dtype, std::move(shape)};
  return Array::from(buffer_of(type, values), type);
}

inline void expect_elements(const Array& x, const Type& type, const std::function<double(const Dims& index)>& expected,
                            double tolerance = 0) {
  ASSERT_EQ(to_string(x.type()), to_string(type));
  const std::vector<double> found = values_of(x);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Dims index = index_of(static_cast<std::int64_t>(i), type.shape);
    const double value = expected(index);
    const bool same = found[i] == value || (std::isnan(found[i]) && std::isnan(value)) ||
                      std::fabs(found[i] - value) <= tolerance * std::max(1.0, std::fabs(value));
    ASSERT_TRUE(same) << to_string(type) << " at " << to_string(index) << " is " << found[i] << ", expected " << value;
  }
}

inline const std::vector<DType>& plain_dtypes() {
  static const std::vector<DType> dtypes = {DType::f32, DType::f64, DType::f16,  DType::bf16, DType::i8,
                                            DType::u8,  DType::i16, DType::u16,  DType::i32,  DType::u32,
                                            DType::i64, DType::u64, DType::bool_};
  return dtypes;
}

}  // namespace lazuli::test
