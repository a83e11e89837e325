// SPDX-License-Identifier: MIT
// How blocks of quantised dtypes lie in memory, and where they keep the bits of codes and scales. The formulas stand in
// quantised.cc.
#pragma once

#include <cstdint>

namespace lazuli::blocks {

using std::uint8_t;
using Half = std::uint16_t;  // bits of an IEEE half

inline constexpr Half half_infinity = 0x7c00, half_nan = 0x7e00;

// Blocks as they lie in memory: none has padding, as quantised.cc checks.
// clang-format off
struct F32Block { float x; };
struct F16Block { Half x; };
struct Bf16Block { std::uint16_t x; };
struct Q4_0Block { Half d; uint8_t qs[16]; };
struct Q4_1Block { Half d, m; uint8_t qs[16]; };
struct Q5_0Block { Half d; uint8_t qh[4], qs[16]; };
struct Q5_1Block { Half d, m; uint8_t qh[4], qs[16]; };
struct Q8_0Block { Half d; std::int8_t qs[32]; };
struct Q4_KBlock { Half d, dmin; uint8_t scales[12], qs[128]; };
struct Q5_KBlock { Half d, dmin; uint8_t scales[12], qh[32], qs[128]; };
struct Q6_KBlock { uint8_t ql[128], qh[64]; std::int8_t scales[16]; Half d; };
struct Mxfp4Block { uint8_t e, qs[16]; };
struct Nvfp4Block { uint8_t d[4], qs[32]; };
template <int bits, int elements>
struct AffineBlock { float scale, bias; uint8_t codes[elements * bits / 8]; };
struct Mxfp8Block { uint8_t e, codes[32]; };
struct E2m1Block { float scale; uint8_t codes[8]; };
// clang-format on

inline int low(uint8_t byte) { return byte & 15; }
inline int high(uint8_t byte) { return byte >> 4; }

inline uint8_t pack_nibbles(int low_value, int high_value) { return static_cast<uint8_t>(low_value | high_value << 4); }

// Bit j of the little-endian word `qh` is the fifth bit of element j.
inline int fifth_bit(const uint8_t (&qh)[4], int j) { return (qh[j / 8] >> (j % 8) & 1) << 4; }

inline void set_fifth_bit(uint8_t (&qh)[4], int j, int q) {
  qh[j / 8] |= static_cast<uint8_t>((q >> 4 & 1) << (j % 8));
}

// Scale and minimum of the 8 sub-blocks of q4_k and q5_k, 6 bits each, packed into 12 bytes.
struct ScaleMin {
  int scale, min;
};

inline ScaleMin unpack_scale(const uint8_t (&c)[12], int b) {
  if (b < 4) return {c[b] & 63, c[b + 4] & 63};
  return {(c[b + 4] & 15) | (c[b - 4] >> 6) << 4, (c[b + 4] >> 4) | (c[b] >> 6) << 4};
}

inline void pack_scale(uint8_t (&c)[12], int b, ScaleMin value) {
  if (b < 4) {
    c[b] |= static_cast<uint8_t>(value.scale);
    c[b + 4] |= static_cast<uint8_t>(value.min);
  } else {
    c[b + 4] |= pack_nibbles(value.scale & 15, value.min & 15);
    c[b - 4] |= static_cast<uint8_t>(value.scale >> 4 << 6);
    c[b] |= static_cast<uint8_t>(value.min >> 4 << 6);
  }
}

// Where q6_k keeps element i: four bits in `ql`, two in `qh`. Each half of 128 elements has 64 bytes of ql and 32 of
// qh; quarter k of a half takes ql byte 32 (k % 2) + l, low nibble for k < 2, and bits 2k, 2k + 1 of qh byte l.
struct Q6Place {
  int low_byte, low_shift, high_byte, high_shift;
};

inline Q6Place q6_place(int i) {
  const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
  return {half * 64 + quarter % 2 * 32 + l, quarter / 2 * 4, half * 32 + l, quarter * 2};
}

}  // namespace lazuli::blocks
