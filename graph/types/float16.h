// SPDX-License-Identifier: MIT
// C++ values of the 16-bit float dtypes: storage, and conversions from and to float. Arithmetic is float's.
#pragma once

#include <lazuli/graph/types/half.h>

#include <cstdint>

namespace lazuli {

// An element of an f16 array (IEEE 754 binary16).
struct float16 {
  float16() = default;
  explicit float16(float value) : bits(f32_to_f16(value)) {}  // to the nearest, ties to even
  static float16 from_bits(std::uint16_t bits) {
    float16 value;
    value.bits = bits;
    return value;
  }
  operator float() const { return f16_to_f32(bits); }  // NOLINT(google-explicit-constructor): exact

  std::uint16_t bits = 0;
};

// An element of a bf16 array: the upper half of a float.
struct bfloat16 {
  bfloat16() = default;
  explicit bfloat16(float value) : bits(f32_to_bf16(value)) {}  // to the nearest, ties to even
  static bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 value;
    value.bits = bits;
    return value;
  }
  operator float() const { return bf16_to_f32(bits); }  // NOLINT(google-explicit-constructor): exact

  std::uint16_t bits = 0;
};

static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2, "arrays lie in memory as spans of them");

}  // namespace lazuli
