// SPDX-License-Identifier: MIT
// For tests that compare backends: runs a graph on buffers, makes random operands, measures differences.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/reference/reference.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace lazuli::test {

// Compiles and runs; nothing is donated. `inputs` go by the index attribute of the graph's inputs.
inline std::vector<BufferRef> run_graph(Backend& backend, const Graph& graph, std::vector<BufferRef> inputs) {
  const std::unique_ptr<Program> program = backend.compile(graph, {});
  std::vector<BufferRef> outputs;
  for (const OutputPlacement& placement : program->outputs())
    outputs.push_back(Buffer::allocate(static_cast<std::size_t>(placement.bytes)));
  program->execute(inputs, outputs);
  return outputs;
}

inline std::vector<BufferRef> run_reference(const Graph& graph, std::vector<BufferRef> inputs) {
  return run_graph(*make_reference_backend(), graph, std::move(inputs));
}

// Calls `visit` with a value of the C++ type that elements have; false where there is none, or where conversions to
// double go through f32.
template <class Visit>
bool visit_element_type(DType dtype, Visit visit) {
  switch (dtype) {
    case DType::i8:
      visit(std::int8_t{});
      return true;
    case DType::bool_:
    case DType::u8:
      visit(std::uint8_t{});
      return true;
    case DType::f64:
      visit(double{});
      return true;
    case DType::i16:
      visit(std::int16_t{});
      return true;
    case DType::u16:
      visit(std::uint16_t{});
      return true;
    case DType::i32:
      visit(std::int32_t{});
      return true;
    case DType::u32:
      visit(std::uint32_t{});
      return true;
    case DType::i64:
      visit(std::int64_t{});
      return true;
    case DType::u64:
      visit(std::uint64_t{});
      return true;
    default:
      return false;
  }
}

// The values of a plain or quantised array as doubles (i64 and u64 beyond 2^53 round).
inline std::vector<double> values_of(const Type& type, const Buffer& buffer) {
  const auto count = static_cast<std::size_t>(type.elements());
  std::vector<double> values(count);
  const auto convert = [&]<class T>(T) { std::copy_n(buffer.as<T>(), count, values.begin()); };
  if (visit_element_type(type.dtype, convert)) return values;
  std::vector<float> floats(count);
  dequantise(type.dtype, buffer.data(), type.elements(), floats.data());
  std::copy(floats.begin(), floats.end(), values.begin());
  return values;
}

// The reverse for plain dtypes; real dtypes round.
inline BufferRef buffer_of(const Type& type, const std::vector<double>& values) {
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  const auto convert = [&]<class T>(T) {
    std::transform(values.begin(), values.end(), buffer->as<T>(), [](double value) { return static_cast<T>(value); });
  };
  if (visit_element_type(type.dtype, convert)) return buffer;
  const std::vector<float> floats(values.begin(), values.end());
  quantise(type.dtype, floats.data(), type.elements(), buffer->data());
  return buffer;
}

// Blocks of a type there is no quantiser for: random codes under moderate scales, which stand first in every block.
inline BufferRef random_blocks(const Type& type, std::mt19937& random) {
  constexpr float affine[] = {0.25f, -1.0f};  // scale and bias
  constexpr float half = 0.5f;
  constexpr std::uint8_t ones_e4m3[] = {0x38, 0x38, 0x38, 0x38}, one_e8m0 = 0x7f;
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  // 0x77: no code of e4m3 is NaN then.
  for (std::size_t i = 0; i < buffer->size(); ++i)
    buffer->as<std::uint8_t>()[i] = static_cast<std::uint8_t>(random() & 0x77);
  const auto block_bytes = static_cast<std::size_t>(info(type.dtype).block_bytes);
  for (std::size_t at = 0; at < buffer->size(); at += block_bytes) {
    std::byte* block = buffer->data() + at;
    switch (type.dtype) {
      case DType::nvfp4:
        std::memcpy(block, ones_e4m3, sizeof ones_e4m3);
        break;
      case DType::mxfp4:
      case DType::mxfp8:
        std::memcpy(block, &one_e8m0, sizeof one_e8m0);
        break;
      case DType::e2m1_16:
        std::memcpy(block, &half, sizeof half);
        break;
      default:
        std::memcpy(block, affine, sizeof affine);
    }
  }
  return buffer;
}

// Real and quantised: uniform in [low, high). Integers: the whole numbers from low to high (unsigned: from 0). The same
// on every machine.
inline BufferRef random_buffer(const Type& type, std::uint32_t seed, double low = -2, double high = 2) {
  std::mt19937 random(seed);
  if (is_quantised(type.dtype) && !has_quantiser(type.dtype)) return random_blocks(type, random);
  const bool real = is_real(type.dtype) || is_quantised(type.dtype);
  if (type.dtype == DType::u8 || type.dtype == DType::u16 || type.dtype == DType::u32 || type.dtype == DType::u64)
    low = std::max(low, 0.0);
  std::vector<double> values(static_cast<std::size_t>(type.elements()));
  for (double& value : values) {
    const double unit = random() * 0x1p-32;
    value = type.dtype == DType::bool_ ? std::floor(unit * 2)
            : real                     ? low + unit * (high - low)
                                       : std::floor(low + unit * (high - low + 1));
  }
  return buffer_of(type, values);
}

// The largest |expected - actual| / max(1, |expected|): absolute for small values, relative for large ones. NaN matches
// NaN and an infinity itself; any other difference of those is infinite.
inline double max_difference(const Type& type, const Buffer& expected, const Buffer& actual) {
  const std::vector<double> left = values_of(type, expected), right = values_of(type, actual);
  double largest = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] == right[i] || (std::isnan(left[i]) && std::isnan(right[i]))) continue;
    const double difference = std::fabs(left[i] - right[i]) / std::max(1.0, std::fabs(left[i]));
    largest = std::max(largest, std::isfinite(difference) ? difference : std::numeric_limits<double>::infinity());
  }
  return largest;
}

inline bool same_bits(const Type& type, const Buffer& a, const Buffer& b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(type.bytes())) == 0;
}

}  // namespace lazuli::test
