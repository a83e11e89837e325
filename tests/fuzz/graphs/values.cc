// SPDX-License-Identifier: MIT
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/tests/fuzz/graphs/values.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <limits>

namespace lazuli::fuzz {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

struct Borders {
  double largest, smallest_normal, smallest;
};
Borders borders_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return {65504, 0x1p-14, 0x1p-24};
    case DType::bf16:
      return {0x1.fep127, 0x1p-126, 0x1p-133};
    case DType::f64:
      return {std::numeric_limits<double>::max(), std::numeric_limits<double>::min(),
              std::numeric_limits<double>::denorm_min()};
    default:
      return {std::numeric_limits<float>::max(), std::numeric_limits<float>::min(),
              std::numeric_limits<float>::denorm_min()};
  }
}

double special_real(DType dtype, Random& random) {
  const Borders border = borders_of(dtype);
  const double numbers[] = {nan,
                            infinity,
                            -infinity,
                            0,
                            -0.0,
                            border.largest,
                            -border.largest,
                            border.smallest,
                            -border.smallest,
                            border.smallest_normal,
                            1,
                            -1,
                            0.5,
                            -0.5,
                            1.5,
                            2.5,
                            1e-7,
                            88.7,
                            -104,
                            border.smallest_normal * 0.75};
  return random.of(numbers);
}

double wide_real(DType dtype, Random& random) {
  const Borders border = borders_of(dtype);
  const double low = std::log2(border.smallest), high = std::log2(border.largest);
  const double size = std::exp2(low + random.unit() * (high - low) * 0.999);
  return random.chance(50) ? size : -size;
}

double draw_real(DType dtype, Values kind, Random& random) {
  switch (kind) {
    case Values::ties:
      return static_cast<double>(random.between(-3, 3));
    case Values::special:
      return random.chance(30) ? special_real(dtype, random) : random.unit() * 4 - 2;
    case Values::wide:
      return wide_real(dtype, random);
    case Values::denormal: {
      const double tiny = borders_of(dtype).smallest_normal * (random.unit() * 4 - 2);
      return random.chance(20) ? (random.chance(50) ? 0.0 : -0.0) : tiny;
    }
    case Values::weights:
      return random.unit() - 0.5;
    case Values::positive:
      return random.unit() * 1.5 + 0.5;
    default:
      return random.unit() * 4 - 2;
  }
}

std::uint64_t bits_of_integer(Values kind, Random& random) {
  constexpr std::uint64_t borders[] = {0,      1,      ~0ull,      0x7f,       0x80,       0xff,       0x7fff,
                                       0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull >> 1};
  switch (kind) {
    case Values::special:
      return random.chance(40) ? random.of(borders) : random.next();
    case Values::wide:
      return random.next();
    case Values::denormal:
      return random.next() & 1;
    default:
      return static_cast<std::uint64_t>(random.between(-3, 3));
  }
}

void put_plain(const Type& type, std::byte* at, Values kind, Random& random) {
  if (is_real(type.dtype)) return store_scalar(draw_real(type.dtype, kind, random), type.dtype, at);
  const std::uint64_t bits = type.dtype == DType::bool_ ? random.next() & 1 : bits_of_integer(kind, random);
  std::memcpy(at, &bits, static_cast<std::size_t>(byte_size(type.dtype, 1)));  // little-endian: the low bytes
}

}  // namespace

Values draw_kind(Random& choice) {
  constexpr Values rare[] = {Values::ties, Values::ties,     Values::special,
                             Values::wide, Values::denormal, Values::equal};
  return choice.chance(55) ? Values::moderate : choice.of(rare);
}

BufferRef draw(const Type& type, Values kind, Random& random) {
  if (is_quantised(type.dtype)) return test::random_buffer(type, static_cast<std::uint32_t>(random.next()), -0.5, 0.5);
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  const auto size = static_cast<std::size_t>(byte_size(type.dtype, 1));
  const auto count = static_cast<std::size_t>(type.elements());
  for (std::size_t i = 0; i < count; ++i) {
    std::byte* at = buffer->data() + i * size;
    if (kind == Values::equal && i > 0)
      std::memcpy(at, buffer->data(), size);
    else
      put_plain(type, at, kind, random);
  }
  return buffer;
}

BufferRef draw_integers(const Type& type, std::int64_t low, std::int64_t high, Random& random) {
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  const auto count = static_cast<std::size_t>(type.elements());
  for (std::size_t i = 0; i < count; ++i)
    buffer->as<std::int32_t>()[i] = static_cast<std::int32_t>(random.between(low, high));
  return buffer;
}

}  // namespace lazuli::fuzz
