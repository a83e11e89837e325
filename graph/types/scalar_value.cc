// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace lazuli {
namespace {

template <class T>
T read(const std::byte* source) {
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

template <class T>
void write(T value, std::byte* target) {
  std::memcpy(target, &value, sizeof value);
}

template <class T>
void write_integer(double value, std::byte* target) {
  constexpr auto low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr auto high = static_cast<double>(std::numeric_limits<T>::max());
  if (std::isnan(value))
    write<T>(0, target);
  else if (value >= high)
    write(std::numeric_limits<T>::max(), target);
  else
    write(static_cast<T>(std::max(value, low)), target);
}

}  // namespace

double load_scalar(DType dtype, const std::byte* source) {
  switch (dtype) {
    case DType::f32:
      return read<float>(source);
    case DType::f16:
      return f16_to_f32(read<std::uint16_t>(source));
    case DType::bf16:
      return bf16_to_f32(read<std::uint16_t>(source));
    case DType::f64:
      return read<double>(source);
    case DType::i8:
      return read<std::int8_t>(source);
    case DType::u8:
    case DType::bool_:
      return read<std::uint8_t>(source);
    case DType::i16:
      return read<std::int16_t>(source);
    case DType::u16:
      return read<std::uint16_t>(source);
    case DType::i32:
      return read<std::int32_t>(source);
    case DType::u32:
      return read<std::uint32_t>(source);
    case DType::i64:
      return static_cast<double>(read<std::int64_t>(source));
    case DType::u64:
      return static_cast<double>(read<std::uint64_t>(source));
    default:
      fail("{} has no single elements", to_string(dtype));
  }
}

void store_scalar(double value, DType dtype, std::byte* target) {
  switch (dtype) {
    case DType::f32:
      return write(static_cast<float>(value), target);
    case DType::f16:
      return write(f32_to_f16(static_cast<float>(value)), target);
    case DType::bf16:
      return write(f32_to_bf16(static_cast<float>(value)), target);
    case DType::f64:
      return write(value, target);
    case DType::i8:
      return write_integer<std::int8_t>(value, target);
    case DType::u8:
      return write_integer<std::uint8_t>(value, target);
    case DType::i16:
      return write_integer<std::int16_t>(value, target);
    case DType::u16:
      return write_integer<std::uint16_t>(value, target);
    case DType::i32:
      return write_integer<std::int32_t>(value, target);
    case DType::u32:
      return write_integer<std::uint32_t>(value, target);
    case DType::i64:
      return write_integer<std::int64_t>(value, target);
    case DType::u64:
      return write_integer<std::uint64_t>(value, target);
    case DType::bool_:
      return write<std::uint8_t>(value != 0, target);
    default:
      fail("{} has no single elements", to_string(dtype));
  }
}

bool is_value_of(double value, DType dtype) {
  if (is_quantised(dtype)) return false;
  if (is_real(dtype) && !std::isfinite(value)) return true;
  std::byte element[sizeof(double)];
  store_scalar(value, dtype, element);
  const double stored = load_scalar(dtype, element);
  if (is_real(dtype)) return std::isfinite(stored);
  // The largest i64 and u64 read as 2^63 and 2^64, which they are not.
  return stored == value && value < (dtype == DType::i64 ? 0x1p63 : 0x1p64);
}

}  // namespace lazuli
