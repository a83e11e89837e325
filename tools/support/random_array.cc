// SPDX-License-Identifier: MIT
#include <lazuli/graph/types/philox.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/tools/support/random_array.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace lazuli::tool {
namespace {

double value_at(ValueRange range, std::int64_t seed, std::int64_t index) {
  return range.low + (range.high - range.low) * random_uniform(seed, index);
}

// A row of the last axis at a time, which is whole blocks.
void fill_quantised(const Type& type, ValueRange range, std::int64_t seed, std::byte* out) {
  if (type.elements() == 0) return;
  const std::int64_t row = type.shape.back();
  std::vector<float> values(static_cast<std::size_t>(row));
  for (std::int64_t first = 0; first < type.elements(); first += row) {
    for (std::int64_t i = 0; i < row; ++i)
      values[static_cast<std::size_t>(i)] = static_cast<float>(value_at(range, seed, first + i));
    quantise(type.dtype, values.data(), row, out + byte_size(type.dtype, first));
  }
}

}  // namespace

BufferRef random_buffer(const Type& type, ValueRange range, std::int64_t seed) {
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::byte* out = buffer->data();
  if (is_quantised(type.dtype)) {
    if (has_quantiser(type.dtype))
      fill_quantised(type, range, seed, out);
    else
      std::memset(out, 0, buffer->size());
    return buffer;
  }
  const std::int64_t step = byte_size(type.dtype, 1);
  for (std::int64_t i = 0; i < type.elements(); ++i) {
    const double value = value_at(range, seed, i);
    store_scalar(is_real(type.dtype) ? value : std::floor(value), type.dtype, out + i * step);
  }
  return buffer;
}

}  // namespace lazuli::tool
