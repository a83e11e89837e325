// SPDX-License-Identifier: MIT
// The packed form of each block-quantised type, as numbers: what the formats of all instruction-set levels share.
//
// A group of 16 weight rows has three planes. Their entries, one a block of 32 columns (quants, scales) or one a
// super-block of 256 (super), hold all 16 rows. Codes are ordered by columns of four: the 64 bytes of "quad" q are
// columns 4q..4q+3 of row 0, of row 1, and so on, so that one vector times four broadcast activations sums into one
// 32-bit lane a row and no sum across lanes is ever needed. A weight is scale * (code - offset) + minimum.
// Included by instruction-set units: no inline code, and constants of internal linkage.
#pragma once

#include <cstdint>

namespace lazuli::packed {

// How the codes of a block are kept.
enum class Codes : std::uint8_t {
  bits2,         // 2 vectors of 64 bytes; vector h has quads 4h..4h+3, two bits each, low bits first
  bits3,         // as bits2, then one 64-bit mask a quad for the third bits: bit i is that of byte i of the quad
  bits4,         // 4 vectors of 64 bytes; vector v has quad v in its low and quad v + 4 in its high nibbles
  bits5,         // as bits4, then one 64-bit mask a quad for the fifth bits
  bits6,         // as bits4, then the upper two bits as in bits2
  bits8,         // 8 quads of 64 bytes
  e2m1,          // as bits4, each an E2M1 number (OCP Microscaling Formats 1.0, table 5); taken twice, so that it is an
                 // integer, and the scale half
  e4m3_columns,  // by single columns, 16 bytes each: E4M3 numbers, which are multiplied as f32
};

// How the scales of a block are kept, and the minimums where there are any. An array [16] has an entry for each row;
// `halves` have a scale for each 16 columns of a block, those of the first halves before those of the second.
enum class Scales : std::uint8_t {
  f16,                // f16 d[16]
  f16_minimum,        // f16 d[16], f16 m[16]
  super_u8_minimum,   // u8 scale[16], u8 minimum[16]; super: f16 d[16], f16 dmin[16]; the minimum is subtracted
  super_i8_halves,    // i8 scale[16] twice; super: f16 d[16]
  half_e8m0,          // u8 exponent[16], of twice the scale
  half_ue4m3_halves,  // u8 scale[16] twice, each twice the scale
  e8m0_of_f32,        // u8 exponent[16], those of f32
  // Wide scales keep the width that holds those of the checkpoint exactly (scale_form.h), which PackedWeightView has.
  wide_minimum,  // scale[16], minimum[16], f32 or bf16, an entry for each group of the file
  wide_halves,   // scale[16] twice, f32, or ue5m3 (f16 without its sign and lower mantissa bits) times a factor
};

// How the integer dot products of the two 16-column halves of a block become terms of the sum.
enum class Halves : std::uint8_t {
  joined,    // one scale: d * (dot0 + dot1)
  separate,  // two scales, two terms: d0 * dot0, then d1 * dot1
};

struct Planes {
  Codes codes;
  Scales scales;
  int offset;       // of the codes
  int quant_bytes;  // a block
  int scale_bytes;  // a block; of wide scales those of one byte
  int super_bytes;  // a super-block; 0 for types without
  int max_code;     // the largest code
  bool minimums;    // x = d * value + m
  bool wide_scales;
  Halves halves;
};

struct CodePlane {
  int bytes, most;
};

consteval CodePlane code_plane(Codes codes) {
  switch (codes) {
    case Codes::bits2:
      return {128, 3};
    case Codes::bits3:
      return {192, 7};
    case Codes::bits4:
      return {256, 15};
    case Codes::bits5:
      return {320, 31};
    case Codes::bits6:
      return {384, 63};
    case Codes::e2m1:
      return {256, 24};
    case Codes::bits8:
    case Codes::e4m3_columns:
      return {512, 255};
  }
}

consteval Planes planes_of(Codes codes, Scales scales, int offset) {
  const auto [quant_bytes, max_code] = code_plane(codes);
  Planes planes{codes, scales, offset, quant_bytes, 32, 0, max_code, false, false, Halves::joined};
  switch (scales) {
    case Scales::f16:
      break;
    case Scales::f16_minimum:
      planes.scale_bytes = 64;
      planes.minimums = true;
      break;
    case Scales::super_u8_minimum:
      planes.super_bytes = 64;
      planes.minimums = true;
      break;
    case Scales::super_i8_halves:
      planes.super_bytes = 32;
      planes.halves = Halves::separate;
      break;
    case Scales::half_e8m0:
    case Scales::e8m0_of_f32:
      planes.scale_bytes = 16;
      break;
    case Scales::half_ue4m3_halves:
      planes.halves = Halves::separate;
      break;
    case Scales::wide_minimum:
      planes.wide_scales = true;
      planes.minimums = true;
      break;
    case Scales::wide_halves:
      planes.wide_scales = true;
      planes.halves = Halves::separate;
      break;
  }
  return planes;
}

// q4_0_planes and so on.
#define LAZULI_PACKED(type, codes, scales, offset) \
  constexpr Planes type##_planes = planes_of(Codes::codes, Scales::scales, offset);
#define LAZULI_PACKED_REAL(type, codes, scales, offset) LAZULI_PACKED(type, codes, scales, offset)
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>

}  // namespace lazuli::packed
