// The packed form of each block-quantised type, as numbers: what the formats of all instruction-set levels share.
//
// A group of 16 weight rows has three planes. Their entries, one a block of 32 columns (quants, scales) or one a
// super-block of 256 (super), hold all 16 rows. Quants are ordered by columns of four: the 64 bytes of "quad" q are
// columns 4q..4q+3 of row 0, of row 1, and so on, so that one vector times four broadcast activations sums into one
// 32-bit lane a row and no sum across lanes is ever needed.
//   8 bits: 8 quads of 64 bytes.
//   4 bits: 4 vectors of 64 bytes; vector v has quad v in its low and quad v + 4 in its high nibbles.
//   5 bits: the nibbles, then one 64-bit mask a quad; bit i is the fifth bit of byte i of that quad.
//   6 bits: the nibbles, then 2 vectors of 64 bytes; vector h has the upper two bits of quads 4h..4h+3, low bits first.
//   2 bits: 2 such vectors alone.
//   3 bits: 2 such vectors, then one 64-bit mask a quad for the third bits.
// mxfp8 alone is ordered by single columns, 16 bytes each: its codes are multiplied as f32.
// Included by instruction-set units: no inline code, and constants of internal linkage.
#pragma once

#include <cstdint>

namespace lazuli::packed {

// How the integer dot products of the two 16-column halves of a block become terms of the sum.
enum class Halves : std::uint8_t {
  joined,    // one scale: d * (dot0 + dot1)
  separate,  // two scales, two terms: d0 * dot0, then d1 * dot1
};

struct Planes {
  int quant_bytes;  // a block
  int scale_bytes;  // a block
  int super_bytes;  // a super-block; 0 for types without
  int offset;       // added to values to store them unsigned
  bool minimums;    // x = d * value + m
  Halves halves;
  // Scales keep the width that holds those of the checkpoint exactly (scale_form.h): scale_bytes is then the size of a
  // plane entry at a width of one byte, and PackedWeightView has the rest.
  bool wide_scales = false;
};

// f16 d[16], then f16 m[16] where there are minimums.
constexpr Planes q4_0_planes{256, 32, 0, 8, false, Halves::joined};
constexpr Planes q4_1_planes{256, 64, 0, 0, true, Halves::joined};
constexpr Planes q5_0_planes{320, 32, 0, 16, false, Halves::joined};
constexpr Planes q5_1_planes{320, 64, 0, 0, true, Halves::joined};
constexpr Planes q8_0_planes{512, 32, 0, 128, false, Halves::joined};
// Scales: u8 scale[16], u8 minimum[16]. Super: f16 d[16], f16 dmin[16].
constexpr Planes q4_k_planes{256, 32, 64, 0, true, Halves::joined};
constexpr Planes q5_k_planes{320, 32, 64, 0, true, Halves::joined};
// Scales: i8 factor[16] of the first halves, then of the second. Super: f16 d[16].
constexpr Planes q6_k_planes{384, 32, 32, 32, false, Halves::separate};
// Scales: u8 exponent[16] (e8m0). Values are twice the e2m1 code's, so that they are integers.
constexpr Planes mxfp4_planes{256, 16, 0, 12, false, Halves::joined};
// Scales: u8 scale[16] (ue4m3) of the first halves, then of the second. Values as in mxfp4.
constexpr Planes nvfp4_planes{256, 32, 0, 12, false, Halves::separate};
// Scales: 16 of the first halves, then of the second, each half of what the file has: f32, or ue5m3 (f16 without its
// sign and lower mantissa bits) times the weight's factor. Values as in mxfp4.
constexpr Planes e2m1_planes{256, 32, 0, 12, false, Halves::separate, true};
// Scales: scale[16], bias[16], f32 or bf16, an entry for each group of the file.
consteval Planes affine_planes(int bits) { return {64 * bits, 32, 0, 0, true, Halves::joined, true}; }
// Scales: u8 exponent[16], those of f32.
constexpr Planes mxfp8_planes{512, 16, 0, 0, false, Halves::joined};

}  // namespace lazuli::packed
